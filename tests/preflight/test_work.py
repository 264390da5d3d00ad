"""The step's own work, on datasets and releases as a run leaves them."""

import json

import pyarrow.parquet as pq
import pytest

from tests.ingest.pictures import Recorder
from tests.preflight.made import RECIPE, asked, image, images, keep, learn, preflight
from thaw.flows.requests import preflight as ask
from thaw.pipeline_config.errors import DatasetError, PublishError
from thaw.pipeline_config.retrain_schema import ChecksConfig
from thaw.tasks.home import Home
from thaw.tasks.preflight.changes import CHANGES_NAME
from thaw.tasks.releases.learned_from import COLUMNS, LEARNED_FROM_NAME
from thaw.tasks.releases.preflight import PREFLIGHT_NAME

OLD = images(50)


@pytest.fixture
def report():
    return Recorder()


def test_the_first_run_has_nothing_to_compare_with(tmp_path, report):
    facts = preflight(tmp_path, asked(tmp_path, keep(tmp_path, OLD, duplicates=2), None), report)
    assert (facts.champion, facts.images, facts.duplicates, facts.changes) == (None, 100, 2, None)
    assert (facts.drift, facts.warnings, report.told("log"), report.told("warning")) == ([], [], [], [])


def test_a_run_hears_what_changed_since_its_champion(tmp_path, report):
    champion = learn(tmp_path, keep(tmp_path, OLD))
    new = keep(tmp_path, [*OLD[5:], image(900, "emu"), image(901, "emu", "test"), *images(15, first=1000)])
    facts = preflight(tmp_path, asked(tmp_path, new, champion.id), report)
    assert facts.changes is not None
    assert (facts.changes.added, facts.changes.removed, facts.changes.relabelled) == (32, 5, 0)
    assert facts.changes.classes_added == ["emu"]
    assert report.told("log") == [f"the images since {champion.id}: 32 added, 5 removed; new classes: emu"]
    assert [each.of for each in facts.drift] == ["class mix", "size", "brightness"]
    assert report.told("warning") == facts.warnings
    assert "emu has 2" in facts.warnings[0]


def test_what_it_says_is_in_its_files(tmp_path, report):
    champion = learn(tmp_path, keep(tmp_path, OLD))
    step = asked(tmp_path, keep(tmp_path, OLD[1:]), champion.id)
    facts = preflight(tmp_path, step, report)
    ref, _ = Home.open(tmp_path).find(step)
    assert ref is not None
    folder = Home.open(tmp_path).store.verified(ref)
    assert json.loads((folder / PREFLIGHT_NAME).read_text()) == facts.model_dump(mode="json")
    assert [row["change"] for row in pq.read_table(folder / CHANGES_NAME).to_pylist()] == ["removed"]


def test_a_release_has_what_a_comparison_needs_also_when_its_dataset_is_gone(tmp_path, report):
    old = keep(tmp_path, OLD)
    champion = learn(tmp_path, old)
    table = pq.read_table(champion.path / LEARNED_FROM_NAME)
    assert table.column_names == COLUMNS
    assert table["id"].to_pylist() == sorted(bytes.fromhex(each.id[:16]) for each in OLD if each.split != "test")
    store = Home.open(tmp_path).store
    for path in sorted(store.folder(old).rglob("*")):
        path.unlink()
    again = [each for each in OLD if each.class_name == "cat"] + [
        image(number, "cat", each.split) for number, each in enumerate(OLD) if each.class_name == "dog"
    ]
    facts = preflight(tmp_path, asked(tmp_path, keep(tmp_path, again), champion.id), report)
    assert facts.changes is not None
    assert (facts.changes.relabelled, facts.changes.classes_removed) == (50, ["dog"])
    assert "dog has 0 of 50" in facts.warnings[0]


def test_a_release_of_an_earlier_thaw_takes_part_with_what_it_says(tmp_path, report):
    champion = learn(tmp_path, keep(tmp_path, OLD), form=1)
    facts = preflight(
        tmp_path, asked(tmp_path, keep(tmp_path, [*OLD[1:], *images(20, first=1000)]), champion.id), report
    )
    assert facts.changes is not None
    assert (facts.changes.added, facts.changes.removed, facts.changes.unknown) == (40, 1, 89)
    assert (facts.drift, facts.not_tested) == (
        [],
        f"{champion.id}, of an earlier thaw, does not say what its images were like",
    )


def test_a_release_that_says_nothing_is_compared_with_nothing(tmp_path, report):
    champion = learn(tmp_path, keep(tmp_path, OLD), form=0)
    facts = preflight(tmp_path, asked(tmp_path, keep(tmp_path, OLD[1:]), champion.id), report)
    assert (facts.champion, facts.changes) == (champion.id, None)


def test_a_damaged_release_is_an_error_that_names_its_file(tmp_path, report):
    champion = learn(tmp_path, keep(tmp_path, OLD))
    (champion.path / LEARNED_FROM_NAME).write_bytes(b"PAR1")
    with pytest.raises(PublishError, match=LEARNED_FROM_NAME):
        preflight(tmp_path, asked(tmp_path, keep(tmp_path, OLD[1:]), champion.id), report)


def test_what_is_to_stop_the_run_leaves_nothing_behind(tmp_path, report):
    stopping = RECIPE.model_copy(update={"checks": ChecksConfig(class_images=60, levels={"class_images": "stop"})})
    step = asked(tmp_path, keep(tmp_path, OLD), None, stopping)
    with pytest.raises(DatasetError, match="cat has 50, dog has 50"):
        preflight(tmp_path, step, report)
    assert Home.open(tmp_path).find(step) == (None, None)


def test_a_run_asks_of_the_champion_and_once_it_has_taken_its_place_finds_its_answer(tmp_path, report):
    first = keep(tmp_path, OLD)
    home = Home.open(tmp_path)
    assert ask(RECIPE, home, first).champion is None
    preflight(tmp_path, ask(RECIPE, home, first), report)
    champion = learn(tmp_path, first)
    second = keep(tmp_path, OLD[1:])
    assert ask(RECIPE, home, second).champion == champion.id
    preflight(tmp_path, ask(RECIPE, home, second), report)
    learn(tmp_path, second, tag="b")
    assert home.find(ask(RECIPE, home, second))[0] is not None
    home.registry.rollback(None, "for a test")
    assert [home.find(ask(RECIPE, home, dataset))[0] is not None for dataset in (first, second)] == [True, True]


def test_what_is_made_along_with_another_is_the_same_as_made_alone(tmp_path, report):
    for home in (tmp_path / "one", tmp_path / "other"):
        learn(home, keep(home, OLD))
        keep(home, OLD[1:])
    champion = Home.open(tmp_path / "one").registry.champion("small")
    assert champion is not None
    dataset = keep(tmp_path / "one", OLD[1:])
    together = asked(tmp_path, dataset, champion.id)
    preflight(tmp_path / "one", together, report)
    alone = asked(tmp_path, dataset, None)
    preflight(tmp_path / "other", alone, report)
    assert together.key != alone.key
    refs = [Home.open(tmp_path / name).find(alone)[0] for name in ("one", "other")]
    assert refs[0] == refs[1] != Home.open(tmp_path / "one").find(together)[0]
