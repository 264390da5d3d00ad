"""However many images there are, ingest holds a few of them; what it writes is what the simple way to do it writes."""

import csv
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.benchmarks.made import benchmark
from tests.ingest.pictures import Recorder, jpeg
from thaw.pipeline_config.dataset_schema import SPLITS, CsvSource, Cut, DatasetConfig, SplitName, SplitsConfig
from thaw.tasks.artifacts.store import write_json
from thaw.tasks.home import Home
from thaw.tasks.ingest import dataset, known, sorted_rows
from thaw.tasks.ingest.dataset import IMAGES, SUMMARY, DatasetImage, write_dataset
from thaw.tasks.ingest.known import KnownImages
from thaw.tasks.ingest.sources import columns_digest, content_digest, image_files
from thaw.tasks.ingest.splits import assign_split, plan_splits
from thaw.tasks.ingest.step import COLUMNS, IngestStep, IngestWork
from thaw.tasks.ingest.work import ingest
from thaw.tasks.pictures.files import ImageFacts, inspect
from thaw.tasks.pictures.opening import BadImageError

CLASSES = ("cats", "dogs")
KEPT_FIRST = ("test", "validation", "train")
CUTS = SplitsConfig(validation=Cut(from_="train", fraction=0.3), test=Cut(from_="train", fraction=0.3))
# Each is there once: with or without cuts, every split has some of each class.
ONCE = [jpeg(number) for number in range(24)]
# May be there several times, in any place. The last two are no images.
REPEATED = [*(jpeg(number) for number in range(100, 104)), b"no image", b""]
GROUP, BYTES_OF_ONE_MORE = 4, 300


class Listed(NamedTuple):
    """A row of the table, and what is in its file."""

    origin: str
    class_name: str
    split: SplitName
    camera: str
    content: bytes


drawn = st.tuples(
    st.sampled_from(CLASSES), st.sampled_from(SPLITS), st.sampled_from(["phone", "missing"]), st.sampled_from(REPEATED)
)


@pytest.fixture(autouse=True, scope="module")
def few_at_once() -> Iterator[None]:
    """So few at a time that small tables take the way of large ones."""
    small = {(sorted_rows, "_ROWS_AT_ONCE"): 5, (sorted_rows, "_ROWS_IN_A_BLOCK"): 3, (known, "_ROWS_AT_ONCE"): 3}
    small |= {(dataset, "_ROWS_IN_A_GROUP"): GROUP, (dataset, "_ROWS_IN_A_BATCH"): 2}
    small[image_files, "_FILES_AT_ONCE"] = 7
    with pytest.MonkeyPatch.context() as patch:
        for (module, name), number in small.items():
            patch.setattr(module, name, number)
        yield


def write_source(folder: Path, listed: Sequence[Listed], *, has_splits: bool) -> CsvSource:
    for each in listed:
        (folder / each.origin).write_bytes(each.content)
    with (folder / "all.csv").open("w", newline="") as file:
        csv.writer(file).writerows([Listed._fields[:-1], *(each[:-1] for each in listed)])
    return CsvSource(
        kind="csv",
        path=str(folder / "all.csv"),
        path_column="origin",
        label_column="class_name",
        split_column="split" if has_splits else None,
    )


def facts_of(content: bytes) -> ImageFacts | str:
    try:
        return inspect(content, 10**6)
    except BadImageError as error:
        return str(error)


def write_simply(folder: Path, listed: Sequence[Listed], splits: SplitsConfig) -> None:
    """What ingest makes of a table, with all of it in memory."""
    plan = plan_splits(splits, {each.split for each in listed})
    facts = {content: facts_of(content) for content in {each.content for each in listed}}
    unreadable = [each for each in sorted(listed) if isinstance(facts[each.content], str)]
    copies: dict[bytes, list[Listed]] = {}
    for each in listed:
        if each not in unreadable:
            copies.setdefault(each.content, []).append(each)
    agreed = [group for group in copies.values() if len({each.class_name for each in group}) == 1]
    rows = []
    for group in agreed:
        each = min(group, key=lambda each: (KEPT_FIRST.index(each.split), each.origin))
        found, digest = facts[each.content], sha256(each.content)
        assert isinstance(found, ImageFacts)
        who = (digest, CLASSES.index(each.class_name), each.class_name, assign_split(plan, each.split, digest, 0))
        what = (found.width, found.height, found.format, len(each.content), each.origin, found.brightness)
        rows.append(((*who, *what), each.camera))
    rows.sort(key=lambda row: (SPLITS.index(row[0][3]), row[0][1], row[0][0]))
    columns = zip(*(row for row, _ in rows), strict=True)
    table = pa.table(dict(zip(dataset._SCHEMA.names, columns, strict=True)), schema=dataset._SCHEMA)
    pq.write_table(table, folder / IMAGES, compression="zstd", row_group_size=GROUP)
    cameras = pa.table({"camera": pa.array([camera for _, camera in rows], pa.string())})
    pq.write_table(cameras, folder / COLUMNS, compression="zstd", row_group_size=GROUP)
    counted = Counter((row[3], row[2]) for row, _ in rows)
    summary: dict[str, Any] = {
        "classes": [*CLASSES],
        "counts": {split: {name: counted[split, name] for name in CLASSES} for split in SPLITS},
        "duplicates": sum(len(group) - 1 for group in agreed),
        "unreadable": [{"origin": each.origin, "reason": facts[each.content]} for each in unreadable],
    }
    write_json(folder / SUMMARY, summary)


