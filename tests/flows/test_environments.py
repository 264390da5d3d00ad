"""Where the command may be started, and how it may end: each costs a line at the most, and never a traceback."""

import ast
import errno
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.flows.environments import CLOSED, ROOT, THAW, assert_one_line, start
from tests.support import small_recipe, write_pictures
from thaw.flows.commands.console import plain_table, result_console, status_console
from thaw.pipeline_config.yaml_dialect import write_yaml


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("environments")
    document = small_recipe(write_pictures(folder / "data", each=20)).model_dump(mode="json", by_alias=True)
    (folder / "small.yaml").write_text(write_yaml(document))
    return folder / "small.yaml"


# --------------------------------------------------------------------------------------------------------- descriptors

_CHILD = "import os; print([os.fstat(number).st_mode > 0 for number in (0, 1, 2)])"
_DESCRIPTORS = f"""
import os, subprocess, sys
from thaw.flows.streams import open_streams
open_streams()
child = subprocess.run([sys.executable, "-c", {_CHILD!r}], stdout=subprocess.PIPE, text=True)
with open(sys.argv[1], "w") as file:
    print(file.fileno() > 2, child.stdout.strip(), sys.stdin.read(), file=file)
print("result")
print("status", file=sys.stderr)
"""


@pytest.mark.parametrize("closed", CLOSED[::3])
def test_closed_descriptors_are_open_for_the_command_and_for_what_it_starts(tmp_path: Path, closed: str) -> None:
    done = start(sys.executable, "-c", _DESCRIPTORS, tmp_path / "seen", how=closed)
    assert (tmp_path / "seen").read_text() == "True [True, True, True] \n"
    assert done.stdout == ("" if " >&-" in f" {closed}" else "result\n")
    assert done.stderr == ("" if "2>&-" in closed else "status\n")
    assert done.returncode == 0


@pytest.mark.parametrize("closed", CLOSED)
def test_a_command_works_with_closed_descriptors(closed: str) -> None:
    done = start(*THAW, "recipes", how=closed)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("digits" in done.stdout) == (" >&-" not in f" {closed}")


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["<&- >&-", "<&- >&- 2>&-"])
def test_a_run_on_the_temporary_server_works_with_closed_descriptors(recipe: Path, tmp_path: Path, closed: str) -> None:
    names = {"PREFECT_HOME": str(tmp_path / "prefect"), "PREFECT_API_URL": ""}
    done = start(*THAW, "run", recipe, "--home", tmp_path / "home", how=closed, names=names)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert len(list((tmp_path / "home" / "releases").glob("small-*"))) == 1


# ------------------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("arguments", [["recipes"], ["--help"], ["plan", "digits"]], ids=" ".join)
def test_a_reader_that_left_ends_the_command_quietly(arguments: list[str], tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*THAW, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "THAW_HOME": str(tmp_path)},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_result_that_cannot_be_written_is_a_line_and_a_line_that_cannot_is_lost() -> None:
    done = start(*THAW, "recipes", how=">/dev/full")
    assert_one_line(done, 1)
    assert os.strerror(errno.ENOSPC) in done.stderr
    assert start(*THAW, "recipes", "--nonsense", how="2>/dev/full").returncode == 2


_EVENTS = """
import sys
from thaw.flows.streams import open_streams
open_streams()
from thaw.flows.commands.console import status_console
from thaw.flows.commands.live import LiveProgress
from thaw.tasks.progress import Event, emit, subscribed
console = status_console()
assert console.is_terminal
with LiveProgress(console) as live, subscribed(live):
    emit(Event("stage_one", "progress", "epoch 1 of 2", 0.5))
    sys.stdin.readline()
    for number in range(20):
        emit(Event("stage_one", "log", f"line {number}"))
        emit(Event("stage_one", "progress", "epoch 2 of 2", 0.6))
console.print("the end")
print("done")
"""


def test_a_terminal_that_goes_away_does_not_end_what_it_shows() -> None:
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", _EVENTS],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=other_end,
        text=True,
    )
    os.close(other_end)
    assert os.read(terminal, 1)
    os.close(terminal)  # from now on, writing there is EIO
    output, _ = process.communicate("go on\n", timeout=60)
    assert (process.returncode, output) == (0, "done\n")


# ------------------------------------------------------------------------------------------------------------- signals

_SIGNAL = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *_):
        if name == {module!r}:
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Finder())
from thaw.flows.main import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["typer", "pydantic", "prefect.main"])
def test_a_signal_during_the_imports_is_a_line(
    recipe: Path, tmp_path: Path, module: str, number: signal.Signals
) -> None:
    script = _SIGNAL.format(module=module, number=int(number))
    names = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")}
    arguments = ("run", recipe, "--home", tmp_path / "home", "--always")
    done = start(sys.executable, "-c", script, *arguments, names=names)
    assert done.returncode == 128 + number
    assert done.stderr.splitlines()[-1] == f"thaw: interrupted by {number.name}"
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


