"""Any sequence of runs, promotions, rollbacks, unfinished work, time and clean-ups, against a model of a few lines."""

import tempfile
import time
from collections import defaultdict
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.cleanup import homes
from thaw.pipeline_config.errors import RequestError
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.cleanup.collect import collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home

ACCURACIES = {"a": 0.5, "b": 0.6, "c": 0.7, "d": 0.65}
RECIPES = ("cats", "digits")
recipes = st.sampled_from(RECIPES)
tags = st.sampled_from(sorted(ACCURACIES))
data = st.sampled_from(["photos", "drawings"])


class HomeMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.home = Path(self.folder.name)
        self.runs: dict[str, list[homes.Run]] = defaultdict(list)  # by release
        self.made: list[str] = []  # ids of releases, by the last run that made something
        self.young_releases: set[str] = set()
        self.young_artifacts: set[ArtifactRef] = set()

    def teardown(self) -> None:
        self.folder.cleanup()

    @rule(recipe=recipes, tag=tags, data=data)
    def a_run(self, recipe: str, tag: str, data: str) -> None:
        run = homes.run(self.home, recipe, tag, ACCURACIES[tag], data)
        if run not in self.runs[run.release]:
            self.runs[run.release].append(run)
            self.made = [release for release in self.made if release != run.release] + [run.release]
        self.young_releases.add(run.release)
        self.young_artifacts |= set(run.refs.values())

    @rule(data=data)
    def a_run_that_dies(self, data: str) -> None:
        builder, _ = homes.begin_run(self.home, data)
        self.young_artifacts |= set(builder.refs.values())

    @precondition(lambda self: self.runs)
    @rule(choice=st.data())
    def someone_promotes(self, choice: st.DataObject) -> None:
        Home.open(self.home).registry.promote(choice.draw(st.sampled_from(sorted(self.runs))), "test")

    @precondition(lambda self: self.runs)
    @rule(recipe=recipes)
    def someone_rolls_back(self, recipe: str) -> None:
        try:
            Home.open(self.home).registry.rollback(recipe, "test")
        except RequestError as error:
            assert "had no champion before" in str(error) or "has no champion" in str(error)  # noqa: PT017

    @rule()
    def time_passes(self) -> None:
        homes.let_time_pass(self.home)
        self.young_releases, self.young_artifacts = set(), set()

    @precondition(lambda self: self.runs)
    @rule(count=st.integers(0, 3), dry_run=st.booleans())
    def someone_cleans_up(self, count: int, dry_run: bool) -> None:
        needed = Home.open(self.home).registry.needed()
        before = homes.files_in(self.home)
        limits = Limits(count, young_after=time.time() - homes.DAY)
        collected = collect_garbage(Home.open(self.home), limits, dry_run=dry_run)
        assert not collected.warnings
        if dry_run:
            assert homes.files_in(self.home) == before
            return
        last = {
            release
            for recipe in RECIPES
            for release in [made for made in self.made if made.startswith(recipe)][-count or len(self.made) :]
        }
        kept = needed | last | self.young_releases
        assert homes.releases_in(self.home) == kept
        self.runs = defaultdict(list, {release: self.runs[release] for release in kept})
        self.made = [release for release in self.made if release in kept]
        of_runs = {ref for runs in self.runs.values() for run in runs for ref in run.refs.values()}
        assert homes.artifacts_in(self.home) == of_runs | self.young_artifacts
        assert Home.open(self.home).registry.needed() == needed
        homes.assert_complete(self.home)
        assert all(run.is_up_to_date(self.home) for runs in self.runs.values() for run in runs)
        # That they were asked for made the runs recent.
        self.young_releases |= set(self.runs)
        assert collect_garbage(Home.open(self.home), Limits(0, limits.young_after), dry_run=True).garbage == []


TestRandomHomes = HomeMachine.TestCase
TestRandomHomes.settings = settings(
    max_examples=12, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
