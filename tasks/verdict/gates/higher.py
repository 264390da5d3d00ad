"""The higher number wins, be it by one image."""

from thaw.pipeline_config.publish_schema import Higher
from thaw.tasks.verdict.gates.base import Decision, Gate, Rival


class HigherGate(Gate[Higher]):
    """What unpaired tools do, on the same images at least. Of equal models it promotes every second that differs."""

    def decide(self, champion: Rival, anchor: Rival | None) -> Decision:
        """Promote what is right on more images."""
        del anchor
        compared, outcome = champion.compared, self.shown(champion.compared)
        promote = compared.gained > compared.lost
        return Decision(outcome, promote, "Rule higher: more images decide." if promote else "")
