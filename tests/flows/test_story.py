"""What the list of runs tells of a run: by what it was started, and how it came out."""

from typing import Any, get_args
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun

from tests.report.synthetic import make_verdict
from thaw.flows.story import LAST_STATES, outcome, state_of, trigger_of
from thaw.tasks.releases.verdict import Outcome


@pytest.mark.parametrize(
    ("facts", "trigger"),
    [
        ({"auto_scheduled": True}, "schedule"),
        ({"created_by": {"type": "AUTOMATION", "display_value": "new photos"}}, "event"),
        ({"created_by": {"type": "USER"}}, "by hand"),
        ({}, "by hand"),
    ],
)
def test_a_run_says_what_it_was_started_by(facts: dict[str, object], trigger: str) -> None:
    assert trigger_of(FlowRun.model_validate({"flow_id": uuid4(), **facts})) == trigger


def test_the_outcome_is_the_accuracy_the_difference_to_the_champion_and_what_became_of_it() -> None:
    assert outcome("flowers", make_verdict(), "Not shown") == "flowers: 0.922 (+0.014), not shown"
    assert outcome("flowers", make_verdict(champion=None), "Promoted") == "flowers: 0.922, promoted"


@pytest.mark.parametrize("verdict", get_args(Outcome))
def test_whatever_becomes_of_a_model_the_automation_for_lost_runs_knows_the_state(verdict: Any) -> None:
    given = make_verdict(verdict=verdict, promote=False)
    assert {state_of(given, is_champion=is_champion) for is_champion in (True, False)} <= {*LAST_STATES}
