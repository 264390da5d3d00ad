"""Images that an earlier dataset has are read and hashed, but not decoded again; what is written is the same."""

from pathlib import Path
from typing import Any

import pytest

from tests.ingest.pictures import THREE_SPLITS, directory, encode, fill, ingest_step, jpeg, picture
from tests.support import build_here
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.ingest import scan
from thaw.tasks.ingest.step import IngestWork
from thaw.tasks.ingest.work import ingest
from thaw.tasks.pictures.files import inspect


def test_only_images_that_no_earlier_dataset_has_are_decoded_and_the_bytes_are_those_of_a_run_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = fill(tmp_path / "data", THREE_SPLITS)
    decoded = []

    def inspecting(encoded: bytes, max_pixels: int) -> object:
        decoded.append(encoded)
        return inspect(encoded, max_pixels)

    monkeypatch.setattr(scan, "inspect", inspecting)

    def run(home: str, **settings: Any) -> tuple[ArtifactRef, list[bytes]]:
        decoded.clear()
        return build_here(tmp_path / home, ingest_step(directory(data), **settings), IngestWork, ingest), [*decoded]

    assert len(run("home")[1]) == 24
    cats = data / "train" / "cats"
    first, second, third, _ = sorted(cats.iterdir())
    first.unlink()
    second.write_bytes(jpeg(300))
    third.rename(data / "test" / "dogs" / third.name)
    (cats / "new.png").write_bytes(encode(picture(301, (31, 17)), "PNG"))
    ref, anew = run("home")
    assert sorted(anew) == sorted([second.read_bytes(), (cats / "new.png").read_bytes()])
    from_nothing, all_of_them = run("other")
    assert (ref, 24) == (from_nothing, len(all_of_them))
    assert len(run("home", max_pixels=10**6)[1]) == 24  # another limit, by which each is judged anew
