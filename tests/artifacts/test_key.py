"""The key: what the result depends on, and nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.artifacts.steps import LetterStep
from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts import step as step_module
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of
from thaw.tasks.artifacts.step import Step, library_version, source_fingerprint

ROOT = Path(__file__).parents[2]
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
# A project that is made for these tests: work imports helper, which imports deep; nothing imports other.
PACKAGE = {
    "thaw/__init__.py": "",
    "thaw/tasks/__init__.py": "",
    "thaw/tasks/letters/__init__.py": "",
    "thaw/tasks/letters/work.py": "import json\nfrom thaw.tasks.letters.helper import help_out\n",
    "thaw/tasks/letters/helper.py": "def help_out():\n    import thaw.tasks.deep\n",
    "thaw/tasks/letters/other.py": "",
    "thaw/tasks/deep.py": "from thaw.tasks.letters import helper\n",  # a circle, which must end
}


def key_in_child(cwd: Path, seed: str, path: Path = ROOT) -> str:
    """The key of one step, computed in a new process."""
    program = (
        "from thaw.pipeline_config.loading import load_recipe\n"
        "from thaw.tasks.artifacts.manifest import ArtifactRef\n"
        "from thaw.tasks.training.step import TrainStep\n"
        "recipe = load_recipe('cats_dogs', ('stage_one.class_weights={cats: 1, dogs: 2, b: 3, a: 4}',))\n"
        "ref = ArtifactRef(kind='records', digest='0' * 64)\n"
        "step = TrainStep(name='stage_one', records=ref, model=recipe.model, stage=recipe.stage_one, seed=0)\n"
        "import sys\n"
        "assert 'tensorflow' not in sys.modules\n"
        "print(step.key)\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The fake project; called, it gives the fingerprint of its work, computed afresh."""
    for name, text in PACKAGE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def source_of(module: str) -> Path | None:
        base = tmp_path.joinpath(*module.split("."))
        return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)

    monkeypatch.setattr(step_module, "_source_of", source_of)

    def fingerprint() -> dict[str, str]:
        step_module._read_code.cache_clear()
        return source_fingerprint.__wrapped__("thaw.tasks.letters.work")

    return fingerprint


def test_key_is_the_same_for_every_hash_seed_and_working_folder(tmp_path):
    keys = {key_in_child(ROOT, "0"), key_in_child(tmp_path, "1")}
    assert len(keys) == 1
    assert re.fullmatch("[0-9a-f]{64}", keys.pop())


def test_key_is_the_same_where_the_project_is_installed_elsewhere_and_another_after_an_edit(tmp_path):
    shutil.copytree(ROOT / "thaw", tmp_path / "thaw", ignore=shutil.ignore_patterns("__pycache__"))
    assert key_in_child(tmp_path, "2", tmp_path) == key_in_child(ROOT, "3")
    # A helper that the work reaches only through others.
    with (tmp_path / "thaw" / "tasks" / "training" / "geometry.py").open("a") as file:
        file.write("EDITED = 1\n")
    assert key_in_child(tmp_path, "2", tmp_path) != key_in_child(ROOT, "3")


def test_key_does_not_depend_on_the_order_of_a_mapping():
    one = LetterStep(text="x", weights={"a": 1.0, "b": 2.0})
    other = LetterStep(weights={"b": 2.0, "a": 1.0}, text="x")
    assert one.key == other.key


@pytest.mark.parametrize(
    "change", [{"text": "y"}, {"weights": {"a": 1.5}}, {"parent": ArtifactRef(kind="letters", digest="00")}]
)
def test_key_depends_on_every_field(change):
    assert LetterStep(**{"text": "x", **change}).key != LetterStep(text="x").key


def test_key_depends_on_the_digest_of_an_input():
    first, second = (LetterStep(text="x", parent=ArtifactRef(kind="letters", digest=digest)) for digest in ("00", "01"))
    assert first.key != second.key
    assert first.inputs() == {"parent": ArtifactRef(kind="letters", digest="00")}


def test_steps_of_two_kinds_with_equal_fields_have_two_keys():
    class OtherStep(LetterStep):
        kind: ClassVar[str] = "others"

    assert OtherStep(text="x").key != LetterStep(text="x").key


