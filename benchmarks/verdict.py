"""How often each rule promotes models whose true accuracies are known: simulated answers, the gates' own code.

A world has a test split of `images`. Equal models have equal chances to be right: some images every model has right or
wrong, and on the others, twice the discordance, each model is right with a chance of one half. A model that is truly
better or worse is right on some of these more often. Prints a Markdown table; seeded.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import typer
from numpy.typing import NDArray

from thaw.pipeline_config.publish_schema import Better, Higher, NotWorse, Rule
from thaw.tasks.evaluation.intervals import agresti_min_interval
from thaw.tasks.releases.verdict import Comparison
from thaw.tasks.verdict.gates.base import Decision, Rival
from thaw.tasks.verdict.gates.members import gate_of
from thaw.tasks.verdict.statistics import mid_p_mcnemar

RULES: dict[str, Rule] = {
    "higher": Higher(rule="higher"),
    "better, 0.9": Better(rule="better", confidence=0.9),
    "not_worse by 1 point, 0.95": NotWorse(rule="not_worse", margin=0.01, confidence=0.95),
}
SPLITS = [(188, 0.03), (188, 0.12), (600, 0.03), (600, 0.12)]
GAINS = (-0.02, -0.01, 0.0, 0.01, 0.02)
WEEKS = 52

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """A test split, and how far models differ on it: `discordance` is a share of images, `seed_sd` in accuracy."""

    images: int
    discordance: float
    seed_sd: float = 0.0

    def answers(self, gain: float, random: np.random.Generator) -> Bools:
        """Say by image whether a model is right that is better by `gain` in true accuracy."""
        unsure = 2 * self.discordance
        chance = min(max(0.5 + gain / unsure, 0.0), 1.0)
        right = random.random(self.images) < chance
        right[round(unsure * self.images) :] = True
        return right


@cache
def decide(rule: Rule, champion: tuple[int, int], anchor: tuple[int, int] | None, images: int) -> Decision:
    """Ask the gate, which goes by the numbers of images that the new model alone has right, and the other alone."""
    rival = None if anchor is None else Rival("anchor", comparison(*anchor, images))
    return gate_of(rule).decide(Rival("champion", comparison(*champion, images)), rival)


def comparison(gained: int, lost: int, images: int) -> Comparison:
    return Comparison(
        images=images,
        left_out=0,
        gained=gained,
        lost=lost,
        accuracy=gained / images,
        other_accuracy=lost / images,
        difference_ci=agresti_min_interval(gained, lost, images, 0.95),
        p_better=mid_p_mcnemar(gained, lost),
        p_worse=mid_p_mcnemar(lost, gained),
    )


def discordant(new: Bools, old: Bools) -> tuple[int, int]:
    return int((new & ~old).sum()), int((old & ~new).sum())


def promoted(rule: Rule, world: World, gain: float, *, pairs: int, seed: int) -> float:
    """The share of new models, each truly better by `gain` than a champion of its own, that the rule promotes."""
    random = np.random.default_rng(seed)
    hits = 0
    for _ in range(pairs):
        pair = discordant(world.answers(gain, random), world.answers(0.0, random))
        hits += decide(rule, pair, None, world.images).promote
    return hits / pairs


@dataclass(frozen=True)
class Year:
    """What a year of weekly retrains led to: `loss` is the anchor's true accuracy less the last champion's."""

    promotions: int
    loss: float
    champion: Bools
    gain: float


def year(rule: Rule, world: World, random: np.random.Generator) -> Year:
    """Retrain every week, with the seed's chance in true accuracy, and promote by the rule."""

    def retrain() -> tuple[float, Bools]:
        gain = float(random.normal(0, world.seed_sd)) if world.seed_sd else 0.0
        return gain, world.answers(gain, random)

    anchor = champion = retrain()
    promotions = 0
    for _ in range(WEEKS):
        new = retrain()
        against = None if champion is anchor or not rule.uses_anchor else discordant(new[1], anchor[1])
        decision = decide(rule, discordant(new[1], champion[1]), against, world.images)
        if decision.promote:
            champion, promotions = new, promotions + 1
            anchor = new if decision.outcome != "not worse" else anchor
    return Year(promotions, anchor[0] - champion[0], champion[1], champion[0])


def after_a_year(rule: Rule, world: World, gain: float, *, years: int, seed: int) -> tuple[list[Year], float]:
    """Years of retrains, and how often a model is promoted then that is truly better than the champion by `gain`."""
    random = np.random.default_rng(seed)
    found = [year(rule, world, random) for _ in range(years)]
    hits = 0
    for each in found:
        new = world.answers(each.gain + gain, random)
        hits += decide(rule, discordant(new, each.champion), None, world.images).promote
    return found, hits / years


def main(pairs: int = 2000, years: int = 400, seed: int = 0) -> None:
    """Print both tables."""
    print("| images / discordance | rule | " + " | ".join(f"{gain * 100:+.0f}" for gain in GAINS) + " |")
    print("|---|---|" + "---|" * len(GAINS))
    for images, discordance in SPLITS:
        for name, rule in RULES.items():
            shares = [promoted(rule, World(images, discordance), gain, pairs=pairs, seed=seed) for gain in GAINS]
            print(f"| {images} / {discordance} | {name} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")
    print(
        "\n| images / seed sd | rule | promotions a year | loss below the anchor, 95 % of years | +2 points after it |"
    )
    print("|---|---|---|---|---|")
    for images, seed_sd in ((188, 0.0), (600, 0.0), (600, 0.003)):
        world = World(images, 0.03, seed_sd)
        for name, rule in RULES.items():
            found, share = after_a_year(rule, world, 0.02, years=years, seed=seed)
            fresh = promoted(rule, replace(world, seed_sd=0.0), 0.02, pairs=pairs, seed=seed)
            mean = np.mean([each.promotions for each in found])
            loss = np.quantile([each.loss for each in found], 0.95) * 100
            figures = (f"{mean:.1f}", f"{loss:.2f} points", f"{share:.2f} ({fresh:.2f})")
            print(f"| {images} / {seed_sd} | {name} | {' | '.join(figures)} |")


if __name__ == "__main__":
    typer.run(main)
