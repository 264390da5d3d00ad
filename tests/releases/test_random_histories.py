"""Any sequence of runs, promotions, rollbacks and interruptions, against a model of a few lines."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.publishing.helpers import assert_consistent, champion_id, id_of, run
from thaw.pipeline_config.errors import RequestError
from thaw.tasks.home import Home

ACCURACIES = {"a": 0.5, "b": 0.6, "c": 0.7, "d": 0.7}
RECIPES = ("cats", "digits")
recipes = st.sampled_from(RECIPES)
tags = st.sampled_from(sorted(ACCURACIES))


class RegistryMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.champions: dict[str, list[str]] = {recipe: [] for recipe in RECIPES}  # a stack of tags for each
        self.ever: set[tuple[str, str]] = set()
        self.declined: set[tuple[str, str]] = set()
        self.released: set[tuple[str, str]] = set()
        self.changes = 0

    def teardown(self) -> None:
        shutil.rmtree(self.home)

    def crown(self, recipe: str, tag: str) -> None:
        self.champions[recipe].append(tag)
        self.ever.add((recipe, tag))
        self.changes += 1

    @rule(recipe=recipes, tag=tags)
    def a_run_publishes(self, recipe: str, tag: str) -> None:
        stack = self.champions[recipe]
        wins = (recipe, tag) not in self.ever | self.declined and (not stack or ACCURACIES[tag] > ACCURACIES[stack[-1]])
        info = run(self.home, recipe, tag, ACCURACIES[tag])
        self.released.add((recipe, tag))
        if wins:
            self.crown(recipe, tag)
        assert info.is_champion == (self.champions[recipe][-1:] == [tag])

    @rule(recipe=recipes, tag=tags, approved=st.booleans())
    def a_person_is_asked(self, recipe: str, tag: str, approved: bool) -> None:
        stack = self.champions[recipe]
        is_settled = (recipe, tag) in self.ever | self.declined
        is_due = not is_settled and (not stack or ACCURACIES[tag] > ACCURACIES[stack[-1]])
        info = run(self.home, recipe, tag, ACCURACIES[tag], ask_first=True)
        self.released.add((recipe, tag))
        registry = Home.open(self.home).registry
        assert registry.is_due(info) == is_due
        registry.decide(info.id, approved=approved, by="someone", reason="test")
        if is_due and approved:
            self.crown(recipe, tag)
        elif is_due:
            self.declined.add((recipe, tag))
            self.changes += 1

    @precondition(lambda self: self.released)
    @rule(data=st.data())
    def someone_promotes(self, data: st.DataObject) -> None:
        recipe, tag = data.draw(st.sampled_from(sorted(self.released)))
        Home.open(self.home).registry.promote(id_of(recipe, tag), "test")
        if self.champions[recipe][-1:] != [tag]:
            self.crown(recipe, tag)

    @rule(recipe=recipes)
    def someone_rolls_back(self, recipe: str) -> None:
        stack = self.champions[recipe]
        if len(stack) < 2:
            with pytest.raises(RequestError):
                Home.open(self.home).registry.rollback(recipe, "test")
            return
        stack.pop()
        self.changes += 1
        assert Home.open(self.home).registry.rollback(recipe, "test").id == id_of(recipe, stack[-1])

    @rule(recipe=recipes)
    def a_pointer_is_lost(self, recipe: str) -> None:
        (self.home / "releases" / "champions" / f"{recipe}.json").unlink(missing_ok=True)

    @precondition(lambda self: self.changes)
    @rule(text=st.binary(max_size=20).filter(lambda text: b"\n" not in text))
    def a_line_is_torn(self, text: bytes) -> None:
        with (self.home / "releases" / "log.jsonl").open("ab") as file:
            file.write(b'{"sequence": 999, "rel' + text)

    @invariant()
    def the_champion_is_the_top_of_the_stack(self) -> None:
        for recipe in RECIPES:
            stack = self.champions[recipe]
            assert champion_id(self.home, recipe) == (id_of(recipe, stack[-1]) if stack else None)
        assert len(Home.open(self.home).registry.log()) == self.changes
        assert_consistent(self.home)


TestRandomHistories = RegistryMachine.TestCase
TestRandomHistories.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
