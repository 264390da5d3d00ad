"""Home folders with whole runs in them, made without training: every artifact of a run, published and remembered."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.publishing.helpers import assert_consistent, verdict_of
from tests.support import without_cost
from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.publish_schema import Better
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of, read_manifest
from thaw.tasks.artifacts.step import Made, Step
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.cleanup.inventory import references_in
from thaw.tasks.home import Home
from thaw.tasks.publishing.publish import publish
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.release import Release
from thaw.tasks.releases.verdict import TestMetrics as Metrics
from thaw.tasks.releases.verdict import Verdict
from thaw.tasks.runs import ReleaseReport, RunResult, TaskReport, recall, remember
from thaw.tasks.verdict.rivals import rivals_of

LONG_AGO = 1_000_000_000.0  # 2001
DAY = 86_400.0


class PartStep(Step):
    work: ClassVar[str] = "thaw.tasks.records.index:read_index"
    libraries: ClassVar[tuple[str, ...]] = ()

    content: Any
    inputs_by_name: dict[str, ArtifactRef]


@dataclass(frozen=True)
class Run:
    """A run that is over: its release, and its artifacts by key."""

    release: str
    refs: dict[str, ArtifactRef]

    @property
    def last_key(self) -> str:
        return list(self.refs)[-1]

    def is_up_to_date(self, home: Path) -> bool:
        """What `thaw run` asks before it says so."""
        store = Home.open(home).store
        if any(store.peek(key) != (ref, None) for key, ref in self.refs.items()):
            return False
        Home.open(home).registry.verify(self.release)
        return recall(Home.open(home), self.last_key) is not None


class Builder:
    """Builds one artifact after the other, as a flow does."""

    def __init__(self, home: Path) -> None:
        self.store, self.refs, self.is_cached = Home.open(home).store, dict[str, ArtifactRef](), True

    def build(self, kind: str, content: Any, fill: Any = None, facts: Any = None, **inputs: ArtifactRef) -> ArtifactRef:
        step_class = type("AnyStep", (PartStep,), {"kind": kind, "__module__": __name__})
        step = step_class(content=content, inputs_by_name=inputs)

        def work(folder: Path) -> Made:
            self.is_cached = False
            write_json(folder / "content.json", [kind, content])
            if fill is not None:
                fill(folder)
            return without_cost(facts)

        ref = self.store.build(step, work)
        self.store.mark_used(step.key)
        record = self.store.home / "prefect-results" / step.key
        record.parent.mkdir(exist_ok=True)
        record.write_text(ref.model_dump_json())
        self.refs[step.key] = ref
        return ref


def begin_run(home: Path, data: str) -> tuple[Builder, dict[str, ArtifactRef]]:
    """The first two steps, and no more."""
    builder = Builder(home)
    dataset = builder.build("dataset", data)
    return builder, {"dataset": dataset, "records": builder.build("records", data, dataset=dataset)}


def run(home: Path, recipe: str, tag: str, accuracy: float, data: str = "photos") -> Run:
    """A whole run. One that has run before is found in the store, step by step."""
    builder, parts = begin_run(home, data)
    parts["stage_one"] = builder.build("stage", [recipe, "one"], records=parts["records"])
    parts["stage_two"] = builder.build("stage", [recipe, tag], start=parts["stage_one"], records=parts["records"])
    parts["evaluation"] = builder.build("evaluation", [recipe, tag], model=parts["stage_two"])
    metrics = Metrics(examples=100, accuracy=accuracy, accuracy_ci=(accuracy, accuracy))
    registry = Home.open(home).registry
    registry.mend()
    champion, anchor = rivals_of(registry, recipe, parts["evaluation"], Better(rule="better"))
    verdict = verdict_of(metrics, champion, anchor, registry.get(champion.release).accuracy if champion else 0.0)
    document = verdict.model_dump(mode="json")
    parts["verdict"] = builder.build("verdict", document, evaluation=parts["evaluation"])
    release = _release(recipe, verdict, parts)

    def fill(folder: Path) -> None:
        write_json(folder / "release.json", release.model_dump(mode="json"))
        write_json(folder / "verdict.json", document)
        (folder / "model.keras").write_bytes(b"weights" * 1000)
        write_checksums(folder)

    ref = builder.build("release", [release.id, document], fill, **parts)
    info = publish(Home.open(home), ref)
    key = list(builder.refs)[-1]
    if not builder.is_cached or recall(Home.open(home), key) is None:
        report = ReleaseReport(id=info.id, path=info.path, champion=info.is_champion)
        remember(Home.open(home), key, _result(recipe, builder, verdict, report))
    return Run(release.id, builder.refs)


def _release(recipe: str, verdict: Verdict, parts: dict[str, ArtifactRef]) -> Release:
    return Release(
        id=f"{recipe}-{parts['evaluation'].digest[:12]}",
        recipe=recipe,
        verdict=verdict.verdict,
        compared_with=verdict.champion.release if verdict.champion else None,
        evaluation=parts["evaluation"].digest,
        classes=["cat", "dog"],
        input=Preprocessing(max_pixels=10**6, max_side=None, resolution=16, center_crop=None),
        test=verdict.candidate,
        made_from={name: ref.model_dump() for name, ref in parts.items()},
        libraries={},
        thaw="0",
    )


def _result(recipe: str, builder: Builder, verdict: Verdict, release: ReleaseReport) -> RunResult:
    tasks = [
        TaskReport(name=ref.kind, state="completed", cached=False, seconds=0.0, digest=ref.digest)
        for ref in builder.refs.values()
    ]
    return RunResult(
        run="r",
        recipe=recipe,
        seconds=0.0,
        tasks=tasks,
        stages=[],
        metrics={"test": {}},
        verdict=verdict.verdict,
        release=release,
        ui_url=None,
    )


def result_of(home: Path, run: Run) -> RunResult:
    result = recall(Home.open(home), run.last_key)
    assert result is not None
    return result


def let_time_pass(home: Path) -> None:
    """Everything that is there was made and used long ago."""
    for path in [home, *home.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def artifacts_in(home: Path) -> set[ArtifactRef]:
    return {ArtifactRef(kind=path.parent.name, digest=path.name) for path in (home / "artifacts").glob("*/*")}


def releases_in(home: Path) -> set[str]:
    return set(Home.open(home).registry.ids())


def files_in(home: Path) -> set[str]:
    paths = (path.relative_to(home) for path in home.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if path.parts[0] != "locks"}


def assert_works(home: Path) -> None:
    """What holds at every moment, also right after a kill."""
    assert_consistent(home)
    store = Home.open(home).store
    for path in (home / "keys").glob("*.json"):
        ref, problem = store.peek(path.stem)
        assert problem is None
        assert ref is not None


def assert_complete(home: Path) -> None:
    """What holds besides after `thaw gc` has ended: nothing leads to what is gone, and nothing is left over."""
    assert_works(home)
    there = artifacts_in(home)
    for ref in there:
        manifest = read_manifest(Home.open(home).store.folder(ref))
        assert manifest.ref == ref
        assert set(references_in(manifest.made_from["depends_on"])) <= there
    keys = {path.stem for path in (home / "keys").iterdir()}
    assert {path.name for path in (home / "prefect-results").iterdir()} <= keys
    assert {path.stem for path in (home / "runs").iterdir()} <= keys
    assert not (home / "trash").exists()


def copy_home(home: Path, destination: Path) -> Path:
    shutil.copytree(home, destination, ignore=shutil.ignore_patterns("*.lock"))  # with the times of modification
    return destination


def key_named(text: str) -> str:
    return digest_of(text)
