"""The lock that runs share, and that a clean-up needs alone."""

import multiprocessing
import subprocess
import sys
import threading
import time

import pytest

from thaw.pipeline_config.errors import ArtifactError, HomeInUseError
from thaw.tasks.artifacts.in_use import home_at_rest, home_in_use

FORK = multiprocessing.get_context("fork")  # quick; these processes hold no threads and no TensorFlow


def test_several_runs_at_once_share_the_home(tmp_path):
    refused = pytest.raises(HomeInUseError, match="try again")
    with home_in_use(tmp_path), home_in_use(tmp_path), refused, home_at_rest(tmp_path):
        pytest.fail("it has the home to itself while runs go on")
    with home_at_rest(tmp_path):
        pass


def test_two_clean_ups_do_not_overlap(tmp_path):
    with home_at_rest(tmp_path), pytest.raises(HomeInUseError), home_at_rest(tmp_path):
        pytest.fail("two have the home to themselves")


def test_a_run_waits_for_the_end_of_a_clean_up(tmp_path):
    order: list[str] = []

    def run() -> None:
        with home_in_use(tmp_path):
            order.append("run")

    with home_at_rest(tmp_path):
        thread = threading.Thread(target=run)
        thread.start()
        time.sleep(0.2)
        order.append("end of the clean-up")
    thread.join(20)
    assert order == ["end of the clean-up", "run"]


def test_the_lock_is_free_after_a_kill_and_an_error(tmp_path):
    started = FORK.Event()

    def hold() -> None:
        with home_in_use(tmp_path):
            started.set()
            time.sleep(60)

    holder = FORK.Process(target=hold)
    holder.start()
    assert started.wait(20)
    with pytest.raises(HomeInUseError), home_at_rest(tmp_path):
        pass
    holder.kill()
    holder.join(20)
    with pytest.raises(ZeroDivisionError), home_at_rest(tmp_path):
        raise ZeroDivisionError
    with home_at_rest(tmp_path):
        pass


def test_a_process_that_a_run_started_does_not_hold_the_lock_when_the_run_is_over(tmp_path):
    with home_in_use(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with home_at_rest(tmp_path):
        assert child.poll() is None
    child.communicate(b"\n", timeout=20)


def test_a_home_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "locks").write_text("a file in the way")
    with pytest.raises(ArtifactError, match="cannot be written"), home_in_use(tmp_path):
        pass
