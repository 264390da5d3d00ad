"""Each check of `thaw doctor` finds what it is for, where that is really so."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import keras
import pytest
from prefect.settings import temporary_settings

from tests.doctor.test_contract import ROOT, assert_well_formed
from tests.flows.test_prefect_servers import Answers, stranger
from tests.support import silent_reporter, small_recipe, write_pictures
from thaw.flows.doctor import room
from thaw.flows.doctor.base import Check, Finding, Here
from thaw.flows.doctor.clock import Clock
from thaw.flows.doctor.computing import findings
from thaw.flows.doctor.home import HomeFolder, LocalDisk, file_system
from thaw.flows.doctor.room import MILLIONS_OF_WEIGHTS, Images, Room, estimate, images_here
from thaw.flows.doctor.server import PrefectServer
from thaw.flows.doctor.versions import Versions
from thaw.pipeline_config.backbones import BACKBONES
from thaw.pipeline_config.loading import load_recipe, parse_recipe
from thaw.tasks.formats.keras_file import KerasFile
from thaw.tasks.formats.look import look_around
from thaw.tasks.formats.look_request import Look
from thaw.tasks.training.backbones import NETWORKS

# Runs checks in mounts of its own, which end with the process.
IN_MOUNTS = """
import json, sys
from pathlib import Path
from thaw.flows.doctor.base import Here
from thaw.flows.doctor.home import HomeFolder, LocalDisk
from thaw.flows.doctor.room import Room
here = Here(Path(sys.argv[1]), None)
found = [finding for check in (HomeFolder(), LocalDisk(), Room()) for finding in check.examine(here)]
print(json.dumps([finding.model_dump() for finding in found]))
"""


def only(check: Check, home: Path, recipe: str | None = None) -> Finding:
    (finding,) = check.examine(Here(home, None if recipe is None else load_recipe(recipe)))
    assert_well_formed(finding)
    return finding


def mounted(tmp_path: Path, mount: str) -> list[Finding]:
    home = tmp_path / "home"
    home.mkdir()
    alone = ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', str(home)]
    done = subprocess.run(
        [*alone, sys.executable, "-c", IN_MOUNTS, str(home)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount:" in done.stderr:
        pytest.skip("only root may mount")
    found = [Finding.model_validate(each) for each in json.loads(done.stdout)]
    for finding in found:
        assert_well_formed(finding)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux has them")
def test_a_full_disk_in_memory_is_found(tmp_path: Path) -> None:
    home, kind, space = mounted(tmp_path, 'mount -t tmpfs -o size=1m tmpfs "$0"')
    assert home.level == "ok"
    assert (kind.level, kind.text[:33]) == ("warning", "The home folder is in memory (tmp")
    assert space.level == "error"
    assert space.text.startswith("0.00 GB are free; a run takes ")


@pytest.mark.skipif(sys.platform != "linux", reason="mounts as Linux has them")
def test_a_disk_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    home, _, _ = mounted(tmp_path, 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"')
    assert (home.level, home.text) == ("error", f"{tmp_path / 'home'} cannot be written by this user.")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_the_home_that_this_user_may_not_write_is_found(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir(mode=0o555)
    assert only(HomeFolder(), tmp_path).text == f"{tmp_path / 'keys'} cannot be written by this user."


def test_a_home_that_is_a_file_or_of_a_newer_thaw_or_damaged_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        assert only(HomeFolder(), home).level == "error"
    for content, words in (('{"schema_version": 99, "thaw": "9"}', "was written by thaw 9"), ("{", "is damaged")):
        (tmp_path / "home.json").write_text(content)
        finding = only(HomeFolder(), tmp_path)
        assert finding.level == "error"
        assert words in finding.text


def test_a_disk_that_other_machines_share_is_told_from_a_local_one() -> None:
    mounts = [("/", "ext4"), ("/data", "nfs4"), ("/data/fast", "xfs"), ("/database", "ext4"), ("/", "overlay")]
    kinds = {"/data/x": "nfs4", "/data": "nfs4", "/data/fast/x": "xfs", "/database/x": "ext4", "/home": "overlay"}
    assert {path: file_system(path, mounts) for path in kinds} == kinds


def test_a_network_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, level in (("nfs4", "warning"), ("fuse.sshfs", "warning"), ("fuse.local", "ok"), ("btrfs", "ok")):
        monkeypatch.setattr("thaw.flows.doctor.home.file_system", lambda *_, kind=kind: kind)
        assert only(LocalDisk(), tmp_path).level == level, kind


def test_a_clock_that_is_behind_what_the_home_has_seen_is_found(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "keys").mkdir()
    seen = tmp_path / "keys" / "one.json"
    seen.write_text("")
    assert only(Clock(), tmp_path).level == "ok"
    os.utime(seen, (time.time() + 7200,) * 2)
    finding = only(Clock(), tmp_path)
    assert finding.level == "warning"
    assert finding.text.endswith(f"{seen} is of 2.0 hours later.")
    monkeypatch.setattr(time, "time", lambda: 86400.0)
    assert only(Clock(), tmp_path / "none").text == "It is 1970-01-02 00:00 UTC by the clock, which is behind."


def test_the_estimate_counts_the_images_their_views_and_the_weights(tmp_path: Path) -> None:
    data = write_pictures(tmp_path / "data", each=3)
    recipe = small_recipe(data)
    images = images_here(recipe)
    assert images == Images(6, sum(path.stat().st_size for path in data.rglob("*.png")))
    tutorial = load_recipe("cats_dogs", data=data)
    assert estimate(tutorial, Images(3000, 10**8)) == pytest.approx(10**8 + 3000 * 4 * 50_000 + 16 * 9.2e6)
    assert images_here(load_recipe("digits")) == Images(0, 0)
    document = recipe.as_written()
    document["dataset"]["source"] = {"kind": "parquet", "path": {"train": str(data / "blue" / "*"), "test": "s3://b/x"}}
    assert images_here(parse_recipe(document)).files == 3


def test_too_little_room_for_the_recipe_is_a_warning(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(room, "_LEAST", shutil.disk_usage(tmp_path).free - 10**7)
    assert only(Room(), tmp_path).level == "ok"
    finding = only(Room(), tmp_path, "food101")
    assert finding.level == "warning"
    assert ", besides images that are not here yet" in finding.text


@pytest.mark.parametrize("name", ["SmallCNN", "MobileNetV2"])
def test_the_weights_are_as_many_as_the_network_has(name: str) -> None:
    assert set(MILLIONS_OF_WEIGHTS) == set(BACKBONES)
    keras.utils.clear_session()
    model = NETWORKS[name].build(include_top=False, weights=None, input_shape=(64, 64, 3), name="backbone")
    assert model.count_params() / 1e6 == pytest.approx(MILLIONS_OF_WEIGHTS[name], abs=0.06)


def test_a_server_that_does_not_answer_or_is_of_another_version_is_found(tmp_path: Path) -> None:
    ours = metadata.version("prefect")
    with temporary_settings({"api.url": None}):
        assert only(PrefectServer(), tmp_path).level == "ok"
        schedule = {"schedule": {"cron": "0 6 * * 1"}}
        (finding,) = PrefectServer().examine(Here(tmp_path, small_recipe(tmp_path, **schedule)))
        assert (finding.level, "which thaw serve needs" in finding.text) == ("warning", True)
    for theirs, level in ((ours, "ok"), ("3.0.0", "warning"), ("2.20.4", "error")):
        answers = Answers(200, "true", {"/api/admin/version": f'"{theirs}"'})
        with stranger(answers) as url, temporary_settings({"api.url": url}):
            finding = only(PrefectServer(), tmp_path)
        assert (finding.level, theirs in finding.text) == (level, True)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/api"
    with temporary_settings({"api.url": url}):
        finding = only(PrefectServer(), tmp_path)
    assert finding.level == "error"
    assert finding.text.startswith(f"Prefect's server at {url} cannot be reached: ")


def installed(folder: Path, name: str, version: str, *lines: str) -> None:
    """Put what pip leaves of a distribution into a folder."""
    (folder / f"{name}-{version}.dist-info").mkdir(parents=True)
    about = [f"Name: {name}", f"Version: {version}", *lines]
    (folder / f"{name}-{version}.dist-info" / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *about, ""]))


def levels(check: Check, home: Path) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in check.examine(Here(home, None))]


def test_other_versions_than_thaw_asks_for_or_the_lock_has_are_found(tmp_path: Path, monkeypatch) -> None:
    installed(tmp_path / "one", "keras", "2.0.0")
    monkeypatch.syspath_prepend(str(tmp_path / "one"))
    found = levels(Versions(), tmp_path)
    assert ("warning", f"keras is 2.0.0; thaw is made for {_asked_for('keras')}.") in found
    assert any(text.startswith("1 libraries are not those of requirements.lock: keras 2.0.0 (") for _, text in found)
    needs = ["Requires-Python: >=4", "Requires-Dist: no-such-thing>=2", 'Requires-Dist: nor-this; extra == "dev"']
    installed(tmp_path / "two", "thaw", "0.1.0", *needs)
    monkeypatch.syspath_prepend(str(tmp_path / "two"))
    errors = [text for level, text in levels(Versions(), tmp_path) if level == "error"]
    assert errors[0].endswith("thaw needs >=4.")
    assert errors[1:] == ["no-such-thing is not installed."]


def _asked_for(name: str) -> str:
    lines = (line for line in metadata.requires("thaw") or () if line.startswith(name))
    return next(lines).removeprefix(name)


def test_what_a_format_needs_and_is_not_there_is_found(monkeypatch) -> None:
    monkeypatch.setattr(KerasFile, "needs", ("no_such_module",))
    seen = look_around(Look(devices="cpu", formats=["keras"]), silent_reporter())
    missing, computes = findings(seen)
    for finding in (missing, computes):
        assert_well_formed(finding)
    assert (missing.level, missing.text) == ("error", "Format keras needs no_such_module, not installed here.")
    assert missing.remedy == "Run pip install no_such_module."
