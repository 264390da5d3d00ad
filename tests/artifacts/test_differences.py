"""Why a key is another one: every difference is named, and nothing else is."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.tasks.artifacts.differences import explain, most_similar

DOCUMENT: dict[str, Any] = {
    "kind": "stage",
    "depends_on": {
        "name": "stage_two",
        "seed": 0,
        "records": {"kind": "records", "digest": "aa"},
        "weights_sha256": "11",
        "stage": {
            "epochs": 10,
            "optimizer": {"name": "rmsprop", "learning_rate": 1e-05},
            "augment": [{"name": "flip"}],
        },
    },
    "sources": {"thaw.tasks.training.work": "01", "evaluation/report.html.j2": "02"},
    "libraries": {"keras": "3.15.1"},
}

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5))
settings = st.recursive(
    leaves, lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3) | st.lists(inner, max_size=3)
)
documents = st.fixed_dictionaries(
    {
        "depends_on": st.dictionaries(st.sampled_from(["epochs", "seed", "dataset"]), settings, max_size=3),
        "sources": st.dictionaries(st.sampled_from(["thaw.tasks.a", "thaw.tasks.b"]), st.sampled_from(["1", "2"])),
        "libraries": st.dictionaries(st.sampled_from(["keras", "numpy"]), st.sampled_from(["1", "2"])),
    }
)


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(DOCUMENT)
    *parents, last = path.split("/")
    place = document
    for parent in parents:
        place = place[parent]
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("depends_on/stage/optimizer/learning_rate", 3e-05, "stage_two.optimizer.learning_rate 1e-05 → 3e-05"),
        ("depends_on/stage/augment", [], "stage_two.augment.0.name flip → nothing"),
        ("depends_on/seed", 1, "seed 0 → 1"),
        ("depends_on/records", {"kind": "records", "digest": "bb"}, "its input, the records, is another one"),
        ("depends_on/weights_sha256", "22", "the weights file changed"),
        ("sources/thaw.tasks.training.work", "03", "tasks/training/work.py changed"),
        ("sources/evaluation/report.html.j2", None, None),
        ("libraries/keras", "3.15.2", "keras 3.15.1 → 3.15.2"),
    ],
)
def test_a_difference_is_named_in_words(path: str, value: Any, line: str | None) -> None:
    if line is None:
        other = copy.deepcopy(DOCUMENT)
        other["sources"]["evaluation/report.html.j2"] = "04"
        assert explain(DOCUMENT, other) == ["evaluation/report.html.j2 changed"]
    else:
        assert explain(DOCUMENT, changed(path, value)) == [line]


def test_a_key_of_the_whole_recipe_is_named_as_the_recipe_names_it() -> None:
    old, new = ({"depends_on": {"recipe": {"publish": {"formats": formats}}}} for formats in (["keras"], ["onnx"]))
    assert explain(old, new) == ["publish.formats.0 keras → onnx"]


def test_files_and_libraries_that_come_and_go_are_named() -> None:
    assert explain(DOCUMENT, changed("sources", {"evaluation/report.html.j2": "02", "thaw.tasks.new": "05"})) == [
        "tasks/new.py is new",
        "tasks/training/work.py is gone",
    ]
    assert explain(DOCUMENT, changed("libraries", {})) == ["keras 3.15.1 → nothing"]


def test_where_much_of_the_code_is_another_one_line_says_so() -> None:
    assert explain(DOCUMENT, changed("sources", {f"thaw.tasks.new_{number}": "05" for number in range(5)})) == [
        "thaw's code changed, in 7 files"
    ]


@given(documents)
def test_equal_documents_have_nothing_to_explain(document: dict[str, Any]) -> None:
    assert explain(document, copy.deepcopy(document)) == []


@given(documents, documents)
def test_what_is_explained_one_way_is_explained_the_other_way(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert len(explain(one, other)) == len(explain(other, one))


def test_the_most_similar_document_is_the_one_with_the_fewest_differences() -> None:
    near, far = changed("depends_on/seed", 1), changed("libraries", {"keras": "3", "numpy": "2"})
    assert most_similar([far, near], DOCUMENT) == near
    assert most_similar([], DOCUMENT) is None
