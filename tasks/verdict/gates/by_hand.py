"""Rules that leave the decision to people, before a run or after it."""

from thaw.pipeline_config.publish_schema import Always, Never
from thaw.tasks.releases.verdict import Comparison
from thaw.tasks.verdict.gates.base import Decision, Gate, Rival


class NeverGate(Gate[Never]):
    """Compares, and leaves the champion's place to `thaw releases promote`."""

    def decide(self, champion: Rival, anchor: Rival | None) -> Decision:
        """Promote nothing."""
        del anchor
        return Decision(self.shown(champion.compared), promote=False, why="Rule never: promote it by hand.")

    def first(self, compared: Comparison) -> bool:
        """Promote nothing."""
        del compared
        return False


class AlwaysGate(Gate[Always]):
    """Compares, and promotes whatever comes out."""

    opens_unasked = True

    def decide(self, champion: Rival, anchor: Rival | None) -> Decision:
        """Promote everything."""
        del anchor
        return Decision(self.shown(champion.compared), promote=True, why="Rule always: every model is promoted.")

    def first(self, compared: Comparison) -> bool:
        """Promote everything."""
        del compared
        return True
