"""Pictures, folders of pictures and runs of ingest, for the tests of ingest and records."""

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from thaw.pipeline_config.dataset_schema import DatasetConfig, DirectorySource, Source, SplitsConfig
from thaw.tasks.home import Home
from thaw.tasks.ingest.dataset import IMAGES
from thaw.tasks.ingest.sources import content_digest
from thaw.tasks.ingest.step import IngestStep, IngestWork
from thaw.tasks.ingest.work import ingest
from thaw.tasks.process import Reporter

NO_HOME = Home.open(Path("there is no such home"))


def picture(seed: int = 0, size: tuple[int, int] = (20, 14), mode: str = "RGB") -> Image.Image:
    """Smooth colours, as in a photo, different for each seed."""
    colours = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encode(image: Image.Image, format_name: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_name, **options)
    return stream.getvalue()


def decode(encoded: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def jpeg(seed: int = 0, size: tuple[int, int] = (20, 14)) -> bytes:
    return encode(picture(seed, size))


def png(header: bytes, pixels: bytes) -> bytes:
    """A PNG file from its header's fields and its filtered rows."""
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def png_that_claims(width: int, height: int) -> bytes:
    """A small file whose header declares any size."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"\0" * 1000)


def deep_png(values: np.ndarray[Any, Any]) -> bytes:
    """A PNG with 16 bits a sample, from uint16 (height, width) or (height, width, 3)."""
    height, width = values.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if values.ndim == 2 else 2, 0, 0, 0)
    return png(header, b"".join(b"\0" + row.astype(">u2").tobytes() for row in values))


def fill(folder: Path, counts: dict[str, int], first_seed: int = 0) -> Path:
    """Write that many different JPEGs into each named subfolder."""
    seed = first_seed
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            (folder / name / f"{seed:04d}.jpg").write_bytes(jpeg(seed))
            seed += 1
    return folder


THREE_SPLITS = {f"{split}/{name}": 4 for split in ("train", "validation", "test") for name in ("cats", "dogs")}


class Recorder(Reporter):
    """A reporter that keeps what it is told."""

    def __init__(self) -> None:
        self._kept = io.StringIO()
        super().__init__(self._kept)

    def told(self, kind: str) -> list[Any]:
        lines = [json.loads(line) for line in self._kept.getvalue().splitlines()]
        return [line[kind] for line in lines if kind in line]


def directory(folder: Path) -> DirectorySource:
    return DirectorySource(kind="directory", path=str(folder))


def digest_afresh(source: Source) -> str:
    """The digest of a source's content, without a memory of any file."""
    return content_digest(source, NO_HOME)


def ingest_step(source: Source, *, seed: int = 0, splits: SplitsConfig | None = None, **settings: Any) -> IngestStep:
    config = DatasetConfig(source=source, splits=splits or SplitsConfig(), **settings)
    return IngestStep(dataset=config, seed=seed, content=digest_afresh(source))


def run_ingest(source: Source, output: Path, report: Reporter | None = None, **settings: Any) -> dict[str, Any]:
    """Run the step's work in this process; returns its facts."""
    output.mkdir(parents=True)
    work = IngestWork(home=output.parent, folder=output, step=ingest_step(source, **settings))
    return ingest(work, report or Recorder()).model_dump(mode="json", exclude={"schema_version"})


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a dataset's manifest."""
    found: list[dict[str, Any]] = pq.read_table(folder / IMAGES).to_pylist()
    return found
