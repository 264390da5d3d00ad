"""A run says that its recipe's file is another now."""

from pathlib import Path

import pytest

from thaw.flows import served_files


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(served_files._VARIABLE, raising=False)
    path = tmp_path / "flowers.yaml"
    path.write_text("name: flowers\n")
    served_files.note_file("flowers", path)
    return path


def test_a_file_that_is_as_it_was_and_a_recipe_without_one_need_no_word(file: Path) -> None:
    served_files.note_file("roses", file.with_name("roses.yaml"))
    file.write_text(file.read_text())
    assert served_files.changed_file("flowers") is None
    assert served_files.changed_file("digits") is None


@pytest.mark.parametrize("change", [lambda path: path.write_text("name: flowers\nseed: 1\n"), Path.unlink])
def test_a_file_that_has_changed_or_is_gone_is_named(file: Path, change: object) -> None:
    assert callable(change)
    change(file)
    words = served_files.changed_file("flowers")
    assert words is not None
    assert "flowers.yaml has changed since thaw serve has read it" in words
    assert len(words.splitlines()) == 1
