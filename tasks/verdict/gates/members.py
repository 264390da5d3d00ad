"""The gates that there are."""

from typing import Any

from thaw.pipeline_config.publish_schema import Always, Better, Higher, Never, NotWorse, Rule
from thaw.tasks.verdict.gates.base import Gate
from thaw.tasks.verdict.gates.better import BetterGate
from thaw.tasks.verdict.gates.by_hand import AlwaysGate, NeverGate
from thaw.tasks.verdict.gates.higher import HigherGate
from thaw.tasks.verdict.gates.not_worse import NotWorseGate

GATES: dict[type[Rule], type[Gate[Any]]] = {
    Better: BetterGate,
    NotWorse: NotWorseGate,
    Higher: HigherGate,
    Never: NeverGate,
    Always: AlwaysGate,
}


def gate_of(rule: Rule) -> Gate[Any]:
    """Find the gate for a rule of a recipe."""
    return GATES[type(rule)](rule)
