"""Several processes or threads that use one store at the same time."""

import multiprocessing
import threading
import time

import pytest

from tests.artifacts.steps import LetterStep, write_letters
from tests.support import without_cost
from thaw.tasks.artifacts.atomic import write_atomically
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.home import Home

STEP = LetterStep(text="x")
FORK = multiprocessing.get_context("fork")  # quick; these processes hold no threads and no TensorFlow


@pytest.fixture
def store(tmp_path):
    return Home.open(tmp_path / "home").store


def test_two_processes_that_build_the_same_key_at_once_build_once(store, tmp_path):
    log, barrier, answers = tmp_path / "log", FORK.Barrier(2), FORK.Queue()

    def build():
        def work(folder):
            with log.open("a") as file:
                file.write("built\n")
            time.sleep(0.3)  # long enough for the other to come to the lock
            return write_letters(folder)

        barrier.wait(20)
        answers.put(store.build(STEP, work).digest)

    children = [FORK.Process(target=build) for _ in range(2)]
    for child in children:
        child.start()
    digests = {answers.get(timeout=20) for _ in children}
    for child in children:
        child.join(20)
        assert child.exitcode == 0
    assert len(digests) == 1
    assert log.read_text() == "built\n"


def test_waiting_build_takes_over_when_the_builder_is_killed(store):
    started = FORK.Event()

    def build_for_ever():
        def work(folder):
            started.set()
            time.sleep(60)

        store.build(STEP, work)

    child = FORK.Process(target=build_for_ever)
    child.start()
    assert started.wait(20)
    threading.Timer(0.2, child.kill).start()
    begin = time.monotonic()
    ref = store.build(STEP, write_letters)
    assert time.monotonic() - begin < 10
    child.join(20)
    store.verified(ref)


def test_two_keys_that_lead_to_the_same_content_at_once_both_succeed(store):
    for turn in range(10):
        barrier = threading.Barrier(2)
        refs: list[ArtifactRef] = []

        def build(text, barrier=barrier, refs=refs, turn=turn):
            def work(folder):
                (folder / "a.txt").write_text(str(turn))
                barrier.wait(20)
                return without_cost()

            refs.append(store.build(LetterStep(text=text), work))

        threads = [threading.Thread(target=build, args=(f"{turn}{name}",)) for name in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(refs) == 2
        assert refs[0] == refs[1]


def test_other_keys_do_not_wait(store):
    with store.lock(STEP.key):
        store.build(LetterStep(text="y"), write_letters)


def test_lock_is_free_after_an_error(store):
    with pytest.raises(ZeroDivisionError), store.lock("champion"):
        raise ZeroDivisionError
    with store.lock("champion"):
        pass


def test_a_file_that_several_processes_write_at_once_is_whole_and_that_of_one_of_them(tmp_path):
    place, barrier = tmp_path / "home.json", FORK.Barrier(4)

    def write(letter):
        barrier.wait(20)
        for _ in range(50):
            write_atomically(place, letter * 1000)

    letters = [letter.encode() for letter in "abcd"]
    children = [FORK.Process(target=write, args=(letter,)) for letter in letters]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert place.read_bytes() in [letter * 1000 for letter in letters]
    assert list(tmp_path.iterdir()) == [place]