def test_key_document_names_what_the_key_is_made_of():
    document = LetterStep(text="x").key_document
    assert document["kind"] == "letters"
    assert document["depends_on"]["text"] == "x"
    assert document["libraries"] == {"numpy": metadata.version("numpy")}
    # The work's module, and what it imports of what makes numbers.
    assert set(document["sources"]) == {"thaw.tasks.records.index"}
    assert str(ROOT) not in json.dumps(document)


def test_key_depends_on_the_version_of_a_library(monkeypatch):
    before = LetterStep(text="x").key
    library_version.cache_clear()
    try:
        monkeypatch.setattr(metadata, "version", lambda name: "99.0")
        assert LetterStep(text="x").key != before
    finally:
        library_version.cache_clear()
        monkeypatch.undo()
    assert LetterStep(text="x").key == before


def test_library_that_is_not_installed_is_an_error_not_a_miss():
    class Unheard(LetterStep):
        libraries: ClassVar[tuple[str, ...]] = ("no-such-library",)

    with pytest.raises(ArtifactError, match="no-such-library is not installed"):
        _ = Unheard(text="x").key


def test_work_whose_source_cannot_be_found_is_an_error_not_a_miss():
    class Lost(Step):
        kind: ClassVar[str] = "letters"
        work: ClassVar[str] = "thaw.tasks.no_such_module:work"
        libraries: ClassVar[tuple[str, ...]] = ()

    with pytest.raises(ArtifactError, match=r"The source of thaw\.tasks\.no_such_module cannot be found"):
        _ = Lost().key


def test_setting_that_is_not_finite_is_an_error_not_a_miss():
    with pytest.raises(ValueError, match="JSON compliant"):
        _ = LetterStep(text="x", weights={"a": float("nan")}).key


def test_fingerprint_covers_what_the_work_imports_directly_or_not_and_nothing_else(package):
    names = {"thaw.tasks.letters.work", "thaw.tasks.letters.helper", "thaw.tasks.deep", "thaw.tasks.letters"}
    assert set(package()) == names


@pytest.mark.parametrize("edited", ["thaw/tasks/letters/work.py", "thaw/tasks/letters/helper.py", "thaw/tasks/deep.py"])
def test_edit_of_any_module_that_is_imported_changes_its_fingerprint_alone(package, tmp_path, edited):
    before = package()
    (tmp_path / edited).write_text((tmp_path / edited).read_text() + "EDITED = 1\n")
    after = package()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {edited.removesuffix(".py").replace("/", ".")}


def test_edit_of_a_module_that_is_not_imported_changes_nothing(package, tmp_path):
    before = package()
    (tmp_path / "thaw/tasks/letters/other.py").write_text("# edited\n")
    assert package() == before


def test_comments_docstrings_and_layout_change_nothing(package, tmp_path):
    before = package()
    told = '"""What it is for."""\n\n# why\ndef help_out():\n    """Help."""\n\n    import thaw.tasks.deep  # so\n'
    (tmp_path / "thaw/tasks/letters/helper.py").write_text(told)
    assert package() == before


@pytest.mark.parametrize("work", ["ingest.work", "records.work", "training.work", "evaluation.work", "publishing.work"])
def test_fingerprint_leaves_out_what_makes_no_numbers(work):
    assert not [name for name in source_fingerprint(f"thaw.tasks.{work}") if re.search(r"errors|store|progress", name)]


def test_new_import_adds_to_the_fingerprint(package, tmp_path):
    (tmp_path / "thaw/tasks/letters/helper.py").write_text("from thaw.tasks.letters.other import anything\n")
    assert "thaw.tasks.letters.other" in package()


@given(st.dictionaries(st.text(), DOCUMENTS, max_size=6), st.randoms())
def test_digest_does_not_depend_on_the_order_of_keys(document, random):
    items = list(document.items())
    random.shuffle(items)
    assert digest_of(dict(items)) == digest_of(document)


@given(DOCUMENTS, DOCUMENTS)
def test_documents_that_differ_have_digests_that_differ(one, other):
    equal = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (digest_of(one) == digest_of(other)) == equal


@pytest.mark.parametrize("value", [{1, 2}, Path("x"), b"x", object()])
def test_digest_of_what_is_no_json_is_an_error(value):
    with pytest.raises(TypeError):
        digest_of({"a": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_digest_of_a_number_that_is_not_finite_is_an_error(value):
    with pytest.raises(ValueError, match="JSON compliant"):
        digest_of([value])
