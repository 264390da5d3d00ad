"""A step's request, and the cache key that follows from it: what the result depends on, and nothing else."""

import ast
import functools
import hashlib
from importlib import metadata, util
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from thaw.pipeline_config.errors import ArtifactError
from thaw.tasks.artifacts.manifest import ArtifactRef, digest_of, file_sha256

# What these do leaves the numbers alone: they carry settings, whose values stand in the key by themselves, and keep,
# check and report what others make. All other modules that a step's work imports are part of its key.
_MAKE_NO_NUMBERS = (
    "thaw.pipeline_config",
    "thaw.tasks.artifacts",
    "thaw.tasks.pace",
    "thaw.tasks.process",
    "thaw.tasks.progress",
    "thaw.tasks.releases",
)


class Step(BaseModel):
    """Base of every step's request.

    A subclass adds the step's configuration and the references of its inputs as fields, and says in the class what it
    makes, which module does the work, and which libraries change the numbers.

    Attributes:
        kind: Kind of the artifact that the step makes.
        work: "package.module:function" that does the work, in a child process.
        libraries: Distributions whose version is part of the key.
        shares_process: Whether its work needs Keras and may run in a process in which another such step has run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    work: ClassVar[str]
    libraries: ClassVar[tuple[str, ...]]
    shares_process: ClassVar[bool] = False

    def depends_on(self) -> dict[str, Any]:
        """Say which configuration and inputs the result depends on.

        Returns:
            A JSON document. All fields by default; a subclass leaves out what only says where the data are.
        """
        return self.model_dump(mode="json", by_alias=True)

    def in_place(self, home: Path, ref: ArtifactRef) -> bool:
        """Say whether all that the step does, besides making its artifact, is still done.

        Args:
            home: The home folder.
            ref: The step's artifact, checked.

        Returns:
            True for a step that only makes an artifact.
        """
        del home, ref
        return True

    def lasts(self, facts: dict[str, Any]) -> bool:
        """Say whether what the work made is the answer for good.

        Args:
            facts: What the work reported.

        Returns:
            True, but for a step that could not do what was asked for because of something that passes: then the
            artifact is there, and the next run asks again.
        """
        del facts
        return True

    @functools.cached_property
    def key_document(self) -> dict[str, Any]:
        """Everything that the key is made of, in a form that can be compared with another key's."""
        module = self.work.partition(":")[0]
        return {
            "kind": self.kind,
            "depends_on": self.depends_on(),
            "sources": source_fingerprint(module),
            "libraries": {name: library_version(name) for name in self.libraries},
        }

    @property
    def key(self) -> str:
        """SHA-256 of the key document, in hexadecimal."""
        return digest_of(self.key_document)

    def inputs(self) -> dict[str, ArtifactRef]:
        """List the artifacts that the step reads.

        Returns:
            References by field name.
        """
        values = ((name, getattr(self, name)) for name in type(self).model_fields)
        return {name: value for name, value in values if isinstance(value, ArtifactRef)}


@functools.cache
def source_fingerprint(module: str) -> dict[str, str]:
    """Digest the code of a module, of what it imports of thaw that makes numbers, and of the templates beside them.

    It is the code that counts: comments, docstrings and the layout of lines make no difference.

    Args:
        module: Dotted name, such as "thaw.tasks.records.write". It is read, not imported.

    Returns:
        SHA-256 by module name, and by "package/file name" for a file that is not Python.

    Raises:
        ArtifactError: A module's source cannot be found.
    """
    found: dict[str, str] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        if name in found or name.startswith(_MAKE_NO_NUMBERS):
            continue
        path = _source_of(name)
        if path is None:
            raise ArtifactError(
                f"The source of {name} cannot be found, so no cache key can be computed. Reinstall thaw."
            )
        found[name], imports = _read_code(path)
        for template in path.parent.glob("*.j2"):
            found[f"{path.parent.name}/{template.name}"] = file_sha256(template)
        pending.extend(imports)
    return dict(sorted(found.items()))


@functools.cache
def library_version(distribution: str) -> str:
    """Look up the version of an installed library.

    Args:
        distribution: Name in the package index, such as "scikit-learn".

    Returns:
        The version.

    Raises:
        ArtifactError: It is not installed.
    """
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError as error:
        raise ArtifactError(
            f"{distribution} is not installed, so no cache key can be computed. Run make setup."
        ) from error


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
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None
