"""Only what is shown to be better is promoted."""

from thaw.pipeline_config.publish_schema import Better
from thaw.tasks.verdict.gates.base import Decision, Gate, Rival


class BetterGate(Gate[Better]):
    """McNemar's test: of the images on which one alone is right, are there too many of the new model's for chance?"""

    def decide(self, champion: Rival, anchor: Rival | None) -> Decision:
        """Promote what is shown to be better."""
        del anchor
        outcome = self.shown(champion.compared)
        return Decision(outcome, outcome == "better", self.needed(champion.compared) if outcome == "not shown" else "")
