import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.child_functions import Words
from thaw.pipeline_config.errors import DatasetError, StepProcessError, ThawError
from thaw.tasks import children
from thaw.tasks.children import run_in_child

ROOT = Path(__file__).parents[1]


def run(name, *, deadline=30.0, **request):
    """What the function said, and the lines that it sent."""
    made, lines = run_measured(name, deadline=deadline, **request)
    return made.facts, lines


def run_measured(name, *, deadline=30.0, **request):
    lines = []
    made = run_in_child(
        f"tests.child_functions:{name}",
        Words(**request),
        deadline_seconds=deadline,
        listener=lambda kind, content: lines.append((kind, content)),
    )
    return made, lines


def wait_until_gone(pids, seconds=5.0):
    """The processes that are still there after so many seconds."""
    deadline = time.monotonic() + seconds
    while (alive := [pid for pid in pids if _lives(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive


def _lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def read_pids(path, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and (pids := [int(word) for word in path.read_text().split()]):
            return pids
        time.sleep(0.02)
    return pytest.fail(f"{path} did not appear")


def test_result_comes_back_from_another_process(tmp_path):
    result, lines = run("echo", text='a "quoted"\nline, é, 日本', folder=tmp_path)
    assert result["text"] == 'a "quoted"\nline, é, 日本'
    assert result["folder"] == str(tmp_path)
    assert result["pid"] != os.getpid()
    assert result["backend"] == "tensorflow"
    assert lines == []


def test_request_larger_than_a_pipe_arrives_whole():
    text = "0123456789" * 50_000
    assert run("echo", text=text)[0]["text"] == text


@pytest.mark.parametrize("locale", ["C", "en_US.ISO-8859-1", ""])
def test_letters_of_any_language_arrive_in_any_locale(monkeypatch, locale):
    monkeypatch.setenv("LC_ALL", locale)
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    assert run("echo", text="é 日本")[0]["text"] == "é 日本"
    with pytest.raises(DatasetError, match="no images: é 日本"):
        run("fail_on_purpose", text="é 日本")


def test_the_most_memory_that_the_child_held_is_in_its_cost_and_is_its_own():
    held = bytearray(os.urandom(1)) * 600_000_000  # by this process, while it starts the child
    made, _ = run_measured("echo")
    assert len(held) > 2 * made.cost.peak_memory_bytes > 20e6


def test_the_seconds_are_those_of_the_work_and_of_the_attempts_that_it_goes_on_from():
    begin = time.monotonic()
    made, _ = run_measured("go_on_after", text="1000")
    assert 1000.3 <= made.cost.seconds < 1000 + time.monotonic() - begin


def test_child_is_gone_when_the_result_is_there():
    assert wait_until_gone([run("echo")[0]["pid"]], 0) == []


def test_lines_arrive_in_order_with_their_kind():
    _, lines = run("report")
    assert lines == [
        ("progress", {"done": 0.25, "text": "epoch 1 of 4"}),
        ("log", "first line"),
        ("warning", "two\nlines"),
        ("progress", {"done": 1.0, "text": "beyond the end"}),
    ]


def test_error_of_the_tree_arrives_with_its_class_and_message():
    with pytest.raises(ThawError) as caught:
        run("fail_on_purpose", text="é")
    assert type(caught.value) is DatasetError
    assert str(caught.value) == "no images: é"


def test_any_other_error_arrives_as_one_line_that_names_function_and_class():
    with pytest.raises(ThawError) as caught:
        run("fail_by_mistake")
    assert type(caught.value) is ThawError
    assert str(caught.value) == "tests.child_functions:fail_by_mistake: ZeroDivisionError: by zero"


@pytest.mark.parametrize("function", ["tests.no_such_module:f", "tests.child_functions:no_such_function"])
def test_function_that_is_not_there_is_an_error_that_names_it(function):
    with pytest.raises(ThawError, match=function):
        run_in_child(function, Words(), deadline_seconds=30, listener=lambda kind, content: None)


def test_result_that_is_no_json_is_an_error_that_says_so():
    with pytest.raises(ThawError, match="Unable to serialize unknown type"):
        run("answer_what_is_no_json")


def test_child_that_leaves_without_a_result_is_an_error_with_its_code_and_last_words():
    with pytest.raises(StepProcessError, match=r"leave_at_once ended with exit code 7 and no result\..*last words"):
        run("leave_at_once")


def test_killed_child_is_an_error_that_names_the_signal():
    with pytest.raises(StepProcessError, match=r"kill_itself was killed by SIGKILL \(often: out of memory\)"):
        run("kill_itself")


def test_child_killed_in_the_middle_of_a_line_is_an_error_that_names_the_signal():
    with pytest.raises(StepProcessError, match="was killed by SIGKILL"):
        run("die_in_the_middle_of_a_line")


def test_killed_child_is_noticed_at_once_though_its_forked_worker_lives_and_the_worker_is_ended(tmp_path):
    begin = time.monotonic()
    with pytest.raises(StepProcessError, match="was killed by SIGKILL"):
        run("die_and_leave_a_forked_worker", folder=tmp_path)
    assert time.monotonic() - begin < 10
    assert wait_until_gone(read_pids(tmp_path / "worker.pid")) == []


def test_worker_that_outlives_the_result_is_ended():
    begin = time.monotonic()
    result, _ = run("answer_and_leave_a_worker")
    assert time.monotonic() - begin < 10
    assert wait_until_gone([result["worker"]]) == []


def test_deadline_ends_the_child_and_its_own_children_within_seconds(tmp_path):
    begin = time.monotonic()
    with pytest.raises(StepProcessError, match=r"passed its deadline of 2 seconds.*execution\.deadline_minutes"):
        run("sleep_with_a_worker", deadline=2.0, folder=tmp_path)
    assert time.monotonic() - begin < 8
    assert wait_until_gone(read_pids(tmp_path / "pids"), 1) == []


def test_deadline_ends_those_too_who_do_not_listen(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "SECONDS_TO_LEAVE", 0.5)
    begin = time.monotonic()
    with pytest.raises(StepProcessError, match="passed its deadline of 2 seconds"):
        run("sleep_deaf_with_a_deaf_worker", deadline=2.0, folder=tmp_path)
    assert time.monotonic() - begin < 8
    assert wait_until_gone(read_pids(tmp_path / "pids"), 1) == []


def test_deadline_leaves_the_child_time_to_save(tmp_path):
    with pytest.raises(StepProcessError, match="passed its deadline"):
        run("save_when_asked_to_leave", deadline=2.0, folder=tmp_path)
    assert (tmp_path / "saved").read_text() == "saved"


def test_interruption_of_the_parent_leaves_the_child_time_to_save(tmp_path):
    def interrupt(kind, content):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_child(
            "tests.child_functions:save_slowly_when_asked_to_leave",
            Words(folder=tmp_path),
            deadline_seconds=2,
            listener=interrupt,
        )
    assert (tmp_path / "saved").read_text() == "saved"
    assert wait_until_gone(read_pids(tmp_path / "pids"), 1) == []


def test_an_error_in_the_listener_ends_nothing_and_is_logged_once(caplog):
    heard = []

    def fail(kind, content):
        heard.append(kind)
        raise ConnectionError("the server is gone")

    made = run_in_child("tests.child_functions:report", Words(), deadline_seconds=30, listener=fail)
    assert made.facts == {}
    assert heard == ["progress", "log", "warning", "progress"]
    assert [record.getMessage() for record in caplog.records] == [
        "The run goes on, but not all of it is shown: ConnectionError: the server is gone"
    ]


def test_an_interruption_in_the_listener_ends_the_child(tmp_path):
    def fail(kind, content):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_child(
            "tests.child_functions:sleep_with_a_worker", Words(folder=tmp_path), deadline_seconds=30, listener=fail
        )
    assert wait_until_gone(read_pids(tmp_path / "pids"), 1) == []


def test_what_libraries_print_does_not_disturb_the_conversation():
    result, lines = run("print_everywhere")
    assert result["done"]
    assert lines == [("log", "between")]


@pytest.mark.parametrize("function", ["sleep_with_a_worker", "save_slowly_when_asked_to_leave"])
def test_death_of_the_parent_ends_the_child_and_its_own_children(tmp_path, function):
    program = f"from tests.child_functions import be_a_parent; be_a_parent({str(tmp_path)!r}, {function!r})"
    parent = subprocess.Popen([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(ROOT)})
    pids = read_pids(tmp_path / "pids")
    assert len(pids) == 2
    assert all(_lives(pid) for pid in pids)
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    assert wait_until_gone(pids, 5) == []
    assert (tmp_path / "saved").exists() == (function == "save_slowly_when_asked_to_leave")


def test_several_children_at_once_do_not_mix():
    answers = {}

    def ask(text):
        answers[text] = run("echo", text=text)[0]

    threads = [threading.Thread(target=ask, args=(text,)) for text in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {text: answer["text"] for text, answer in answers.items()} == {"a": "a", "b": "b", "c": "c"}
    assert len({answer["pid"] for answer in answers.values()}) == 3


def test_interpreter_that_does_not_start_is_an_error_of_the_tree(monkeypatch):
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(StepProcessError, match="ended with exit code 1 and no result"):
        run("echo", text="x" * 500_000)


def test_a_module_of_the_same_name_in_the_current_folder_is_not_taken_for_ours(tmp_path, monkeypatch):
    (tmp_path / "thaw.py").write_text("raise RuntimeError('the wrong thaw')")
    monkeypatch.chdir(tmp_path)
    assert run("echo", text="ours")[0]["text"] == "ours"
