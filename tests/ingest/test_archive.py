"""The archive as a source: fetched once, checked before each use, and never for a plan."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback

import pytest

from tests.ingest.archives import HOSTILE, pack, sha256
from tests.ingest.file_server import FileServer, answer, cut, fail
from tests.ingest.pictures import NO_HOME, Recorder, jpeg
from tests.support import build_records, small_recipe
from thaw.flows import requests
from thaw.pipeline_config.dataset_schema import ArchiveSource
from thaw.pipeline_config.errors import DatasetError, DownloadError
from thaw.pipeline_config.schema import Recipe
from thaw.pipeline_config.yaml_dialect import write_yaml
from thaw.tasks import pace
from thaw.tasks.cleanup.collect import collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home
from thaw.tasks.ingest import download
from thaw.tasks.ingest.sources import content_digest, open_source
from thaw.tasks.publishing.portable_recipe import portable_recipe, recipe_yaml

FORK = multiprocessing.get_context("fork")
FILES = {f"photos/{name}/{seed:03}.jpg": jpeg(seed) for seed in range(60) for name in (("cats", "dogs")[seed % 2],)}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(download, "_FIRST_PAUSE", 0.001)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server(tmp_path):
    content = pack(tmp_path / "x.tar.gz", FILES, "tar.gz").read_bytes()
    with FileServer(content).running() as running:
        yield running


@pytest.fixture
def config(server):
    return ArchiveSource(kind="archive", url=server.url, sha256=server.sha256, subdirectory="photos")


def fetch(config, home, report=None):
    source = open_source(config, Home.open(home))
    source.fetch(report or Recorder())
    return source


def unpacked(home):
    (folder,) = (home / "artifacts" / "archive").iterdir()
    return folder


def test_images_are_those_of_the_folder_in_it(config, server, tmp_path):
    source = fetch(config, tmp_path / "home")
    assert source.splits() == {"train"}
    assert source.classes() == ("cats", "dogs")
    assert source.count() == 60
    first = next(source.examples())
    assert (first.origin, first.class_name) == ("cats/000.jpg", "cats")
    assert first.read() == source.read_again("cats/000.jpg") == jpeg(0)


def test_it_is_fetched_once_for_all_steps_and_the_archive_is_not_kept(config, server, tmp_path):
    home = tmp_path / "home"
    recipe = small_recipe(tmp_path, dataset={"source": config.model_dump()})
    build_records(home, recipe)
    assert len(server.requests) == 1
    assert list((home / "downloads").iterdir()) == []
    build_records(home, recipe.model_copy(update={"seed": 9}))
    assert len(server.requests) == 1


def test_files_that_went_after_ingest_are_fetched_again_for_the_records(config, server, tmp_path):
    home, recipe = tmp_path / "home", small_recipe(tmp_path, dataset={"source": config.model_dump()})
    build_records(home, recipe)
    shutil.rmtree(home / "artifacts" / "records")
    shutil.rmtree(home / "artifacts" / "archive")
    build_records(home, recipe)
    assert len(server.requests) == 2


def test_a_flipped_bit_in_an_unpacked_file_is_noticed(config, server, tmp_path):
    fetch(config, tmp_path)
    image = unpacked(tmp_path) / "files" / "photos" / "cats" / "000.jpg"
    image.write_bytes(image.read_bytes()[:-1] + b"\0")
    report = Recorder()
    assert fetch(config, tmp_path, report).read_again("cats/000.jpg") == jpeg(0)
    (warning,) = report.told("warning")
    assert f"{image} was altered" in warning
    assert len(server.requests) == 2


def test_the_key_is_what_is_declared_and_not_where_it_is(config, tmp_path):
    recipe = small_recipe(tmp_path, dataset={"source": config.model_dump()})

    def key(**changes):
        source = config.model_copy(update=changes)
        dataset = recipe.dataset.model_copy(update={"source": source})
        return requests.ingest(recipe.model_copy(update={"dataset": dataset}), Home.open(tmp_path / "home")).key

    same = {key(), key(url="file:///elsewhere.zip"), key(max_members=7), key(max_gigabytes=0.5)}
    assert len(same) == 1
    assert len({key(), key(sha256="0" * 64), key(subdirectory=None), key(subdirectory="photos/cats")}) == 4


def test_a_plan_asks_no_network_and_makes_nothing(config, server, tmp_path):
    recipe = small_recipe(tmp_path, dataset={"source": config.model_dump()})
    (tmp_path / "r.yaml").write_text(write_yaml(recipe.model_dump(mode="json", by_alias=True)))
    command = [
        sys.executable,
        "-m",
        "thaw.flows.cli",
        "plan",
        str(tmp_path / "r.yaml"),
        "--home",
        str(tmp_path / "home"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "ingest" in done.stdout
    assert server.requests == []
    assert not (tmp_path / "home").exists()
    assert content_digest(config, NO_HOME) == config.sha256


def test_two_processes_at_once_download_once(config, server, tmp_path):
    barrier, answers = FORK.Barrier(2), FORK.Queue()

    def run():
        barrier.wait(20)
        answers.put(fetch(config, tmp_path).count())

    children = [FORK.Process(target=run) for _ in range(2)]
    for child in children:
        child.start()
    assert [answers.get(timeout=20) for _ in children] == [60, 60]
    for child in children:
        child.join(20)
    assert len(server.requests) == 1


def test_killed_while_it_unpacks_nothing_is_half_there_and_nothing_is_downloaded_again(config, server, tmp_path):
    class Stopper(Recorder):
        def progress(self, done, text):
            if "10 of 60 files" in text:
                os.kill(os.getpid(), signal.SIGKILL)

    def run():
        pace._SECONDS_BETWEEN_LINES = 0.0  # a line for each file
        fetch(config, tmp_path, Stopper())

    child = FORK.Process(target=run)
    child.start()
    child.join(20)
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "artifacts").exists()
    assert fetch(config, tmp_path).count() == 60
    assert len(server.requests) == 1
    assert list((tmp_path / "building").iterdir()) == list((tmp_path / "downloads").iterdir()) == []


def test_a_download_that_was_given_up_is_gone_on_with_by_the_next_run(config, server, tmp_path):
    server.plan += [cut(1000), *[fail(503)] * 5]
    with pytest.raises(DownloadError, match="503"):
        fetch(config, tmp_path)
    assert not (tmp_path / "artifacts").exists()
    assert fetch(config, tmp_path).count() == 60
    assert server.ranges[-1] == "bytes=1000-"


@pytest.mark.parametrize("name", ["way out by .., tar", "larger than it states", "symbolic link, zip"])
def test_of_a_hostile_archive_nothing_is_left_but_the_archive(tmp_path, name):
    archive = tmp_path / "hostile"
    HOSTILE[name][0](archive)
    config = ArchiveSource(kind="archive", url=archive.as_uri(), sha256=sha256(archive))
    with pytest.raises(DatasetError, match="refused"):
        fetch(config, tmp_path / "home")
    files = {path for path in (tmp_path / "home").rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert files == {tmp_path / "home" / "downloads" / f"{sha256(archive)}.part"}
    assert {path.name for path in tmp_path.iterdir()} == {"home", "hostile"}


@pytest.mark.parametrize("is_local", [True, False], ids=["of this machine", "downloaded"])
def test_a_file_of_no_bytes_says_so(server, tmp_path, is_local):
    server.content = b""
    (tmp_path / "empty.zip").write_bytes(b"")
    url = (tmp_path / "empty.zip").as_uri() if is_local else server.url
    config = ArchiveSource(kind="archive", url=url, sha256=server.sha256)
    with pytest.raises(DatasetError, match="it has 0 bytes, expected a zip or tar file"):
        fetch(config, tmp_path / "home")


def test_a_secret_in_the_address_is_used_and_neither_told_nor_kept(config, server, tmp_path):
    secret = config.model_copy(update={"url": f"{server.url}?token=s3cr3t&sig=s3cr3t"})
    server.plan += [cut(1000), fail(503)]
    report = Recorder()
    home, recipe = tmp_path / "home", small_recipe(tmp_path, dataset={"source": secret.model_dump()})
    fetch(secret, home, report)
    assert [path.partition("?")[2] for path in server.paths] == 3 * ["token=s3cr3t&sig=s3cr3t"]
    build_records(home, recipe)
    assert "s3cr3t" not in str([report.told(kind) for kind in ("log", "warning", "progress")])
    assert "token=REMOVED&sig=REMOVED broke off" in str(report.told("log"))
    kept = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    assert b"s3cr3t" not in kept
    server.plan += [fail(404)]
    with pytest.raises(DownloadError, match="token=REMOVED&sig=REMOVED cannot be downloaded") as caught:
        fetch(secret, tmp_path / "other")
    assert "s3cr3t" not in str(caught.value)


def test_where_a_server_leads_with_a_secret_is_not_told(config, server, tmp_path):
    for place in ("gopher://host/x?sig=s3cr3t", "http://host:port/x?sig=s3cr3t", "http://host/a\x7fb?sig=s3cr3t"):
        server.plan += [lambda handler, place=place: answer(handler, 302, b"", Location=place)] * 5
        with pytest.raises(DownloadError) as caught:
            fetch(config, tmp_path)
        assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))
        server.plan.clear()


def test_a_manifest_in_an_archive_is_a_file_like_others(tmp_path):
    archive = pack(tmp_path / "x.zip", {**FILES, "manifest.json": b"{}"})
    config = ArchiveSource(kind="archive", url=archive.as_uri(), sha256=sha256(archive), subdirectory="photos")
    assert fetch(config, tmp_path / "home").count() == fetch(config, tmp_path / "home").count() == 60
    assert (unpacked(tmp_path / "home") / "files" / "manifest.json").read_bytes() == b"{}"


def test_a_subdirectory_that_is_not_there_is_an_error_that_names_those_that_are(config, tmp_path):
    wrong = config.model_copy(update={"subdirectory": "photo"})
    with pytest.raises(DatasetError, match=r"has no folder 'photo'\. Its folders: photos\."):
        fetch(wrong, tmp_path)


def stated(recipe: Recipe) -> str:
    return recipe_yaml(portable_recipe(recipe, resolved=True), "recipe.yaml", "resolved", recipe.dataset.source)


def test_a_release_states_an_address_and_no_path(config, tmp_path):
    recipe = small_recipe(tmp_path, dataset={"source": config.model_dump()})
    assert portable_recipe(recipe, resolved=True)["dataset"]["source"] == config.model_dump()
    assert "--data" not in stated(recipe)
    local = config.model_copy(update={"url": (tmp_path / "x.tar.gz").as_uri()})
    recipe = small_recipe(tmp_path, dataset={"source": local.model_dump()})
    assert str(tmp_path) not in stated(recipe)
    assert "thaw run recipe.yaml --set dataset.source.url=PLACE" in stated(recipe)
    secret = config.model_copy(update={"url": f"{config.url}?token=s3cr3t"})
    recipe = small_recipe(tmp_path, dataset={"source": secret.model_dump()})
    assert "s3cr3t" not in stated(recipe)
    assert "images.zip?token=REMOVED\n" in stated(recipe)
    assert "thaw run recipe.yaml --set dataset.source.url=ADDRESS\n" in stated(recipe)


def test_unpacking_marks_its_use(config, tmp_path):
    fetch(config, tmp_path)
    (key,) = (tmp_path / "keys").iterdir()
    os.utime(key, (1, 1))
    fetch(config, tmp_path)
    assert key.stat().st_mtime == pytest.approx(time.time(), abs=60)


def test_files_of_an_archive_that_nobody_used_for_long_are_garbage(config, server, tmp_path):
    fetch(config, tmp_path)
    assert collect_garbage(Home.open(tmp_path), Limits(0, young_after=time.time() - 3600), dry_run=False).garbage == []
    gone = collect_garbage(Home.open(tmp_path), Limits(0, young_after=time.time() + 3600), dry_run=False).garbage
    assert [item.kind for item in gone] == ["key record", "artifact"]
    assert fetch(config, tmp_path).count() == 60
    assert len(server.requests) == 2
