"""The releases of a home folder: list, check, promote, roll back. No TensorFlow, no Prefect.

Every change is made under the lock "releases", and begins with the completion of a change that was interrupted; see
`thaw.tasks.releases.champion_log`. Reading takes no lock. Where a later version of thaw wrote the log, a pointer or a
release, all methods that read it raise NewerVersionError; where one cannot be read now, UnreadableError.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Literal

from thaw.pipeline_config.errors import PublishError, RequestError, UnreadableError
from thaw.pipeline_config.messages import received
from thaw.pipeline_config.strict import nearest, nearest_hint
from thaw.tasks.artifacts.document import thaw_version
from thaw.tasks.artifacts.refusals import reading
from thaw.tasks.artifacts.store import ArtifactStore
from thaw.tasks.releases.champion_log import (
    Action,
    ChampionLog,
    LogEntry,
    note,
    read_champion_log,
    record,
    write_pointer,
)
from thaw.tasks.releases.checksums import verify_checksums
from thaw.tasks.releases.folders import RELEASES_NAME, clear_temporaries, find_artifact, install, is_visible
from thaw.tasks.releases.release import ReleaseInfo, read_in_place, read_release, read_verdict

_LOCK_NAME = "releases"

Standing = Literal["settled", "written anew", "new"]


class Registry:
    """Releases below one home folder."""

    def __init__(self, store: ArtifactStore) -> None:
        """Open the registry beside the artifacts; nothing is created before the first change."""
        self._store = store
        self.releases = store.home / RELEASES_NAME

    def list(self) -> Sequence[ReleaseInfo]:
        """List all releases that can be read, by recipe, then by id."""
        damaged = self.damaged()
        log = self._read_log()
        infos = [self._info(release, log) for release in self.ids() if release not in damaged]
        return sorted(infos, key=lambda info: (info.recipe, info.id))

    def ids(self) -> Sequence[str]:
        """List the names of all releases' folders, in alphabetical order, also of those that are damaged."""
        with reading(self.releases):
            if not self.releases.is_dir():
                return []
            return sorted(folder.name for folder in self.releases.iterdir() if is_visible(folder))

    def damaged(self) -> dict[str, str]:
        """List the releases that `list` leaves out, and the lines and pointers that cannot be read.

        The result says what is wrong, by the folder's name, or by the name of the log or the pointer.
        """
        problems: dict[str, str] = {}
        for release in self.ids():
            try:
                read_in_place(self.releases / release)
            except (PublishError, UnreadableError) as error:
                problems[release] = str(error)
        log = self._read_log()
        problems |= {f"log.jsonl, line {number}": "It cannot be read." for number in log.damaged_lines}
        problems |= {f"champions/{recipe}.json": "It cannot be read." for recipe in log.damaged_pointers}
        return problems | {f"champions/{name}": "No recipe has this name." for name in log.stray_pointers}

    def misnamed(self) -> dict[str, str]:
        """List the folders that hold another release than their name says: the id of that, by the folder's name."""
        found = {}
        for name in self.ids():
            with suppress(PublishError):  # a damaged one says nothing
                found[name] = read_release(self.releases / name).id
        return {name: release for name, release in found.items() if name != release}

    def get(self, release: str) -> ReleaseInfo:
        """Look up a release by its id.

        Raises:
            RequestError: There is no such release; the message names the nearest.
            PublishError: Its description is damaged, or it is in the folder of another release.
        """
        ids = self.ids()
        if release not in ids:
            hint = nearest(release, [*ids])
            raise RequestError(
                f"There is no release {received(release)} in {self.releases}."
                + (f" Nearest: {hint}." if hint else " thaw releases list shows those that there are.")
            )
        return self._info(release, self._read_log())

    def verify(self, release: str) -> None:
        """Check every file of a release.

        Raises:
            RequestError: There is no such release.
            PublishError: A file is missing or altered; the message names it.
        """
        verify_checksums(self.get(release).path)

    def champion(self, recipe: str) -> ReleaseInfo | None:
        """Look up a recipe's champion; None for a recipe that never had one.

        Raises:
            PublishError: The champion is missing or damaged.
        """
        log = self._read_log()
        champion = self._champion_id(log, recipe)
        if champion is None:
            return None
        if not is_visible(self.releases / champion):
            raise PublishError(
                f"{self.releases / champion}, the champion of {recipe}, is missing. Use thaw releases promote."
            )
        return self._info(champion, log)

    def anchor(self, recipe: str) -> str | None:
        """Name the release that no small steps down may lead away from; None for a recipe that never had a champion."""
        return self._read_log().anchor(recipe)

    def champions(self) -> dict[str, str]:
        """List the champions' ids by recipe, in alphabetical order of the recipes."""
        log = self._read_log()
        named = {recipe: self._champion_id(log, recipe) for recipe in log.recipes}
        return {recipe: release for recipe, release in named.items() if release is not None}

    def needed(self) -> set[str]:
        """Name the releases that must stay: each recipe's champion and anchor, and what a rollback would return to.

        A champion whose folder is missing is among them.

        Raises:
            PublishError: A pointer is damaged, and the log does not know its recipe: any release may be its champion.
        """
        log = self._read_log()
        needed: set[str | None] = set()
        for recipe in {*log.recipes, *log.damaged_pointers}:
            champion = self._champion_id(log, recipe)
            if champion is not None:
                needed |= {champion, log.anchor(recipe), log.before(recipe, champion, self._is_visible)}
        return {release for release in needed if release is not None}

    def log(self) -> Sequence[LogEntry]:
        """Read every decision about a champion, in the order in which they were made."""
        log = self._read_log()
        return sorted([*log.entries, *log.declined], key=lambda entry: entry.sequence)

    def promote(self, release: str, reason: str) -> ReleaseInfo:
        """Make a release its recipe's champion, and log why. If it is that already, nothing changes.

        Raises:
            RequestError: There is no such release.
            PublishError: It is damaged, or the home folder cannot be written.
        """
        with self.locked():
            self.make_champion("promote", self.get(release), reason)
        return self.get(release)

    def rollback(self, recipe: str | None, reason: str) -> ReleaseInfo:
        """Return to the champion before the present one, and log why.

        The recipe may be None where only one has a champion.

        Raises:
            RequestError: It is not clear which recipe is meant, or there is no champion before.
            PublishError: The champion before is damaged, or the home folder cannot be written.
        """
        with self.locked():
            champions = self.champions()
            recipe = recipe or self._only(champions)
            if recipe not in champions:
                raise RequestError(f"Recipe {received(recipe)} has no champion.{nearest_hint(recipe, champions)}")
            before = self._read_log().before(recipe, champions[recipe], self._is_visible)
            if before is None:
                raise RequestError(f"{recipe} had no champion before {champions[recipe]}: nothing to roll back to.")
            self.make_champion("rollback", self.get(before), reason)
        return self.get(before)

    def decide(self, release: str, *, approved: bool, by: str | None, reason: str) -> ReleaseInfo:
        """Make a release that is due its recipe's champion, or decline it, and log who said so and why.

        Where something else has become the champion in the meantime, or this release, nothing changes.

        Raises:
            RequestError: There is no such release.
            PublishError: It is damaged, or the home folder cannot be written.
        """
        with self.locked():
            info = self.get(release)
            if self.is_due(info) and approved:
                self.make_champion("approve", info, reason, by)
            elif self.is_due(info):
                note(self.releases, self._entry(self._read_log(), "decline", info, reason, by))
        return self.get(release)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the registry's lock, after an interrupted change has been completed and what is damaged repaired.

        Raises:
            PublishError: The log or a pointer cannot be read.
            ArtifactError: The home folder cannot be written.
        """
        with self._store.lock(_LOCK_NAME):
            self._repair()
            yield

    def mend(self) -> None:
        """Complete a change that was interrupted, and repair what is damaged, where there is anything yet.

        Raises:
            PublishError: The log or a pointer cannot be read.
            ArtifactError: The home folder cannot be written.
        """
        if self.releases.exists():
            with self.locked():
                pass

    def make_champion(self, action: Action, info: ReleaseInfo, reason: str, by: str | None = None) -> None:
        """Move a recipe's pointer and log it, unless it is there already. The caller is inside `locked`.

        Raises:
            PublishError: The release is damaged, or the home folder cannot be written.
        """
        verify_checksums(info.path)
        log = self._read_log()
        if self._champion_id(log, info.recipe) != info.id:
            record(self.releases, self._entry(log, action, info, reason, by))

    def is_due(self, release: ReleaseInfo) -> bool:
        """Say whether a run's release is to become the champion: its verdict says so, and was not overtaken.

        Where another run has published since, or someone has promoted or rolled back, it says nothing about the
        champion that there is now. The same run, started again, asks for one that does.

        Raises:
            PublishError: The champion or the release is missing or damaged.
        """
        if self.standing(release) != "new" or not read_verdict(release.path).promote:
            return False
        champion = self.champion(release.recipe)
        return (champion.id if champion else None) == release.compared_with

    def standing(self, release: ReleaseInfo) -> Standing:
        """Say whether a run's release may still become the champion by itself.

        It is "settled" for the champion, for one that was it, or its model, until something replaced it on purpose, and
        for one whose model was declined; "written anew" for one whose model is the champion's, in other files; else
        "new".

        Raises:
            PublishError: The champion is missing or damaged.
        """
        log = self._read_log()
        changes = log.changes(release.recipe)
        if self._champion_id(log, release.recipe) == release.id:
            return "settled"
        if log.was_champion(release.id):
            # Where its files gave way to another run's, and not to a person's choice, the latest run's are in use.
            last = [entry for entry in changes[-1:] if entry.action == "publish"]
            return "written anew" if release.evaluation in map(self._evaluation_of, last) else "settled"
        champion = self.champion(release.recipe)
        if champion is not None and champion.evaluation == release.evaluation:
            return "written anew"
        declined = [entry for entry in log.declined if entry.recipe == release.recipe]
        return "settled" if release.evaluation in map(self._evaluation_of, [*changes, *declined]) else "new"

    def _entry(self, log: ChampionLog, action: Action, info: ReleaseInfo, reason: str, by: str | None) -> LogEntry:
        return LogEntry(
            sequence=log.next_sequence,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            action=action,
            recipe=info.recipe,
            release=info.id,
            evaluation=info.evaluation,
            previous=self._champion_id(log, info.recipe),
            outcome=info.verdict if action in ("publish", "approve") else None,
            by=by,
            reason=reason,
            thaw=thaw_version(),
        )

    def _evaluation_of(self, entry: LogEntry) -> str | None:
        if entry.evaluation is None:  # an old line
            # Where it is gone or damaged, its id, which the log keeps, is all that is known of it.
            with suppress(PublishError):
                return read_in_place(self.releases / entry.release).evaluation
        return entry.evaluation

    def _repair(self) -> None:
        clear_temporaries(self._store.home)
        log = self._read_log()
        for recipe in log.recipes:
            champion = log.champion(recipe, self._is_visible)
            if champion is None:
                continue
            self._restore(champion.release)
            if self._is_visible(champion.release) and log.pointers.get(recipe) != champion:
                write_pointer(self.releases, recipe, champion)

    def _restore(self, champion: str) -> None:
        # A champion that is missing, or cannot say what it is and what it was compared with, is copied anew, where its
        # artifact is still there.
        try:
            read_in_place(self.releases / champion)
            read_verdict(self.releases / champion)
        except PublishError:
            artifact = find_artifact(self._store, champion)
            if artifact is not None:
                install(self._store.home, artifact, champion)

    def _info(self, release: str, log: ChampionLog) -> ReleaseInfo:
        folder = self.releases / release
        document = read_in_place(folder)
        return ReleaseInfo(
            **document.model_dump(include={"id", "recipe", "verdict", "compared_with", "evaluation"}),
            **document.test.model_dump(),
            is_champion=self._champion_id(log, document.recipe) == release,
            path=folder,
        )

    def _champion_id(self, log: ChampionLog, recipe: str) -> str | None:
        champion = log.champion(recipe, self._is_visible)
        return None if champion is None else champion.release

    def _only(self, champions: dict[str, str]) -> str:
        if len(champions) == 1:
            return next(iter(champions))
        if not champions:
            raise RequestError(f"There is no champion in {self.releases}, so nothing to roll back.")
        raise RequestError(f"More than one recipe has a champion: {', '.join(champions)}. Name one with --recipe.")

    def _read_log(self) -> ChampionLog:
        return read_champion_log(self.releases)

    def _is_visible(self, release: str) -> bool:
        return is_visible(self.releases / release)
