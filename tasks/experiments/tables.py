"""The comparison as tables of words, for a terminal, for Markdown and for the Prefect UI."""

from collections.abc import Sequence
from dataclasses import dataclass

from thaw.tasks.evaluation.paired_difference import Difference
from thaw.tasks.experiments.summary import Comparison, PairRow, RecipeRow, Spread, StageRow

_WHOLE_SECONDS = 10  # from here on, tenths say nothing


@dataclass(frozen=True)
class WordTable:
    """A table to read."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def records(self) -> list[dict[str, str]]:
        """Give a mapping from column to words for each row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def markdown(self) -> str:
        """Write it as Markdown."""
        lines = [self.columns, tuple("---" for _ in self.columns), *self.rows]
        return "\n".join("| " + " | ".join(words) + " |" for words in lines)


def word_tables(comparison: Comparison) -> list[WordTable]:
    """Put a comparison into words: the recipes, their stages, and their pairs if there is more than one recipe."""
    tables = [_recipes(comparison.recipes), _stages(comparison.recipes)]
    return [*tables, _pairs(comparison.pairs)] if comparison.pairs else tables


def _table(title: str, records: Sequence[dict[str, str]]) -> WordTable:
    return WordTable(title, tuple(records[0]), [tuple(record.values()) for record in records])


def _recipes(rows: Sequence[RecipeRow]) -> WordTable:
    return _table(
        f"{conditions(rows)} Mean (lowest–highest) over the seeds; of the memory, the highest.",
        [
            {
                "recipe": row.recipe,
                "test accuracy": _spread(row.accuracy, 4),
                "test loss": _spread(row.loss, 3),
                **_costs("one", row.stage_one),
                **_costs("two", row.stage_two),
            }
            for row in rows
        ],
    )


def conditions(rows: Sequence[RecipeRow]) -> str:
    """Say, in one or two sentences, on what the recipes were compared: they have the same seeds and test images."""
    seeds = rows[0].seeds
    of_one = " One seed compares the models that it made: of the recipes it says nothing." if len(seeds) == 1 else ""
    name = "Seed" if len(seeds) == 1 else "Seeds"
    return f"{name} {', '.join(map(str, seeds))}; {rows[0].test_images:,} test images.{of_one}"


def _stages(rows: Sequence[RecipeRow]) -> WordTable:
    return _table(
        "What stage two earned, and what its resolution alone earned: test accuracy, and points with 95 % intervals.",
        [
            {
                "recipe": row.recipe,
                "stage one": _at(row.stage_one, row.stage_one_accuracy),
                "stage one's weights, stage two's resolution": _at(row.stage_two, row.stage_one_at_stage_two_accuracy),
                "stage two": _at(row.stage_two, row.stage_two_accuracy),
                "resolution earned": points(row.resolution_earned),
                "stage two earned": points(row.stage_two_earned),
            }
            for row in rows
        ],
    )


def _pairs(rows: Sequence[PairRow]) -> WordTable:
    return WordTable(
        "Each pair: test accuracy of the first less that of the second, in points, with its paired 95 % interval.",
        ("first", "second", "difference", "verdict"),
        [(row.first, row.second, points(row.difference), row.verdict) for row in rows],
    )


def points(difference: Difference) -> str:
    """Write a difference in percentage points, for example "+2.10 (+0.40 to +3.80)"."""
    low, high = _signed(difference.low), _signed(difference.high)
    return f"{_signed(difference.estimate)} ({low} to {high})"


def _signed(share: float) -> str:
    text = f"{100 * share:+.2f}"
    return "0.00" if float(text) == 0 else text


def _at(stage: StageRow, accuracy: Spread) -> str:
    return f"{_spread(accuracy, 4)} at {stage.resolution} px"


def _costs(name: str, stage: StageRow) -> dict[str, str]:
    peak = "unknown" if stage.peak_memory_bytes is None else f"{stage.peak_memory_bytes / 1e6:,.0f}"
    return {
        f"{name}: seconds": _spread(stage.seconds, 0 if stage.seconds.mean >= _WHOLE_SECONDS else 1),
        f"{name}: images/s": _spread(stage.images_per_second, 0),
        f"{name}: peak MB": peak,
    }


def _spread(spread: Spread, digits: int) -> str:
    mean = f"{spread.mean:.{digits}f}"
    return mean if spread.low == spread.high else f"{mean} ({spread.low:.{digits}f}–{spread.high:.{digits}f})"
