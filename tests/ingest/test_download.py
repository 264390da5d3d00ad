"""Downloads from a server that cuts connections, lies, fails, ignores what it is asked, and changes its file."""

import hashlib
import multiprocessing
import os
import resource
import signal
import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.file_server import FileServer, answer, cut, fail, hang_up, ignore_range, serve
from tests.ingest.pictures import Recorder
from thaw.pipeline_config.errors import ArtifactError, DatasetError, DownloadError
from thaw.tasks.ingest import download as module
from thaw.tasks.ingest.download import download

CONTENT = bytes(range(256)) * 4000  # about a megabyte
OTHER = CONTENT[::-1]
FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "_LONGEST_PAUSE", 0.002)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server():
    with FileServer(CONTENT).running() as running:
        yield running


@pytest.fixture
def part(tmp_path):
    return tmp_path / "downloads" / "x.part"


def fetch(server, part, report=None, *, sha256=None, max_bytes=10**9):
    download(server.url, sha256 or server.sha256, part, max_bytes=max_bytes, report=report or Recorder())


def test_file_arrives_whole_with_progress(server, part):
    report = Recorder()
    fetch(server, part, report)
    assert part.read_bytes() == CONTENT
    assert report.told("progress")[-1] == {"done": 1.0, "text": "1.0 of 1.0 MB downloaded"}
    assert report.told("log") == []
    assert server.ranges == [None]


def test_file_that_is_there_is_not_asked_for(server, part):
    fetch(server, part)
    fetch(server, part)
    assert len(server.requests) == 1


def test_after_a_cut_only_the_rest_is_asked_for(server, part):
    server.plan += [cut(300_000), cut(200_000)]
    report = Recorder()
    fetch(server, part, report)
    assert part.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]
    assert server.requests[1]["If-Range"].startswith('"')
    assert [line.partition(": ")[2].partition(" in ")[0] for line in report.told("log")] == [
        f"the connection ended after {at} of {len(CONTENT)} bytes. Going on from byte {at}" for at in (300_000, 500_000)
    ]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, len(CONTENT)), max_size=4), st.booleans())
def test_wherever_it_is_cut_the_same_bytes_arrive(server, part, places, tag):
    part.unlink(missing_ok=True)
    server.plan.clear()
    server.plan += [cut(place, tag=tag) for place in places]
    fetch(server, part)
    assert part.read_bytes() == CONTENT


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_fault_of_the_server_is_waited_for(server, part, code):
    server.plan += [fail(code)] * 3
    fetch(server, part)
    assert part.read_bytes() == CONTENT
    assert len(server.requests) == 4


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_not_asked_again(server, part, code):
    server.plan += [fail(code)]
    with pytest.raises(
        DownloadError, match=rf"images\.zip cannot be downloaded: the server answers {code} .*--data DIR"
    ):
        fetch(server, part)
    assert len(server.requests) == 1


def test_a_server_that_fails_for_ever_is_given_up_with_one_line(server, part):
    server.plan += [fail(500)] * 20
    with pytest.raises(DownloadError, match="answers 500") as caught:
        fetch(server, part)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == 5


def test_attempts_that_bring_something_are_not_counted(server, part):
    server.plan += [cut(1000), hang_up] * 10
    fetch(server, part)
    assert part.read_bytes() == CONTENT
    assert len(server.requests) == 21


