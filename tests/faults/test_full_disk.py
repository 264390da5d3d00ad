"""A disk that is full while a library writes, in the process of a step: one line with the file, and what to do."""

import errno
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.faults.full_disk import WRITERS
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.refusals import full_disk, writing
from thaw.tasks.children import run_in_child
from thaw.tasks.home import Home
from thaw.tasks.process import Work


def run(function: str, folder: Path) -> Any:
    work = Work(home=Home.open(folder / "home"), folder=folder)
    name = f"tests.faults.full_disk:{function}"
    return run_in_child(name, work, deadline_seconds=120, listener=lambda *_: None).facts


def test_every_library_that_meets_the_end_of_the_room_has_its_file_named(tmp_path: Path) -> None:
    messages = run("fill_with_each", tmp_path)
    assert list(messages) == list(WRITERS)
    for name, message in messages.items():
        assert message.startswith(f"{tmp_path / name / name}"), message
        assert re.search(r" cannot be written: (File too large|only a part of it was)\. ", message), message
        assert message.endswith("and run again."), message
        assert "\n" not in message


def test_the_process_of_a_step_says_so_instead_of_what_the_library_said(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=rf"^{tmp_path}/text cannot be written: File too large\. Allow larger"):
        run("fill", tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_where_there_is_no_room_thaw_gc_is_named(tmp_path: Path, code: int) -> None:
    end = f"cannot be written: {os.strerror(code)}. Make room, for example with thaw gc, and run again."
    library = ValueError(f"while writing: {os.strerror(code)} [Op:SaveV2]")
    assert str(full_disk(library, tmp_path)) == f"{tmp_path} {end}"
    wrapped = RuntimeError("closed")
    wrapped.__context__ = OSError(code, os.strerror(code), "elsewhere/file")
    assert str(full_disk(wrapped, tmp_path)) == f"elsewhere/file {end}"
    with pytest.raises(ArtifactError, match=re.escape(f"{tmp_path} {end}")), writing(tmp_path):
        raise OSError(code, os.strerror(code))


def test_another_error_is_no_full_disk(tmp_path: Path) -> None:
    assert full_disk(ValueError("shapes differ"), tmp_path) is None
    assert full_disk(PermissionError(errno.EACCES, os.strerror(errno.EACCES)), tmp_path) is None
