"""The home folder's artifacts: built once under a lock, found again by key, and checked before every use.

artifacts/<kind>/<digest>/   the files and their manifest
building/<key>/              work in progress, under the key's lock
keys/<key>.json              which artifact a key led to
locks/<key>.lock             held by the process that builds
quarantine/                  artifacts that failed their check
"""

import contextlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from pipeline_config.errors import ArtifactError
from tasks.artifacts.atomic import move_into_place, write_atomically, writing
from tasks.artifacts.manifest import MANIFEST_NAME, ArtifactRef, Manifest, check_files, list_files, read_manifest
from tasks.artifacts.step import Step


class _KeyRecord(BaseModel):
    ref: ArtifactRef
    document: dict[str, Any]


class ArtifactStore:
    """Artifacts below one home folder."""

    def __init__(self, home: Path) -> None:
        """Open the store; nothing is created before the first build.

        Args:
            home: The home folder.
        """
        self.home = home

    def folder(self, ref: ArtifactRef) -> Path:
        """Say where an artifact's files are.

        Args:
            ref: The artifact.

        Returns:
            Its folder, which is not looked at.
        """
        return self.home / "artifacts" / ref.kind / ref.digest

    def open(self, ref: ArtifactRef) -> Path:
        """Check an artifact, file by file, before it is used.

        Args:
            ref: The artifact.

        Returns:
            Its folder.

        Raises:
            ArtifactError: A file is missing or damaged; the message names it.
        """
        folder = self.folder(ref)
        manifest = read_manifest(folder)
        if manifest.ref != ref:
            raise ArtifactError(
                f"{folder / MANIFEST_NAME} was altered: it describes another artifact. Run again to rebuild it."
            )
        check_files(folder, manifest)
        return folder

    def facts(self, ref: ArtifactRef) -> dict[str, Any]:
        """Read the facts that the work reported when an artifact was built.

        Args:
            ref: The artifact.

        Returns:
            The facts, a JSON document.

        Raises:
            ArtifactError: The manifest is missing or damaged.
        """
        return read_manifest(self.folder(ref)).facts

    def find(self, key: str) -> ArtifactRef | None:
        """Look up a key. Whatever fails its check is set aside and counts as absent.

        Args:
            key: A step's key.

        Returns:
            The artifact, checked; or None where there is none.
        """
        path = self._key_path(key)
        try:
            ref = _KeyRecord.model_validate_json(path.read_bytes()).ref
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ArtifactError(f"{path} cannot be read: {error.strerror or error}. Choose another --home.") from error
        except ValidationError:
            # A damaged record leads nowhere; the artifact itself, if there is one, is built anew.
            path.unlink(missing_ok=True)
            return None
        try:
            self.open(ref)
        except ArtifactError:
            self._quarantine(ref)
            path.unlink(missing_ok=True)
            return None
        return ref

    def examine(self, key: str) -> tuple[ArtifactRef | None, str | None]:
        """Look up a key and change nothing, whatever is found.

        Args:
            key: A step's key.

        Returns:
            The artifact if it is there and whole, and else None; and what is wrong with it, if that is why.
        """
        try:
            ref = _KeyRecord.model_validate_json(self._key_path(key).read_bytes()).ref
        except FileNotFoundError:
            return None, None
        except (OSError, ValidationError):
            return None, f"{self._key_path(key)} is damaged"
        try:
            self.open(ref)
        except ArtifactError as error:
            return None, str(error)
        return ref, None

    def key_documents(self, kind: str) -> list[dict[str, Any]]:
        """List the documents of all keys that led to an artifact of a kind.

        Args:
            kind: Such as "records".

        Returns:
            In the order of the keys. Records that cannot be read are left out: they lead nowhere.
        """
        documents = []
        for path in sorted((self.home / "keys").glob("*.json")):
            with contextlib.suppress(OSError, ValidationError):
                documents.append(_KeyRecord.model_validate_json(path.read_bytes()).document)
        return [document for document in documents if document.get("kind") == kind]

    def build(self, step: Step, work: Callable[[Path], dict[str, Any]]) -> ArtifactRef:
        """Return a step's artifact, and build it first if it is not there. One process at a time builds a key.

        Args:
            step: What is asked for.
            work: Fills an empty folder with the artifact's files and returns its facts, a JSON document.

        Returns:
            The artifact.

        Raises:
            ArtifactError: The home folder cannot be written.
        """
        with self.lock(step.key):
            ref = self.find(step.key)
            if ref is not None:
                return ref
            building = self.home / "building" / step.key
            shutil.rmtree(building, ignore_errors=True)  # what a killed build left; the lock says that nobody uses it
            try:
                with writing(building):
                    building.mkdir(parents=True)
                facts = work(building)
                ref = self._seal(building, step, facts)
            finally:
                shutil.rmtree(building, ignore_errors=True)
            record = _KeyRecord(ref=ref, document=step.key_document)
            path = self._key_path(step.key)
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, record.model_dump_json(indent=1).encode())
            return ref

    def checkpoints(self, key: str) -> Path:
        """Say where the work on a key keeps what another attempt goes on from.

        Args:
            key: A step's key.

        Returns:
            The folder, which need not exist.
        """
        return self.home / "checkpoints" / key

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that the kernel frees when its holder dies, however it dies.

        Args:
            name: What is locked: a key, or another name that is fit for a file.

        Raises:
            ArtifactError: The home folder cannot be written.
        """
        path = self.home / "locks" / f"{name}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire()
        except OSError as error:
            raise ArtifactError(
                f"{path} cannot be written: {error.strerror or error}. Choose another --home."
            ) from error
        try:
            yield
        finally:
            lock.release()

    def _seal(self, building: Path, step: Step, facts: dict[str, Any]) -> ArtifactRef:
        with writing(building / MANIFEST_NAME):
            manifest = Manifest(kind=step.kind, files=list_files(building), made_from=step.key_document, facts=facts)
            (building / MANIFEST_NAME).write_bytes(manifest.model_dump_json(indent=1).encode())
        destination = self.folder(manifest.ref)
        with self.lock(f"{manifest.ref.kind}-{manifest.ref.digest}"):  # another key may lead to the same content now
            if destination.exists():
                try:
                    self.open(manifest.ref)
                    return manifest.ref  # the same content was made under another key
                except ArtifactError:
                    self._quarantine(manifest.ref)
            move_into_place(building, destination)
        return manifest.ref

    def _quarantine(self, ref: ArtifactRef) -> None:
        folder = self.folder(ref)
        if not folder.exists():
            return
        place = self.home / "quarantine" / ref.kind
        with writing(place):
            place.mkdir(parents=True, exist_ok=True)
            numbers = (place / f"{ref.digest}.{number}" for number in itertools.count(1))
            with contextlib.suppress(FileNotFoundError):  # another process has just done the same
                folder.rename(next(free for free in numbers if not free.exists()))

    def _key_path(self, key: str) -> Path:
        return self.home / "keys" / f"{key}.json"


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document in the form that all artifacts use: sorted keys, so that equal content is equal bytes.

    Args:
        path: The file.
        document: Mappings, lists, strings, finite numbers, booleans and None.
    """
    path.write_text(
        json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
    )