# --------------------------------------------------------------------------------------------------- names and folders


def test_a_working_folder_that_is_gone_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    done = start("sh", "-c", 'rmdir ../gone && exec "$@"', "sh", *THAW, "recipes", cwd=tmp_path / "gone")
    assert_one_line(done, 2)
    assert "The current folder cannot be used" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "\udcff.yaml"],
        ["plan", "digits", "--home", "\udcff"],
        ["predict", "\udcff.png"],
        ["releases", "rollback", "--reason", "\udcff"],
    ],
    ids=" ".join,
)
def test_an_argument_that_is_no_text_is_a_line(arguments: list[str], tmp_path: Path) -> None:
    done = start(*THAW, *arguments, cwd=tmp_path)
    assert_one_line(done, 2)
    assert r"\udcff" in done.stderr
    assert "cannot be read as utf-8" in done.stderr


LOCALES = {
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C"},
    "C without coercion": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "none": {"LC_ALL": "nonsense", "LANG": "nonsense"},
}


@pytest.mark.parametrize("locale", LOCALES)
def test_what_an_encoding_does_not_have_is_written_as_an_escape(recipe: Path, tmp_path: Path, locale: str) -> None:
    document = recipe.read_text().replace("name: small", "name: small\n# 日本")
    (tmp_path / "small.yaml").write_text(document, encoding="utf-8")
    done = start(*THAW, "plan", tmp_path / "small.yaml", "--set", "日本=1", names=LOCALES[locale])
    assert_one_line(done, 2)
    assert any(written in done.stderr for written in ("日本 is", r"\u65e5\u672c is", r"\udce6\udc97\udca5"))


NO_USER = """
import pwd
def nobody(*_):
    raise KeyError("there is no such user")
pwd.getpwuid = pwd.getpwnam = nobody
from thaw.flows.main import main
main()
"""


def test_a_user_without_a_home_folder_can_work_and_a_tilde_is_a_line(recipe: Path, tmp_path: Path) -> None:
    done = start(sys.executable, "-c", NO_USER, "plan", recipe, "--home", tmp_path, names={"HOME": ""})
    assert (done.returncode, done.stderr) == (0, "")
    done = start(sys.executable, "-c", NO_USER, "plan", recipe, "--home", "~/h", names={"HOME": ""})
    assert_one_line(done, 2)
    assert "Give the whole path" in done.stderr


@pytest.mark.slow
def test_a_user_without_a_home_folder_can_run(recipe: Path, tmp_path: Path) -> None:
    names = {"HOME": "", "PREFECT_HOME": "", "PREFECT_API_URL": ""}
    arguments = ("run", recipe, "--home", tmp_path / "home")
    done = start(sys.executable, "-c", NO_USER, *arguments, names=names, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_a_strict_umask_and_a_missing_temporary_folder_change_nothing(recipe: Path, tmp_path: Path) -> None:
    names = {"TMPDIR": str(tmp_path / "missing")}
    arguments = ("plan", recipe, "--home", tmp_path / "home")
    done = start("sh", "-c", 'umask 077; exec "$@"', "sh", *THAW, *arguments, names=names)
    assert done.returncode == 0, done.stderr
    assert done.stdout == start(*THAW, *arguments).stdout


# -------------------------------------------------------------------------------------------------------------- markup


@pytest.mark.parametrize("name", ["[old]", "[/x]", "[red]x[/] :smile:"])
def test_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str], name: str) -> None:
    path = Path("/data", name, "thaw")
    table = plain_table("name", "why it can go")
    table.add_row(name, str(path))
    result_console().print(table)
    result_console().print(f"release: {path}", soft_wrap=True)
    status_console().print(f"thaw: home {path}", soft_wrap=True)
    output, errors = capsys.readouterr()
    assert output.count(str(path)) == 2
    assert errors == f"thaw: home {path}\n"


def calls_in(path: Path) -> list[tuple[str, list[str]]]:
    """The calls of a module: what is called, and the keywords that it is given."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [(ast.unparse(call.func), [ast.unparse(keyword) for keyword in call.keywords]) for call in calls]


def test_no_text_is_ever_read_as_markup() -> None:
    """Consoles are made in one place, without markup; what has markup of its own says that it has none."""
    sources = {path: calls_in(path) for part in ("flows", "tasks") for path in (ROOT / part).rglob("*.py")}
    made = [path.name for path, calls in sources.items() for called, _ in calls if called.endswith("Console")]
    assert made == ["console.py"]
    calls = calls_in(ROOT / "flows" / "commands" / "console.py")
    (keywords,) = [keywords for called, keywords in calls if called == "Console"]
    assert {"markup=False", "emoji=False", "highlight=False"} <= set(keywords)
    for path, calls in sources.items():
        for called, keywords in calls:
            assert "from_markup" not in called, path
            assert not called.endswith("TextColumn") or "markup=False" in keywords, path
        assert "markup=True" not in path.read_text(), path