def digest_simply(listed: Sequence[Listed]) -> str:
    rows = ((each.origin, each.class_name, each.split, sha256(each.content)) for each in sorted(listed))
    return sha256("".join("\0".join(row) + "\n" for row in rows).encode())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@settings(max_examples=25, deadline=None)
@given(st.lists(drawn, max_size=14), st.randoms(), st.booleans())
def test_the_artifact_has_the_bytes_of_the_simple_way(images: list[Any], random: Any, has_splits: bool) -> None:
    base = [(CLASSES[number % 2], SPLITS[number // 2 % 3], "phone", content) for number, content in enumerate(ONCE)]
    names = [f"{number:02}.jpg" for number in range(len(base) + len(images))]
    random.shuffle(names)
    listed = [Listed(name, *each) for name, each in zip(names, [*base, *images], strict=True)]
    if not has_splits:
        listed = [each._replace(split="train") for each in listed]
    splits = SplitsConfig(validation="validation", test="test") if has_splits else CUTS
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        for name in ("data", "home", "simple", "out"):
            (place / name).mkdir()
        source = write_source(place / "data", listed, has_splits=has_splits)
        home = Home.open(place / "home")
        step = IngestStep(
            dataset=DatasetConfig(source=source, splits=splits, label_conflicts="leave_out", max_bad_fraction=0.9),
            seed=0,
            content=content_digest(source, home),
            columns=["camera"],
            columns_content=columns_digest(source, home, ["camera"]),
        )
        assert step.content == digest_simply(listed)
        ingest(IngestWork(home=home, folder=place / "out", step=step), Recorder())
        write_simply(place / "simple", listed, splits)
        for name in (IMAGES, COLUMNS, SUMMARY):
            assert (place / "out" / name).read_bytes() == (place / "simple" / name).read_bytes(), name


ids = st.sampled_from([f"{number:064x}" for number in (0, 1, 256, 2**255, 2**256 - 1)])
datasets = st.lists(
    st.dictionaries(ids, st.builds(ImageFacts, st.integers(1, 9), st.just(2), st.just("PNG"), st.just(0.5)))
)


@settings(max_examples=25, deadline=None)
@given(datasets, ids)
def test_what_earlier_datasets_say_of_an_image_is_found_by_its_id(given_facts: list[Any], asked: str) -> None:
    same: dict[str, ImageFacts] = {}  # an image is the same in every dataset
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / str(number) for number in range(len(given_facts))]
        for folder, facts in zip(folders, given_facts, strict=True):
            folder.mkdir()
            images = [
                DatasetImage(name, 0, "cats", "train", *size_of(same.setdefault(name, each)), 1, name, each.brightness)
                for name, each in facts.items()
            ]
            write_dataset(folder, CLASSES, images, duplicates=0, unreadable=[])
        found = KnownImages(folders)
    assert len(found) == len(same)
    assert found.get(asked) == same.get(asked)


def size_of(facts: ImageFacts) -> tuple[int, int, str]:
    return facts.width, facts.height, facts.format


@pytest.mark.slow
def test_one_image_more_takes_next_to_no_memory() -> None:
    report = benchmark("scale", "--tiny", "70000,110000")  # more than are held at a time, so that all buffers are full
    few, many = (of_number["resident_memory"] for of_number in report["figures"])
    assert (many["ingest"] - few["ingest"]) / 40_000 < BYTES_OF_ONE_MORE  # they took 1,070
    assert (many["rescan"] - few["rescan"]) / 40_000 < BYTES_OF_ONE_MORE  # they took 950
