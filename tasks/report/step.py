"""The request for a report, and what its key is made of."""

from typing import ClassVar

from thaw.pipeline_config.preprocessing import Preprocessing
from thaw.pipeline_config.publish_schema import FormatName
from thaw.pipeline_config.stage_schema import StageConfig
from thaw.tasks.artifacts.manifest import ArtifactRef
from thaw.tasks.artifacts.step import Step
from thaw.tasks.process import Work


class ReportStep(Step):
    """Make a report artifact: `report.html`, `report.md`, `pictures/`, and the tables of answers with names of files.

    These are `predictions.parquet` and `flips.parquet`. Evaluation and verdict know images by their content alone, so
    that a renamed file changes none of both. `source` is its kind; `formats` and `input` are for the words on how to
    use the model, and the seed chooses the images that are shown.
    """

    kind: ClassVar[str] = "report"
    work: ClassVar[str] = "thaw.tasks.report.work:write_report"
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow", "numpy", "scipy", "matplotlib", "pillow", "pyarrow", "jinja2")

    recipe_name: str
    source: str
    stage_one_settings: StageConfig
    stage_two_settings: StageConfig
    formats: list[FormatName]
    input: Preprocessing
    seed: int
    dataset: ArtifactRef
    records: ArtifactRef
    stage_one: ArtifactRef
    stage_two: ArtifactRef
    calibration: ArtifactRef
    evaluation: ArtifactRef
    verdict: ArtifactRef


class ReportWork(Work):
    """What the child process gets."""

    step: ReportStep