def test_what_came_before_a_failure_is_gone_on_with_by_the_next_call(server, part):
    server.plan += [cut(400_000), *[fail(503)] * 5]
    with pytest.raises(DownloadError):
        fetch(server, part)
    assert part.stat().st_size == 400_000
    fetch(server, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=400000-"


def test_a_server_without_ranges_begins_again(server, part):
    server.plan += [cut(300_000), ignore_range]
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_a_file_that_changed_between_two_attempts_is_taken_from_its_beginning(server, part):
    wanted = hashlib.sha256(OTHER).hexdigest()

    def change(handler):
        server.content = OTHER
        serve(handler)

    server.plan += [cut(300_000), change]
    fetch(server, part, sha256=wanted)
    assert part.read_bytes() == OTHER
    assert len(server.requests) == 2


def test_pieces_of_two_files_are_noticed_and_it_begins_again_once(server, part):
    def change(handler):
        server.content = OTHER
        serve(handler, tag=False)

    server.plan += [cut(300_000, tag=False), change]
    fetch(server, part, sha256=hashlib.sha256(OTHER).hexdigest())
    assert part.read_bytes() == OTHER
    assert server.ranges == [None, "bytes=300000-", None]


def test_a_part_of_another_file_from_before_is_thrown_away(server, part):
    part.parent.mkdir()
    part.write_bytes(OTHER[:1000])
    fetch(server, part)
    assert part.read_bytes() == CONTENT
    part.write_bytes(OTHER + OTHER)  # longer than the file: the server has no such range
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_wrong_bytes_are_removed_and_both_digests_named(server, part):
    wanted = hashlib.sha256(OTHER).hexdigest()
    with pytest.raises(DownloadError) as caught:
        fetch(server, part, sha256=wanted)
    assert wanted in str(caught.value)
    assert server.sha256 in str(caught.value)
    assert not part.exists()
    assert len(server.requests) == 1


def test_a_length_that_is_too_great_does_no_harm(server, part):
    def lie(handler):
        answer(handler, 200, CONTENT, Content_Length=len(CONTENT) + 5000)
        handler.close_connection = True

    server.plan += [lie]
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_a_length_that_is_too_small_is_not_believed(server, part):
    def lie(handler):
        answer(handler, 200, CONTENT, Content_Length=5000)
        handler.close_connection = True

    server.plan += [lie]
    with pytest.raises(DownloadError, match="received 5000 bytes with SHA-256"):
        fetch(server, part)
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_no_length_at_all_is_tried_once_more(server, part):
    def without(end):
        def behave(handler):
            answer(handler, 200, CONTENT[:end], Content_Length="", Connection="close")
            handler.close_connection = True

        return behave

    server.plan += [without(700_000), without(None)]
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_another_range_than_asked_for_is_not_taken(server, part):
    def shift(handler):
        answer(handler, 206, CONTENT[100:], Content_Range=f"bytes 100-{len(CONTENT) - 1}/{len(CONTENT)}")

    server.plan += [cut(5000), shift]
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_a_silent_server_is_left(server, part, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_OF_SILENCE", 0.2)

    def stall(handler):
        answer(handler, 200, CONTENT[:1000], Content_Length=len(CONTENT))
        handler.wfile.flush()
        server.pause.wait(20)
        handler.close_connection = True

    server.plan += [stall]
    fetch(server, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_what_is_too_long_is_not_fetched(server, part):
    with pytest.raises(DatasetError, match=r"more than 1000 bytes, which is dataset\.source\.max_gigabytes"):
        fetch(server, part, max_bytes=1000)
    assert not part.exists()
    server.plan += [lambda handler: answer(handler, 200, CONTENT, Content_Length="", Connection="close")]
    with pytest.raises(DatasetError, match="more than 1000000 bytes"):
        fetch(server, part, max_bytes=1_000_000)
    assert not part.exists()


def test_redirects_are_followed_and_keep_the_range(server, part):
    def redirect(handler):
        answer(handler, 302, b"", Location=f"{server.url}/elsewhere")

    server.plan += [redirect, cut(1000), redirect]
    fetch(server, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges == [None, None, "bytes=1000-", "bytes=1000-"]


def test_a_redirect_to_a_file_of_this_machine_is_not_followed(server, part, tmp_path):
    (tmp_path / "secret").write_bytes(CONTENT)
    server.plan += [lambda handler: answer(handler, 302, b"", Location=(tmp_path / "secret").as_uri())]
    with pytest.raises(DownloadError):
        fetch(server, part)


def test_a_network_that_is_not_there_is_one_line_that_says_what_to_do(part):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError) as caught:
        download(f"http://127.0.0.1:{port}/a.zip?key=secret", "0" * 64, part, max_bytes=1, report=Recorder())
    message = str(caught.value)
    assert message.startswith(f"http://127.0.0.1:{port}/a.zip?key=REMOVED cannot be downloaded: Connection refused.")
    assert "--data DIR" in message
    assert "secret" not in message


def test_the_environments_proxy_is_used(server, part, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/images.zip"))
    monkeypatch.delenv("no_proxy", raising=False)
    download("http://nowhere/a.zip", server.sha256, part, max_bytes=10**9, report=Recorder())
    assert part.read_bytes() == CONTENT
    assert server.requests[0]["Host"] == "nowhere"


def test_a_file_of_this_machine(tmp_path, part):
    (tmp_path / "a b.zip").write_bytes(CONTENT)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    part.parent.mkdir()
    part.write_bytes(CONTENT[:1000])
    download((tmp_path / "a b.zip").as_uri(), sha256, part, max_bytes=10**9, report=Recorder())
    assert part.read_bytes() == CONTENT
    with pytest.raises(DownloadError, match=r"nowhere\.zip cannot be downloaded: No such file or directory"):
        download((tmp_path / "nowhere.zip").as_uri(), sha256, tmp_path / "y.part", max_bytes=1, report=Recorder())


def test_a_full_disk_is_no_fault_of_the_network(server, part):
    def fetch_with_little_room(answers):
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
        try:
            fetch(server, part)
        except ArtifactError as error:
            answers.put(str(error))

    answers = FORK.Queue()
    child = FORK.Process(target=fetch_with_little_room, args=(answers,))
    child.start()
    assert "x.part cannot be written: File too large" in answers.get(timeout=20)
    child.join(20)
    assert len(server.requests) == 1
    fetch(server, part)
    assert part.read_bytes() == CONTENT


def test_a_place_that_cannot_be_written_is_no_fault_of_the_network(server, part):
    part.mkdir(parents=True)  # where the file should be there is a folder
    with pytest.raises(ArtifactError, match=r"x\.part cannot be written"):
        fetch(server, part)
    assert server.requests == []


def test_a_killed_download_is_gone_on_with(server, part):
    def stall(handler):
        answer(handler, 200, CONTENT[:500_000], Content_Length=len(CONTENT))
        handler.wfile.flush()
        server.pause.wait(20)

    server.plan += [stall]
    child = FORK.Process(target=fetch, args=(server, part))
    child.start()
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size == 500_000):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join(20)
    fetch(server, part)
    assert part.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=500000-"]
