"""The Dockerfile, as far as that shows without Docker: what it copies makes thaw, and what it starts from suits it."""

import re
import shutil
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet

from tests.package.test_installed import ROOT, build, contents

LINES = [
    line
    for line in (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]


def arguments(instruction: str) -> list[list[str]]:
    return [line.split()[1:] for line in LINES if line.split()[0] == instruction]


def copied() -> list[str]:
    """What is copied from this folder, and not from another stage."""
    return [source for words in arguments("COPY") if "--from=build" not in words for source in words[:-1]]


def test_what_is_copied_is_there_and_makes_the_wheel(tmp_path: Path) -> None:
    for name in copied():
        here, there = ROOT / name, tmp_path / "context" / name
        there.parent.mkdir(exist_ok=True)
        if here.is_dir():
            shutil.copytree(here, there, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here, there)
    made = build(tmp_path / "context", "wheel", tmp_path / "made")
    assert contents(made) == contents(build(ROOT, "wheel", tmp_path / "expected"))
    assert "requirements.lock" in copied()


def test_docker_is_sent_what_is_copied_and_nothing_else() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    assert sorted(rule[1:] for rule in rules if rule.startswith("!")) == sorted(copied())


def test_its_python_is_one_that_thaw_takes_and_comes_by_no_address_of_a_registry() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    images = [words[0] for words in arguments("FROM")]
    assert len(images) == 2
    for image in images:
        version = re.fullmatch(r"python:(3\.\d+)-slim", image)
        assert version is not None, image
        assert version[1] in SpecifierSet(project["requires-python"])


def test_it_installs_the_lock_by_hashes_and_runs_as_a_user_with_the_home_as_a_volume() -> None:
    (lock,) = [words for words in arguments("RUN") if "requirements.lock" in words]
    assert lock.count("--require-hashes") == lock.count("install") == 2
    assert arguments("USER") == [["thaw"]]
    volume, environment = arguments("VOLUME"), dict(word.split("=", 1) for words in arguments("ENV") for word in words)
    assert volume == [[environment["THAW_HOME"]]]
    assert environment.keys() == {"PIP_NO_CACHE_DIR", "PIP_DISABLE_PIP_VERSION_CHECK", "PATH", "THAW_HOME"}
