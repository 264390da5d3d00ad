"""What is shown not to be worse by more than a margin is promoted: newer, where nothing is lost by it."""

from thaw.pipeline_config.publish_schema import NotWorse
from thaw.tasks.verdict.gates.base import Decision, Gate, Rival
from thaw.tasks.verdict.statistics import tango_p


class NotWorseGate(Gate[NotWorse]):
    """Tango's test against the champion, and against the anchor, so that many small steps down cannot add up."""

    def decide(self, champion: Rival, anchor: Rival | None) -> Decision:
        """Promote what is shown to be less than the margin below both."""
        rivals = [champion, *([anchor] if anchor else [])]
        failed = [rival.release for rival in rivals if self._p(rival) > self.level]
        shown, margin = self.shown(champion.compared), f"{self.rule.margin * 100:g} points"
        if failed:
            why = f"It is not shown to be less than {margin} below {' and '.join(failed)}.{self._too_small(champion)}"
            return Decision("worse" if shown == "worse" else "not shown", promote=False, why=why)
        why = f"It is shown to be less than {margin} below {' and '.join(rival.release for rival in rivals)}."
        return Decision("better" if shown == "better" else "not worse", promote=True, why=why)

    def _p(self, rival: Rival) -> float:
        compared = rival.compared
        return tango_p(compared.gained, compared.lost, compared.images, self.rule.margin)

    def _too_small(self, champion: Rival) -> str:
        """Warn where even a model with the same answers would not pass."""
        images = champion.compared.images
        if tango_p(0, 0, images, self.rule.margin) <= self.level:
            return ""
        return (
            f" On {images} images not even the same answers would show that: use more test images, or a larger "
            "publish.require.margin."
        )
