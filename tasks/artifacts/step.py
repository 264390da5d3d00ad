"""A step's request, and the cache key that follows from it: what the result depends on, and nothing else."""

import ast
import functools
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_jsonable_python

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.document import Document
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of, file_sha256

if TYPE_CHECKING:
    from thaw.tasks.home import Home

# What these do leaves the numbers alone: they carry settings, whose values stand in the key by themselves, and keep,
# check and report what others make. All other modules that a step's work imports are part of its key.
_MAKE_NO_NUMBERS = (
    "thaw.pipeline_config",
    "thaw.tasks.artifacts",
    "thaw.tasks.home",
    "thaw.tasks.pace",
    "thaw.tasks.process",
    "thaw.tasks.progress",
    "thaw.tasks.releases",
)


class Facts(Document):
    """What a step's work says of its result, small enough to be shown, and the same whenever the result is the same.

    How long it took, and how much memory, is a matter of one build and not of the result: see `Cost`.
    """


class Cost(BaseModel):
    """What building an artifact took, the last time that it was built."""

    model_config = ConfigDict(frozen=True)

    seconds: float = Field(description="wall time of the work, with that of the attempts that it went on from")
    peak_memory_bytes: int | None = Field(default=None, description="the most that its process held, where known")


@dataclass(frozen=True)
class Made:
    """What a step's work leaves besides the files of its artifact: its facts, a JSON document, and what it took.

    Work that makes several artifacts at once gives a list of facts.
    """

    facts: Any
    cost: Cost

    @classmethod
    def timed(cls, work: Callable[[], Any]) -> "Made":
        """Do work in this process, and note how long it took."""
        started = time.monotonic()
        facts = to_jsonable_python(work())
        return cls(facts, Cost(seconds=time.monotonic() - started))

    def parted(self) -> list["Made"]:
        """Say the same of each artifact that was made; what that took counts for the first."""
        facts = self.facts if isinstance(self.facts, list) else [self.facts]
        return [Made(each, Cost(seconds=0.0) if number else self.cost) for number, each in enumerate(facts)]


class Step(BaseModel):
    """Base of every step's request: its configuration and the references of its inputs are fields of a subclass.

    A subclass says of itself which kind of artifact it makes, which "package.module:function" does the work in a child
    process, what that says of its result, and the distributions whose versions are part of the key.

    Where the artifact holds something for each image of an input, which follows from the image and from the rest of the
    request alone, `rows_of` names the input's fields: then artifacts that differ in them alone have rows in common.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    work: ClassVar[str]
    facts: ClassVar[type[Facts]] = Facts
    libraries: ClassVar[tuple[str, ...]]
    rows_of: ClassVar[tuple[str, ...]] = ()

    def depends_on(self) -> dict[str, Any]:
        """Say which configuration and inputs the result depends on: all fields, unless a subclass leaves some out."""
        return self.model_dump(mode="json", by_alias=True)

    def together(self) -> list["Step"]:
        """List the steps whose artifacts its work makes, itself first, as far as they are not there."""
        return [self]

    def took_effect(self, home: "Home", ref: ArtifactRef) -> bool:
        """Say whether all that the step does besides making its artifact is done, and still holds."""
        del home, ref
        return True

    def is_cacheable(self, facts: Facts) -> bool:
        """Say whether what the work made is the answer for good.

        It is not for a step that could not do what was asked for because of something that passes, such as a full disk:
        then the artifact is there, and the next run asks again.
        """
        del facts
        return True

    @functools.cached_property
    def key_document(self) -> dict[str, Any]:
        """Everything that the key is made of, in a form that can be compared with another key's."""
        return {
            "kind": self.kind,
            "depends_on": self.depends_on(),
            "sources": source_fingerprint(self.work.partition(":")[0]),
            "libraries": {name: library_version(name) for name in self.libraries},
        }

    @property
    def key(self) -> str:
        """SHA-256 of the key document, in hexadecimal."""
        return digest_of(self.key_document)

    def inputs(self) -> dict[str, ArtifactRef]:
        """List the artifacts that the step reads, by field name."""
        return {name: value for name, value in self if isinstance(value, ArtifactRef)}


@functools.cache
def source_fingerprint(module: str) -> dict[str, str]:
    """Digest the code of a module, of what it imports of thaw that makes numbers, and of the templates beside them.

    It is the code that counts: comments, docstrings and the layout of lines make no difference. The result has SHA-256
    by dotted module name, and by "package/file name" for a file that is not Python. Nothing is imported.

    Raises:
        ArtifactError: A module's source cannot be found.
    """
    found: dict[str, str] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        if name in found or name.startswith(_MAKE_NO_NUMBERS):
            continue
        if (path := _source_of(name)) is None:
            message = f"The source of {name} cannot be found, so no cache key can be computed. Reinstall thaw."
            raise ArtifactError(message)
        found[name], imports = _read_code(path)
        for template in path.parent.glob("*.j2"):
            found[f"{path.parent.name}/{template.name}"] = file_sha256(template)
        pending.extend(imports)
    return dict(sorted(found.items()))


@functools.cache
def library_version(distribution: str) -> str:
    """Look up the version of an installed library by its name in the package index, such as "scikit-learn".

    Raises:
        ArtifactError: It is not installed.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError as error:
        message = f"{distribution} is not installed, so no cache key can be computed. Run make setup."
        raise ArtifactError(message) from error


@functools.cache
def _read_code(path: Path) -> tuple[str, list[str]]:
    """Digest a module's code without comments and docstrings, and list what of this project it imports."""
    names: list[str] = []
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names.extend(alias.name for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                # `from package import module` names a module; `from module import name` does not. Both are tried.
                names.extend([module, *(f"{module}.{alias.name}" for alias in node.names)])
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                if ast.get_docstring(node, clean=False) is not None:
                    node.body = node.body[1:] or [ast.Pass()]
    imports = [name for name in names if name.startswith("thaw.") and _source_of(name) is not None]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest(), imports


@functools.cache
def _source_of(module: str) -> Path | None:
    package, *rest = module.split(".")
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    base = Path(spec.submodule_search_locations[0]).joinpath(*rest)
    candidates = (base.with_suffix(".py"), base / "__init__.py")
    return next((candidate for candidate in candidates if candidate.is_file()), None)
