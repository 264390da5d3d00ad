"""Runs without training: release artifacts that hold a few bytes, published as a flow publishes real ones."""

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from tests.support import without_cost
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.publish_schema import Better
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.learned_from import COLUMNS, write_learned_from
from thaw.tasks.releases.release import Release, ReleaseInfo, release_id
from thaw.tasks.releases.verdict import Outcome, ReleasedModel, Verdict
from thaw.tasks.releases.verdict import TestMetrics as Metrics
from thaw.tasks.verdict.rivals import rivals_of


class TinyStep(Step):
    kind: ClassVar[str] = "release"
    work: ClassVar[str] = "thaw.tasks.releases.release:read_release"
    libraries: ClassVar[tuple[str, ...]] = ()

    document: dict[str, Any]


def evaluation_of(recipe: str, tag: str) -> ArtifactRef:
    return ArtifactRef(kind="evaluation", digest=digest_of([recipe, tag]))


def id_of(recipe: str, tag: str, edition: str = "") -> str:
    """Of the same model there may be several editions: other files, and so another release."""
    return release_id(recipe, [tag, edition])


def make_artifact(
    home: Path, recipe: str, tag: str, verdict: Verdict, edition: str = "", model: bytes | None = None
) -> ArtifactRef:
    """Make a release artifact; `model` is a Keras file, and without it nothing can be loaded."""
    release = Release(
        id=id_of(recipe, tag, edition),
        recipe=recipe,
        verdict=verdict.verdict,
        compared_with=verdict.champion.release if verdict.champion else None,
        evaluation=evaluation_of(recipe, tag).digest,
        classes=["cat", "dog"],
        input=Preprocessing(max_pixels=10**6, max_side=None, resolution=16, center_crop=None),
        test=verdict.candidate,
        made_from={},
        libraries={},
        thaw="0",
    )

    def work(folder: Path) -> Made:
        write_json(folder / "release.json", release.model_dump(mode="json"))
        write_json(folder / "verdict.json", verdict.model_dump(mode="json"))
        (folder / "model.keras").write_bytes(f"the model {tag}".encode() * 40 if model is None else model)
        write_learned_from(folder, pa.table({name: [] for name in COLUMNS}))
        (folder / "README.md").write_text(f"edition {edition}")
        if model is None:
            (folder / "saved_model" / "variables").mkdir(parents=True)
            (folder / "saved_model" / "variables" / "manifest.json").write_bytes(b"{}")
        write_checksums(folder)
        return without_cost()

    document = {"release": release.model_dump(mode="json"), "verdict": verdict.model_dump(mode="json")}
    return Home.open(home).store.build(TinyStep(document=document), work)


def judge(
    home: Path, recipe: str, tag: str, accuracy: float, edition: str = "", model: bytes | None = None
) -> ArtifactRef:
    """Everything of a run but the publishing."""
    metrics = Metrics(examples=100, accuracy=accuracy, accuracy_ci=(max(accuracy - 0.05, 0), min(accuracy + 0.05, 1)))
    registry = Home.open(home).registry
    registry.mend()
    champion, anchor = rivals_of(registry, recipe, evaluation_of(recipe, tag), Better(rule="better"))
    verdict = verdict_of(metrics, champion, anchor, registry.get(champion.release).accuracy if champion else 0.0)
    return make_artifact(home, recipe, tag, verdict, edition, model)


def verdict_of(
    metrics: Metrics, champion: ReleasedModel | None, anchor: ReleasedModel | None, to_beat: float
) -> Verdict:
    """A verdict such as a comparison would give that shows every difference in accuracy."""
    outcome: Outcome = "first" if champion is None else "better" if metrics.accuracy > to_beat else "not shown"
    return Verdict(
        verdict=outcome,
        promote=outcome != "not shown",
        reason=f"Test accuracy {metrics.accuracy:.4f}.",
        candidate=metrics,
        champion=champion,
        anchor=anchor,
        compared=None,
        compared_with_anchor=None,
    )


def run(
    home: Path,
    recipe: str,
    tag: str,
    accuracy: float,
    edition: str = "",
    model: bytes | None = None,
    *,
    ask_first: bool = False,
) -> ReleaseInfo:
    return publish(Home.open(home), judge(home, recipe, tag, accuracy, edition, model), ask_first=ask_first)


def champion_id(home: Path, recipe: str) -> str | None:
    champion = Home.open(home).registry.champion(recipe)
    return champion.id if champion else None


def assert_consistent(home: Path) -> None:
    """What holds at every moment, also right after a crash."""
    registry = Home.open(home).registry
    for info in registry.list():
        registry.verify(info.id)
    log = registry.log()
    assert [entry.sequence for entry in log] == sorted({entry.sequence for entry in log})
    log = [entry for entry in log if entry.action != "decline"]
    for recipe, release in registry.champions().items():
        registry.verify(release)
        assert [entry.release for entry in log if entry.recipe == recipe][-1] == release
    for after in log:
        earlier = [entry.release for entry in log if entry.recipe == after.recipe and entry.sequence < after.sequence]
        assert after.previous == (earlier[-1] if earlier else None)


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
