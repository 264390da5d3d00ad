"""The home folder's artifacts: built once under a lock, found again by key, and checked before every use.

artifacts/<kind>/<digest>/   the files and their manifest
building/<key>/              work in progress, under the key's lock
checkpoints/<key>/           how far the work is, for the next attempt; removed when the artifact is in place
keys/<key>.json              which artifact a key led to
locks/<key>.lock             held by the process that builds
quarantine/                  artifacts and key records that failed their check
"""

import contextlib
import itertools
import json
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from thaw.pipeline_config.errors import ArtifactError, NewerVersionError, UnreadableError
from thaw.tasks.artifacts.age import mark_used
from thaw.tasks.artifacts.atomic import make_folder, move_into_place, set_aside, write_atomically
from thaw.tasks.artifacts.document import Document
from thaw.tasks.artifacts.entries import DIGEST, entries
from thaw.tasks.artifacts.file_digests import FileDigests
from thaw.tasks.artifacts.manifest import (
    MANIFEST_NAME,
    REMEDY,
    ArtifactRef,
    Manifest,
    digest_of,
    find_damage,
    list_files,
    read_manifest,
)
from thaw.tasks.artifacts.refusals import reading, refusals, writing
from thaw.tasks.artifacts.step import Cost, Facts, Made, Step
from thaw.tasks.progress import Shown

_LOGGER = logging.getLogger(__name__)

_FROM_NOTHING = "from-nothing"  # among a key's checkpoints: nothing is to be taken over from earlier artifacts
_MOST_RELATIVES = 4  # the last one has nearly all that was there before; each is checked and held open

SomeFacts = TypeVar("SomeFacts", bound=Facts)
Work = Callable[[Sequence[tuple[Step, Path]]], Sequence[Made]]


class KeyRecord(Document):
    """The contents of `keys/<key>.json`: which artifact a key led to, what the key is made of, and what it took."""

    ref: ArtifactRef
    document: dict[str, Any]
    cost: Cost | None = None


class _DamagedRecordError(Exception):
    """A key record is not what was written."""


