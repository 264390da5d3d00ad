"""How `thaw releases show` and `diff` print: laid out for a terminal, and as plain text for everything else."""

import pytest

from tests.publishing.helpers import run
from tests.verdict.tables import comparison
from thaw.flows.commands.releases import print_release, write_difference
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.verdict.difference_request import Difference, Flip

CARD = """\
---
library_name: keras
---

# cats-1

| metric | value |
|---|---|
| accuracy of [cats] | 0.9 |
"""


def shown(home, capsys, card):
    release = run(home, "cats", "a", 0.9)
    (release.path / "README.md").write_text(card)
    write_checksums(release.path)
    print_release(release.id, home, as_json=False)
    return capsys.readouterr().out


def test_a_card_is_written_as_it_is_where_no_terminal_reads_it(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert shown(tmp_path, capsys, CARD) == CARD + "\n"


@pytest.mark.parametrize("card", [CARD, CARD.partition("---\n\n")[2]], ids=["today", "without metadata"])
def test_a_card_is_laid_out_in_a_terminal_without_the_block_for_hubs(tmp_path, capsys, monkeypatch, card):
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = shown(tmp_path, capsys, card)
    assert "cats-1" in text
    assert "accuracy of [cats]" in text
    assert "|---|" not in text
    assert "library_name" not in text


def flip(number: int, *, is_right: bool) -> Flip:
    said = ("cat", "dog") if is_right else ("dog", "cat")
    return Flip(
        id=f"{number:064x}",
        file=f"cats/[{number}].jpg" if number else None,
        class_name="cat",
        judged_class=said[0],
        judged_probability=0.75,
        other_class=said[1],
        other_probability=0.5,
    )


def difference(gained: int, lost: int) -> Difference:
    return Difference(
        judged="cats-b",
        other="cats-a",
        verdict="not shown",
        reason="On 100 test images.",
        compared=comparison(gained, lost, 100),
        flips=[flip(number, is_right=number >= lost) for number in range(gained + lost)],
    )


def test_a_difference_names_what_got_worse_and_what_got_better_up_to_a_bound(capsys):
    write_difference(difference(gained=2, lost=23))
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[:2] == ["not shown: On 100 test images.", "Accuracy: cats-b 0.7700, cats-a 0.9800."]
    assert lines.index("cats-b alone is wrong: 23") < lines.index("and 3 more, which --json lists")
    assert lines.index("and 3 more, which --json lists") < lines.index("cats-b alone is right: 2")
    assert "0" * 64 in text  # an image whose file nothing names any more
    assert [line.split() for line in lines if line.startswith("cats/[24].jpg")] == [
        ["cats/[24].jpg", "cat", "cat", "0.75", "dog", "0.50"]
    ]


def test_releases_that_answer_alike_have_no_list(capsys):
    write_difference(difference(gained=0, lost=0))
    assert len(capsys.readouterr().out.splitlines()) == 2
