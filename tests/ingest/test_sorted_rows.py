"""More rows than memory is to hold come in the same order as from `sorted`, as often as one asks."""

import errno
import gc
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.ingest import sorted_rows
from thaw.tasks.ingest.sorted_rows import SortedRows


class Row(NamedTuple):
    """Something of each kind of value."""

    name: str
    number: int
    share: float
    words: tuple[str, ...]


rows = st.lists(
    st.builds(Row, st.text(max_size=3), st.integers(-3, 2**70), st.sampled_from([0.5, 1.5]), st.just(("é", "\udc80")))
)


@pytest.fixture(autouse=True, scope="module")
def few_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_rows, "_ROWS_AT_ONCE", 4)
        patch.setattr(sorted_rows, "_ROWS_IN_A_BLOCK", 3)
        yield


@given(rows)
def test_rows_come_in_order_each_time_and_are_what_they_were(given_rows: Sequence[Row]) -> None:
    kept = SortedRows(Row._make, iter(given_rows))
    assert len(kept) == len(given_rows)
    for _ in range(2):
        found = list(kept)
        assert found == sorted(given_rows)
        assert all(type(row) is Row for row in found)


@given(rows, st.booleans())
def test_rows_of_the_same_key_stay_in_the_order_in_which_they_came(given_rows: Sequence[Row], are_sorted: bool) -> None:
    def key(row: Row) -> Any:
        return row.share

    if are_sorted:
        given_rows = sorted(given_rows, key=key)
    assert list(SortedRows(Row._make, given_rows, key=key)) == sorted(given_rows, key=key)


def test_several_may_go_through_the_same_rows_at_once() -> None:
    kept = SortedRows(tuple, ((number % 7, number) for number in range(50)))
    assert [one for one, other in zip(kept, kept, strict=True) if one != other] == []


def test_rows_outlive_the_name_by_which_they_were_known() -> None:
    found = iter(SortedRows(tuple, ((number % 7, number) for number in range(50))))
    gc.collect()
    assert len(list(found)) == 50
    single_run = iter(SortedRows(tuple, ((number,) for number in range(50))))
    gc.collect()
    assert len(list(single_run)) == 50


def test_few_rows_make_no_file_and_the_file_of_many_has_no_name(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = psutil.Process().num_fds()
    few = SortedRows(tuple, [(2,), (1,)])
    assert psutil.Process().num_fds() == before
    many = SortedRows(tuple, ((number,) for number in range(50)))
    assert psutil.Process().num_fds() == before + 1
    assert list(tmp_path.iterdir()) == []
    assert (len(few), len(many)) == (2, 50)
    del many
    assert psutil.Process().num_fds() == before


def test_a_full_disk_is_named_in_one_line(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(ArtifactError, match=rf"{tmp_path} cannot be written: No space left on device\. Make room"):
        SortedRows(tuple, ((number,) for number in range(50)))
