"""What a recipe's `devices` names is all that the processes of its steps take. No GPU is needed to see that."""

from typing import Any

import grimp
import pytest
import tensorflow as tf

from tests.devices_chosen import GPUS, Works
from tests.support import (
    WalkHere,
    baseline_without_champion,
    build_records,
    calibration_of,
    small_recipe,
    write_pictures,
)
from thaw.flows.graph import EXPERIMENT, GRAPH
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.schema import Devices
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.children import run_in_child
from thaw.tasks.devices import choose_devices
from thaw.tasks.publishing.predict_request import PredictWork

NODES = {node.name: node for node in (*GRAPH, *EXPERIMENT)}
OF_DATA = ("ingest", "records")
ON_IMAGES = (*OF_DATA, "report")


@pytest.fixture(scope="module")
def requests_of_steps(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Makes the request that the child of every step that reaches TensorFlow gets, and that of `thaw predict`."""
    folder = tmp_path_factory.mktemp("devices")
    data = write_pictures(folder / "data", each=8)
    imports = grimp.build_graph("thaw", include_external_packages=True, exclude_type_checking_imports=True)

    def ask(devices: Devices) -> dict[str, tuple[str, str]]:
        stage = {"train": {"last_blocks": 1}, "epochs": 2, "feature_views": 2}
        stage["optimizer"] = {"name": "sgd", "learning_rate": 0.1}
        stages = {name: stage | {"resolution": size} for name, size in (("stage_one", 16), ("stage_two", 24))}
        walk = WalkHere(small_recipe(data, devices=devices, **stages), folder / "home")
        walk.made = {name: ArtifactRef(kind=name, digest="0" * 64) for name in NODES}
        walk.made["records"] = build_records(folder / "home", walk.recipe)
        walk.made |= {"features_one": None, "features_two": None}
        walk.made["calibrate"] = calibration_of(folder / "home")
        walk.made["baseline"] = baseline_without_champion(folder / "home")
        asked = {}
        for name, node in NODES.items():
            if node.may_be_asked is not None and not node.may_be_asked(walk.recipe):
                continue
            step = walk.asked(node)
            if imports.find_shortest_chain(step.work.partition(":")[0], "tensorflow"):
                asked[name] = (step.work, walk.request_of(step, folder).model_dump_json(by_alias=True))
        predict = PredictWork(release=folder, paths=[], devices=devices)
        return asked | {"predict": ("thaw.tasks.publishing.predict:predict", predict.model_dump_json())}

    return ask


def test_every_step_that_reaches_tensorflow_first_chooses_the_devices_that_the_recipe_names(
    requests_of_steps: Any,
) -> None:
    on_cpu, on_second = requests_of_steps("cpu"), requests_of_steps([1])
    assert {*OF_DATA, "features_one", "stage_two", "calibrate", "evaluate", "publish", "predict"} <= set(on_cpu)
    works = Works(each=[*on_cpu.values(), *on_second.values()])
    made = run_in_child(
        "tests.devices_chosen:choices", works, deadline_seconds=120, listener=lambda *_: None, shared=True
    )
    # What reads and writes images has no use for a GPU, whatever trains.
    expected = {name: [] if name in ON_IMAGES else [1] for name in on_second}
    choices = made.facts["choices"]
    assert dict(zip(on_cpu, choices[: len(on_cpu)], strict=True)) == {name: [] for name in on_cpu}
    assert dict(zip(on_second, choices[len(on_cpu) :], strict=True)) == expected


@pytest.fixture
def visible(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Two GPUs, and what is made visible of them."""
    calls: list[Any] = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: GPUS)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: calls.append(devices))
    return calls


@pytest.mark.parametrize(
    ("devices", "names", "expected"),
    [
        ("auto", ["GPU:0", "GPU:1"], []),
        ("cpu", [], [[]]),
        ([1], ["GPU:0"], [[GPUS[1]]]),
        ([0, 1], ["GPU:0", "GPU:1"], [GPUS]),
    ],
)
def test_a_process_sees_the_gpus_that_are_named_and_counts_them_anew(
    visible: list[Any], devices: Devices, names: list[str], expected: list[Any]
) -> None:
    assert choose_devices(devices) == names
    assert visible == expected


def test_a_gpu_that_is_not_there_is_refused_where_it_is_required_and_else_passed_over(visible: list[Any]) -> None:
    with pytest.raises(RecipeError, match=r"devices: there is no GPU 5\. TensorFlow sees 2, counted from 0\. Use auto"):
        choose_devices([1, 5])
    assert visible == []
    assert choose_devices([1, 5], required=False) == ["GPU:0"]
    assert choose_devices([5], required=False) == []
    assert visible == [[GPUS[1]], []]