class ArtifactStore:
    """Artifacts below one home folder; nothing is created before the first build.

    All that writes raises ArtifactError where the home folder cannot be written.
    """

    def __init__(self, home: Path, digests: FileDigests, warn: Callable[[str], None] = _LOGGER.warning) -> None:
        """Open the store; `warn` is told, in one line, of each damaged file that is set aside."""
        self.home, self.digests = home, digests
        self._warn = warn

    def telling(self, warn: Callable[[str], None]) -> "ArtifactStore":
        """The same store, with warnings that go elsewhere."""
        return ArtifactStore(self.home, self.digests, Shown(warn))

    def folder(self, ref: ArtifactRef) -> Path:
        """Say where an artifact's files are. Nothing is looked at."""
        return self.home / "artifacts" / ref.kind / ref.digest

    def checkpoints(self, key: str) -> Path:
        """Say where the work on a key keeps its checkpoints, for the next attempt if this one is cut short.

        The folder may not exist. It is removed when the key's artifact is in place.
        """
        return self.home / "checkpoints" / key

    def verified(self, ref: ArtifactRef) -> Path:
        """Check an artifact, file by file, before it is used, and return its folder.

        Raises:
            ArtifactError: A file is missing or damaged; the message names it.
            UnreadableError: A file cannot be read now.
        """
        damage = self._damage(ref)
        if damage:
            raise ArtifactError(f"{damage}. {REMEDY}")
        return self.folder(ref)

    def facts(self, ref: ArtifactRef, form: type[SomeFacts]) -> SomeFacts:
        """Read the facts that the work reported when an artifact was built.

        Raises:
            ArtifactError: The manifest is missing or damaged, or of a version of thaw that is not known.
        """
        path = self.folder(ref) / MANIFEST_NAME
        try:
            return form.from_json(json.dumps(read_manifest(self.folder(ref)).facts), path)
        except ValueError as error:
            raise ArtifactError(f"{path} does not say of the {ref.kind} what it should. {REMEDY}") from error

    def cost(self, key: str) -> Cost | None:
        """Look up what it took to build what a key leads to, the last time; None where that is not known."""
        with contextlib.suppress(FileNotFoundError, UnreadableError, _DamagedRecordError):
            return self._read_record(key).cost
        return None

    def look_up(self, key: str) -> ArtifactRef | None:
        """Look up a key. Whatever fails its check is set aside, with a warning, and counts as absent.

        Raises:
            UnreadableError: A file cannot be read now; nothing is set aside.
            ArtifactError: What is damaged cannot be set aside.
        """
        ref = self._look_up(key)
        with reading(self.checkpoints(key)):
            are_left = ref is not None and self.checkpoints(key).exists()
        if are_left:  # its builder was killed just before it removed them
            with self.lock(key):  # without it, they might be those of a build that has begun since
                if self._key_path(key).exists():
                    self._remove_checkpoints(key)
        return ref

    def forget(self, key: str) -> None:
        """Make a key one that was never built, so that its step is done again, from its beginning and by itself.

        The artifact stays where it is: other keys may lead to it.
        """
        with self.lock(key), writing(self._key_path(key)):
            self._key_path(key).unlink(missing_ok=True)
            self._remove_checkpoints(key)
            make_folder(self.checkpoints(key))
            (self.checkpoints(key) / _FROM_NOTHING).touch()

    def peek(self, key: str) -> tuple[ArtifactRef | None, str | None]:
        """Look up a key and change nothing: the artifact if it is whole, else what is wrong with it, if it is there.

        Raises:
            UnreadableError: A file cannot be read now.
        """
        try:
            ref = self._read_record(key).ref
        except FileNotFoundError:
            return None, None
        except _DamagedRecordError as error:
            return None, str(error)
        damage = self._damage(ref)
        return (None, damage) if damage else (ref, None)

    def key_documents(self, kind: str) -> list[dict[str, Any]]:
        """List the documents of all keys that led to an artifact of a kind, in the order of the keys.

        Records that cannot be read or are damaged are left out: they lead nowhere.
        """
        documents = []
        for path in sorted((self.home / "keys").glob("*.json")):
            with contextlib.suppress(FileNotFoundError, UnreadableError, _DamagedRecordError):
                documents.append(self._read_record(path.stem).document)
        return [document for document in documents if document.get("kind") == kind]

    def relatives(self, step: Step) -> Iterator[Path]:
        """Find artifacts that differ from a step's in the inputs alone whose images they have rows of; newest first.

        Their rows may be taken in place of making the same ones again. That makes no difference to the result, so they
        are no inputs, and what cannot be used is passed over: whatever fails its check is set aside, with a warning.
        A run holds the home folder, so that none of them is removed while it reads. For a step whose key was forgotten
        there are none until it is done again.
        """
        if (self.checkpoints(step.key) / _FROM_NOTHING).exists():
            return
        folders = entries(self.home / "artifacts" / step.kind, "*")
        newest_first = sorted(folders, key=_time_of_making, reverse=True)
        relatives = (folder for folder in newest_first if _is_relative(folder, step))
        for folder in itertools.islice(relatives, _MOST_RELATIVES):
            try:
                if self._is_whole(ArtifactRef(kind=step.kind, digest=folder.name)):
                    yield folder
            except UnreadableError as error:
                self._warn(f"{error} What it holds is made again.")

    def mark_used(self, key: str) -> None:
        """Note that what a key leads to is used now, so that it is not removed as something that nobody uses."""
        mark_used(self._key_path(key))

    def build(self, step: Step, work: Callable[[Path], Made]) -> ArtifactRef:
        """Return a step's artifact, and build it first if it is not there. One process at a time builds a key.

        `work` fills an empty folder with the artifact's files.
        """
        return self.build_together([step], lambda missing: [work(folder) for _, folder in missing])[0]

    def build_together(self, steps: Sequence[Step], work: Work) -> list[ArtifactRef]:
        """Return the artifacts of several steps, which one piece of work makes, as far as they are not there.

        `work` gets the steps that are missing, each with an empty folder, in the order given.
        """
        with contextlib.ExitStack() as locks:
            for key in sorted(step.key for step in steps):  # in one order, so that nobody waits in a circle
                locks.enter_context(self.lock(key))
            found = {step.key: self._take(step) for step in steps}
            missing = [(step, self._building(step)) for step in steps if found[step.key] is None]
            try:
                for _, building in missing:
                    make_folder(building)
                made = work(missing) if missing else []
                for (step, building), each in zip(missing, made, strict=True):
                    found[step.key] = self._keep(step, building, each)
            finally:
                for _, building in missing:
                    shutil.rmtree(building, ignore_errors=True)
            return [ref for ref in found.values() if ref is not None]

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold a lock that the kernel frees when its holder dies, however it dies.

        The name is a key, or another one that is fit for a file.
        """
        path = self.home / "locks" / f"{name}.lock"
        with contextlib.ExitStack() as held:
            with refusals(path, "written", "Choose another --home."):
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(FileLock(path))
            yield

    def _building(self, step: Step) -> Path:
        return self.home / "building" / step.key

    def _take(self, step: Step) -> ArtifactRef | None:
        # What a killed build left; under the lock nobody uses it.
        shutil.rmtree(self._building(step), ignore_errors=True)
        ref = self._look_up(step.key)
        if ref is not None:
            self._remove_checkpoints(step.key)
        return ref

    def _keep(self, step: Step, building: Path, made: Made) -> ArtifactRef:
        ref = self._seal(building, step, made.facts)
        if step.is_cacheable(self.facts(ref, step.facts)):
            record = KeyRecord(ref=ref, document=step.key_document, cost=made.cost)
            path = self._key_path(step.key)
            make_folder(path.parent)
            write_atomically(path, record.model_dump_json(indent=1).encode())
        self._remove_checkpoints(step.key)
        return ref

    def _seal(self, building: Path, step: Step, facts: dict[str, Any]) -> ArtifactRef:
        with writing(building / MANIFEST_NAME):
            manifest = Manifest(kind=step.kind, files=list_files(building), made_from=step.key_document, facts=facts)
            (building / MANIFEST_NAME).write_bytes(manifest.encode())
        destination = self.folder(manifest.ref)
        with self._artifact_lock(manifest.ref):  # another key may lead to the same content now
            if destination.exists():
                damage = self._damage(manifest.ref)
                if damage is None:
                    return manifest.ref  # the same content was made under another key
                self._set_aside(destination, damage)
            move_into_place(building, destination)
        return manifest.ref

    def _look_up(self, key: str) -> ArtifactRef | None:
        path = self._key_path(key)
        try:
            ref = self._read_record(key).ref
        except FileNotFoundError:
            return None
        except _DamagedRecordError as error:
            # It leads nowhere; the artifact itself, if there is one, is built anew.
            self._set_aside(path, str(error))
            return None
        return ref if self._is_whole(ref, path) else None

    def _is_whole(self, ref: ArtifactRef, record: Path | None = None) -> bool:
        """Check an artifact. If it is damaged, set it aside, and remove the record that leads to it."""
        if self._damage(ref) is None:
            return True
        with self._artifact_lock(ref):
            damage = self._damage(ref)  # another process may have built it anew in between
            if damage is None:
                return True
            self._set_aside(self.folder(ref), damage)
            if record is not None:
                with writing(record):
                    record.unlink(missing_ok=True)
        return False

    def _read_record(self, key: str) -> KeyRecord:
        path = self._key_path(key)
        try:
            with reading(path):
                content = path.read_bytes()
        except NotADirectoryError as error:  # a file stands where the home folder, or one in it, should be
            raise ArtifactError(f"{path} cannot be read: {error.strerror}. Choose another --home.") from error
        except IsADirectoryError:
            content = b""
        with contextlib.suppress(ValueError):  # no JSON, not the form, or a number that is not finite
            record = KeyRecord.from_json(content, path)
            of_this_key = digest_of(record.document) == key and record.document["kind"] == record.ref.kind
            if of_this_key and DIGEST.fullmatch(record.ref.digest):
                return record
        raise _DamagedRecordError(f"{path} is damaged: it is not the record of this key")

    def _damage(self, ref: ArtifactRef) -> str | None:
        return find_damage(self.folder(ref), ref, self.digests)

    def _set_aside(self, path: Path, damage: str) -> None:
        fate = "To be made again."
        if path.exists():
            try:
                fate = f"Set aside as {set_aside(self.home, path)}, to be made again."
            except ArtifactError:
                if path.exists():  # else another process has just set it aside
                    raise
        self._warn(f"{damage}. {fate}")

    def _remove_checkpoints(self, key: str) -> None:
        # What cannot be removed now is removed when the key is next found.
        shutil.rmtree(self.checkpoints(key), ignore_errors=True)

    def _artifact_lock(self, ref: ArtifactRef) -> contextlib.AbstractContextManager[None]:
        return self.lock(f"{ref.kind}-{ref.digest}")

    def _key_path(self, key: str) -> Path:
        return self.home / "keys" / f"{key}.json"


def _time_of_making(folder: Path) -> int:
    with contextlib.suppress(OSError):  # it has just been set aside, or will be found unreadable
        return folder.stat().st_mtime_ns
    return 0


def _is_relative(folder: Path, step: Step) -> bool:
    def but_for_rows(document: dict[str, Any]) -> dict[str, Any]:
        depends_on = document.get("depends_on", {})
        return document | {"depends_on": {name: depends_on[name] for name in depends_on if name not in step.rows_of}}

    try:
        made_from = read_manifest(folder).made_from
    except (ArtifactError, NewerVersionError, UnreadableError):  # told when its own key is looked up
        return False
    return but_for_rows(made_from) == but_for_rows(step.key_document)


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document in the form that all artifacts use: sorted keys, so that equal content is equal bytes."""
    path.write_text(
        json.dumps(document, indent=1, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8"
    )
