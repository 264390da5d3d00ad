"""Steps of a run share a process for as long as each of them succeeds and leaves it as it found it."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from tests.child_functions import Words
from tests.test_children import ROOT, read_pids, wait_until_gone
from thaw.pipeline_config.errors import DatasetError, StepProcessError
from thaw.tasks import children
from thaw.tasks.children import run_in_child, sharing_children


@pytest.fixture(autouse=True)
def _nothing_is_imported_early(monkeypatch):
    monkeypatch.setattr(children, "_IMPORTED_EARLY", ())


def run(name, **options):
    return run_measured(name, **options).facts


def run_measured(name, *, shared=True, needs_keras=True, deadline=30.0, listener=lambda *_: None, **request):
    function, how = f"tests.child_functions:{name}", {"shared": shared, "needs_keras": needs_keras}
    return run_in_child(function, Words(**request), deadline_seconds=deadline, listener=listener, **how)


def test_what_needs_no_keras_takes_a_process_that_waits_and_starts_none_that_imports_it():
    with sharing_children():
        alone = run("echo", needs_keras=False)["pid"]
        assert own_children() == set()
        shared = run("echo")["pid"]
        assert run("echo", needs_keras=False)["pid"] == shared != alone
        assert run("echo")["pid"] == shared


def own_children():
    # Of this test: the server for the tests of flows is a child of the same process. A dead one has no command line.
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return {child.pid for child in alive if "thaw.tasks.step_process" in " ".join(child.cmdline())}


def test_steps_of_a_run_share_a_process_that_ends_with_the_run():
    with sharing_children():
        first, second = run("echo", text="é"), run("echo", text="second")
        assert (first["text"], second["text"]) == ("é", "second")
        assert first["pid"] == second["pid"]
        assert own_children() == {first["pid"]}
    assert wait_until_gone([first["pid"]], 0) == []


def test_without_a_run_nothing_is_shared():
    first, second = run("echo"), run("echo")
    assert first["pid"] != second["pid"]
    assert wait_until_gone([first["pid"], second["pid"]], 0) == []


def test_a_step_that_does_not_share_has_a_process_of_its_own():
    with sharing_children():
        shared = run("echo")["pid"]
        alone = run("echo", shared=False)["pid"]
        assert alone != shared
        assert own_children() == {shared}


def test_lines_of_each_step_arrive_at_its_own_listener():
    heard: tuple[list[str], list[str]] = ([], [])
    with sharing_children():
        run("report", listener=lambda kind, _: heard[0].append(kind))
        run("report", listener=lambda kind, _: heard[1].append(kind))
    assert heard == (["progress", "log", "warning", "progress"],) * 2


@pytest.mark.parametrize(
    ("function", "error"),
    [("fail_on_purpose", DatasetError), ("kill_itself", StepProcessError), ("leave_at_once", StepProcessError)],
)
def test_after_a_failure_the_next_step_gets_a_new_process(function, error):
    with sharing_children():
        used = run("echo")["pid"]
        with pytest.raises(error, match=r"no images|kill_itself was killed by SIGKILL|exit code 7"):
            run(function)
        assert wait_until_gone([used], 0) == []
        assert run("echo")["pid"] != used


def test_deadline_of_a_step_in_a_used_process_ends_it_and_all_that_it_started(tmp_path):
    with sharing_children():
        used = run("echo")["pid"]
        with pytest.raises(StepProcessError, match="sleep_with_a_worker passed its deadline of 1 seconds"):
            run("sleep_with_a_worker", deadline=1.0, folder=tmp_path)
        pids = read_pids(tmp_path / "pids")
        assert used in pids
        assert wait_until_gone(pids, 1) == []


def test_deadline_counts_for_each_step_anew():
    with sharing_children():
        used = run("echo", deadline=2.0)["pid"]
        time.sleep(2.5)
        assert run("echo", deadline=2.0)["pid"] == used


def test_interruption_leaves_a_used_process_time_to_save(tmp_path):
    def interrupt(kind, content):
        raise KeyboardInterrupt

    with sharing_children():
        used = run("echo")["pid"]
        threading.Timer(2, psutil.Process(used).terminate).start()
        with pytest.raises(KeyboardInterrupt):
            run("save_slowly_when_asked_to_leave", listener=interrupt, folder=tmp_path)
    assert (tmp_path / "saved").read_text() == "saved"
    assert wait_until_gone(read_pids(tmp_path / "pids"), 1) == []


@pytest.mark.parametrize("function", ["answer_and_leave_a_worker", "ignore_requests_to_leave"])
def test_a_process_that_is_not_as_it_was_ends_with_its_step(function):
    with sharing_children():
        used = run("echo")["pid"]
        result = run(function)
        assert wait_until_gone([used, result.get("worker", used)], 1) == []
        assert run("echo")["pid"] != used


def test_memory_of_a_gpu_is_given_back_after_each_step():
    with sharing_children():
        used = run("use_a_device", text="GPU")["pid"]
        assert wait_until_gone([used], 0) == []
        assert run("use_a_device", text="CPU")["pid"] == run("echo")["pid"]


def test_where_a_tpu_is_named_every_step_has_a_process_of_its_own(monkeypatch):
    monkeypatch.setenv("TPU_NAME", "local")
    with sharing_children():
        assert run("use_a_device", text="CPU")["pid"] != run("echo")["pid"]


def test_random_numbers_do_not_go_on_from_a_seed_of_the_step_before():
    with sharing_children():
        results = [run("draw") for _ in range(3)]
    assert len({result["pid"] for result in results}) == 1
    assert len({result["number"] for result in results}) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="a process has no such name here")
def test_a_process_carries_the_name_of_what_it_does():
    with sharing_children():
        first, second = run("read_own_name"), run("read_own_name")
        assert (first["name"], second["name"]) == ("read_own_name",) * 2
        waiting = psutil.Process(second["pid"])
        deadline = time.monotonic() + 10
        while waiting.name() != "thaw-idle" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert waiting.name() == "thaw-idle"


@pytest.mark.skipif(sys.platform != "linux", reason="the peak cannot be reset here")
def test_the_peak_of_a_step_is_not_that_of_the_step_before():
    with sharing_children():
        large, small = (run_measured("hold_memory", text=text) for text in ("400000000", "1"))
    assert large.facts["pid"] == small.facts["pid"]
    assert large.cost.peak_memory_bytes > 400e6 > 4 * small.cost.peak_memory_bytes > 80e6


def test_where_the_peak_cannot_be_reset_it_is_left_out(monkeypatch):
    program = (
        "import thaw.tasks.step_process as p, pathlib, sys; p._CLEAR_REFS = pathlib.Path('/no/such/file'); p.main([])"
    )
    monkeypatch.setattr(children, "_COMMAND", ("-c", program))
    with sharing_children():
        first, second = run_measured("echo"), run_measured("echo")
    assert first.facts["pid"] == second.facts["pid"]
    assert first.cost.peak_memory_bytes is not None
    assert second.cost.peak_memory_bytes is None


def test_a_prepared_process_waits_for_the_first_step_that_shares():
    with sharing_children() as shared:
        shared.prepare()
        shared.prepare()
        (prepared,) = own_children()
        assert run("echo", shared=False)["pid"] != prepared
        assert run("echo")["pid"] == prepared
        shared.prepare()
        assert own_children() == {prepared}
    assert own_children() == set()


def test_a_prepared_process_that_nothing_needed_ends_with_the_run():
    with sharing_children() as shared:
        shared.prepare()
        until = time.monotonic() + 10
        while (
            not own_children() and time.monotonic() < until
        ):  # on a busy machine its command line comes a moment later
            time.sleep(0.01)
        assert len(own_children()) == 1
    assert own_children() == set()


def test_what_cannot_be_imported_early_does_not_hinder_a_step(monkeypatch):
    monkeypatch.setattr(children, "_IMPORTED_EARLY", ("no_such_module",))
    assert run("echo", text="here")["text"] == "here"


def test_a_process_that_dies_while_it_waits_is_no_failure_of_the_next_step():
    with sharing_children():
        used = run("echo")["pid"]
        psutil.Process(used).kill()
        assert wait_until_gone([used]) == []
        assert run("echo")["pid"] != used


def test_a_process_that_cannot_forget_is_no_failure_of_the_next_step():
    with sharing_children():
        used = run("leave_a_library_that_cannot_be_cleared")["pid"]
        assert run("echo")["pid"] != used
    assert wait_until_gone([used], 0) == []


def test_runs_inside_a_run_share_with_it():
    with sharing_children():
        with sharing_children():
            used = run("echo")["pid"]
        assert run("echo")["pid"] == used


def test_a_run_that_fails_ends_its_processes():
    def fail():
        with sharing_children():
            run("echo")
            raise DatasetError("of the flow itself")

    with pytest.raises(DatasetError):
        fail()
    assert own_children() == set()


def test_a_child_that_is_given_back_after_the_run_ends():
    with sharing_children() as shared:
        child = shared.take()
    assert child.is_ready()
    shared.give_back(child)
    assert not child.is_ready()


def test_workers_of_a_run_have_a_process_each():
    answers = []
    with sharing_children() as shared:
        taken = [shared.take() for _ in range(3)]
        for child in taken:
            answers.append(child.ask("tests.child_functions:echo", Words(), 30, lambda *_: None)[0].facts["pid"])
            shared.give_back(child)
        assert len(set(answers)) == 3
        assert run("echo")["pid"] in answers
    assert wait_until_gone(answers, 0) == []


def test_death_of_the_parent_ends_a_child_that_waits(tmp_path):
    program = f"from tests.child_functions import be_a_parent_that_waits; be_a_parent_that_waits({str(tmp_path)!r})"
    parent = subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(ROOT)})
    pids = read_pids(tmp_path / "pids")
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    assert wait_until_gone(pids, 5) == []
