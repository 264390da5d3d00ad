"""The statistics of paired comparisons: two models that answered for the same images. No TensorFlow.

All that they need is on how many images exactly one of the two is right: the discordant pairs. `docs/verdict.md` has
simulations of what follows from them.
"""

import math

from scipy.stats import binom, norm

_POWER = 0.8  # what `images_needed` asks for


def mid_p_mcnemar(gained: int, lost: int) -> float:
    """Compute the one-sided mid-p value of McNemar's test that the first model is right more often, 0 to 1.

    `gained` images are right in the first model alone, `lost` in the second alone. Fagerland, Lydersen and Laake, "The
    McNemar test for binary matched-pairs data", 2013: the exact test is too cautious, this one hardly ever too bold.
    """
    discordant = gained + lost
    return float(binom.sf(gained, discordant, 0.5) + 0.5 * binom.pmf(gained, discordant, 0.5))


def tango_p(gained: int, lost: int, images: int, margin: float) -> float:
    """Compute the p value, 0 to 1, that the first model's accuracy is not lower by `margin`, 0 to 1, or more.

    Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
    1998: the score test, whose variance is that of the most likely shares of which the difference is -margin.
    """
    difference = -margin
    linear = -gained - lost + (2 * images - gained + lost) * difference
    constant = -lost * difference * (1 - difference)
    share_lost = (math.sqrt(max(linear**2 - 8 * images * constant, 0.0)) - linear) / (4 * images)
    variance = images * (2 * share_lost + difference * (1 - difference))
    distance = gained - lost - images * difference
    if variance <= 0:  # no image tells the two apart, and no loss is asked about
        return 0.5
    return float(norm.sf(distance / math.sqrt(variance)))


def images_needed(gain: float, discordance: float, confidence: float) -> int:
    """Estimate how many images would show, four times of five, that a true gain in accuracy is one.

    `gain`, above 0, is a difference of accuracies; `discordance`, at least that, is the share of images on which
    exactly one of the two models is right. Connor, "Sample size for testing differences in proportions for the
    paired-sample design", 1987.
    """
    discordance = max(discordance, gain)
    spread = norm.ppf(confidence) * math.sqrt(discordance) + norm.ppf(_POWER) * math.sqrt(discordance - gain**2)
    return math.ceil((float(spread) / gain) ** 2)
