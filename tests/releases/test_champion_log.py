"""The log and the pointers: what is torn, lost or damaged, and what is true then."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.publishing.helpers import assert_consistent, champion_id, id_of, run
from thaw.pipeline_config.errors import NewerVersionError, PublishError
from thaw.pipeline_config.schema import RecipeName
from thaw.tasks.artifacts.document import thaw_version
from thaw.tasks.cleanup.collect import collect_garbage
from thaw.tasks.cleanup.kept import Limits
from thaw.tasks.home import Home
from thaw.tasks.releases.champion_log import ChampionLog, LogEntry, Pointer, read_champion_log, record, write_pointer
from thaw.tasks.releases.checksums import write_checksums
from thaw.tasks.releases.release import recipe_of

A, B = id_of("digits", "a"), id_of("digits", "b")
CAT = id_of("cats", "a")
FOUR = [id_of("digits", tag) for tag in "wxyz"]


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "deep" / "down" / "home"  # so that what a path leads out of it is still in the test's own folder
    run(home, "digits", "a", 0.7)
    run(home, "digits", "b", 0.8)
    return home


def entry(sequence=3, release=A, previous=B, action="promote"):
    return LogEntry(
        sequence=sequence,
        time="",
        action=action,
        recipe="digits",
        release=release,
        evaluation="0",
        previous=previous,
        reason="why",
        thaw=thaw_version(),
    )


def pointer(home):
    document = json.loads((home / "releases" / "champions" / "digits.json").read_text())
    assert (document.pop("schema_version"), document.pop("thaw")) == (Pointer.FORM, thaw_version())
    return document


def log_path(home):
    return home / "releases" / "log.jsonl"


def test_the_pointer_names_the_release_and_the_change(home):
    assert pointer(home) == {"release": B, "sequence": 2}


def test_a_change_whose_pointer_was_not_written_counts_and_is_completed(home):
    with log_path(home).open("a") as file:
        file.write(entry().model_dump_json() + "\n")
    assert champion_id(home, "digits") == A  # for readers, at once
    assert pointer(home)["release"] == B
    with Home.open(home).registry.locked():
        assert pointer(home) == {"release": A, "sequence": 3}
    assert_consistent(home)


def test_a_line_torn_at_any_place_counts_only_if_nothing_is_missing(home):
    before = log_path(home).read_bytes()
    line = entry().model_dump_json().encode() + b"\n"
    for length in range(len(line) + 1):
        log_path(home).write_bytes(before + line[:length])
        whole = length >= len(line) - 1
        assert champion_id(home, "digits") == (A if whole else B)
        assert len(Home.open(home).registry.log()) == 2 + whole
        assert Home.open(home).registry.damaged() == {}


def test_the_next_change_cuts_a_torn_line_off(home):
    with log_path(home).open("a") as file:
        file.write(entry().model_dump_json()[:-5])
    Home.open(home).registry.promote(A, "for good")
    lines = log_path(home).read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines][-1] == "for good"
    assert len(lines) == 3
    assert_consistent(home)


def test_the_next_change_completes_a_line_that_lacks_its_line_break(home):
    with log_path(home).open("a") as file:
        file.write(entry().model_dump_json())
    Home.open(home).registry.promote(B, "back")
    assert [(line.sequence, line.release) for line in Home.open(home).registry.log()][2:] == [(3, A), (4, B)]
    assert_consistent(home)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"release": "digits-000000000000", "sequence": 2}', b"\xff\xff"])
def test_a_damaged_pointer_is_restored_from_the_log(home, content):
    (home / "releases" / "champions" / "digits.json").write_bytes(content)
    assert champion_id(home, "digits") == B
    with Home.open(home).registry.locked():
        assert pointer(home) == {"release": B, "sequence": 2}


def test_a_lost_pointer_is_restored_from_the_log(home):
    (home / "releases" / "champions" / "digits.json").unlink()
    assert champion_id(home, "digits") == B
    assert not run(home, "digits", "c", 0.1).is_champion
    assert pointer(home) == {"release": B, "sequence": 2}


def test_a_lost_log_leaves_the_champion_and_sequences_go_on(home):
    log_path(home).unlink()
    assert champion_id(home, "digits") == B
    Home.open(home).registry.promote(A, "")
    assert [(line.sequence, line.previous) for line in Home.open(home).registry.log()] == [(3, B)]


def test_a_log_cut_off_at_a_line_does_not_move_the_champion(home):
    Home.open(home).registry.rollback(None, "")  # the pointer is at A again, where the first line had put it
    log_path(home).write_text("\n".join(log_path(home).read_text().splitlines()[:2]) + "\n")
    with Home.open(home).registry.locked():
        assert pointer(home) == {"release": A, "sequence": 3}
    assert champion_id(home, "digits") == A


def test_a_damaged_line_is_passed_over_named_and_kept(home):
    lines = log_path(home).read_bytes().splitlines(keepends=True)
    log_path(home).write_bytes(b"?" + lines[0] + lines[1])
    registry = Home.open(home).registry
    assert list(registry.damaged()) == ["log.jsonl, line 1"]
    registry.promote(A, "")
    assert log_path(home).read_bytes().startswith(b"?" + lines[0] + lines[1])
    assert champion_id(home, "digits") == A


def test_a_damaged_pointer_without_a_log_is_an_error_not_a_recipe_without_a_champion(home):
    log_path(home).unlink()
    (home / "releases" / "champions" / "digits.json").write_bytes(b"")
    with pytest.raises(PublishError, match=r"champions/digits\.json is damaged"):
        run(home, "digits", "c", 0.1)
    assert run(home, "cats_dogs", "x", 0.5).is_champion  # others go on


def test_a_full_disk_in_the_middle_of_a_line_leaves_the_log_as_it_was(tmp_path, monkeypatch):
    record(tmp_path, entry(1, A, None))
    before = (tmp_path / "log.jsonl").read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(PublishError, match=r"No space left on device. The champion of digits is as it was\."):
            record(tmp_path, entry(2, B, A))
    assert (tmp_path / "log.jsonl").read_bytes() == before
    record(tmp_path, entry(2, B, A))
    assert read_champion_log(tmp_path).entries == [entry(1, A, None), entry(2, B, A)]


def test_rolling_back_counts_only_changes_of_the_same_recipe(tmp_path):
    record(tmp_path, entry(1, A, None))
    other = {"recipe": "cats", "release": CAT, "previous": None, "sequence": 2}
    record(tmp_path, entry().model_copy(update=other))
    record(tmp_path, entry(3, B, A))
    log = read_champion_log(tmp_path)
    assert log.before("digits", B, lambda _: True) == A
    assert log.before("cats", CAT, lambda _: True) is None


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(["publish", "promote", "rollback"]), st.sampled_from(FOUR)),
        max_size=12,
    ),
    visible=st.sets(st.sampled_from(FOUR)),
)
def test_a_rollback_never_leads_to_the_champion_itself_or_to_what_is_gone(changes, visible):
    entries = [entry(number, release, None, action) for number, (action, release) in enumerate(changes, start=1)]
    log = log_of(entries)
    champion = changes[-1][1] if changes else FOUR[0]
    before = log.before("digits", champion, lambda release: release in visible)
    assert before is None or (before in visible and before != champion)
    assert before in {release for _, release in changes} | {None}


@given(logged=st.integers(1, 9), pointed=st.integers(1, 9))
def test_the_later_of_log_and_pointer_names_the_champion(logged, pointed):
    log = log_of([entry(logged, A, None)], Pointer(release=B, sequence=pointed, thaw="0"))
    champion = log.champion("digits", lambda _: True)
    assert champion.release == (B if pointed > logged else A)
    assert log.next_sequence == max(logged, pointed) + 1


def log_of(entries, pointer=None):
    pointers = {"digits": pointer} if pointer else {}
    return ChampionLog(entries=entries, pointers=pointers)


def test_pointers_of_several_recipes_stand_side_by_side(tmp_path):
    for recipe in ("digits", "cats_dogs"):
        write_pointer(tmp_path, recipe, Pointer(release=id_of(recipe, "a"), sequence=1, thaw="0"))
    assert read_champion_log(tmp_path).recipes == ["cats_dogs", "digits"]


# --- names are checked wherever they were read


BAD_NAMES = {
    "a path out of the folder": {"recipe": "../../../pwn", "release": "../../../pwn-000000000000"},
    "a recipe's path": {"recipe": "../../../pwn"},
    "a release's path": {"release": "../../../digits-000000000000"},
    "no release": {"release": "digits-1"},
    "another recipe's release": {"release": CAT},
    "a path before": {"previous": "../digits-000000000000"},
    "a line break": {"release": f"{A}\n"},
}


@pytest.mark.parametrize("names", BAD_NAMES.values(), ids=BAD_NAMES)
def test_a_line_with_a_name_that_nothing_can_have_is_damaged(home, tmp_path, names):
    for name in ("../../../pwn-000000000000", "../../../digits-000000000000"):
        (home / "releases" / name).mkdir()
        (home / "releases" / name / "SHA256SUMS").touch()
    around = {path for path in tmp_path.rglob("*") if home not in path.parents}
    with log_path(home).open("a") as file:
        file.write(json.dumps(entry().model_dump() | names) + "\n")
    registry = Home.open(home).registry
    assert list(registry.damaged()) == ["log.jsonl, line 3"]
    with registry.locked():
        assert registry.champions() == {"digits": B}
    assert registry.promote(A, "").is_champion
    assert {path for path in tmp_path.rglob("*") if home not in path.parents} == around


@pytest.mark.parametrize("release", ["../../../pwn-000000000000", "digits-1", CAT, ""])
def test_a_pointer_with_a_name_that_nothing_can_have_is_damaged(home, release):
    path = home / "releases" / "champions" / "digits.json"
    path.write_text(json.dumps({"release": release, "sequence": 9}))
    assert list(Home.open(home).registry.damaged()) == ["champions/digits.json"]
    with Home.open(home).registry.locked():
        assert pointer(home) == {"release": B, "sequence": 2}


@pytest.mark.parametrize("name", ["digits copy", "Digits", "-digits", "digits.1"])
def test_a_pointer_that_is_named_after_no_recipe_is_named_and_does_no_harm(home, name):
    pointers = home / "releases" / "champions"
    (pointers / f"{name}.json").write_bytes((pointers / "digits.json").read_bytes())
    registry = Home.open(home).registry
    assert registry.damaged() == {f"champions/{name}.json": "No recipe has this name."}
    assert (registry.champions(), registry.needed()) == ({"digits": B}, {A, B})
    assert registry.promote(A, "").is_champion


@given(st.text(max_size=80))
def test_a_recipe_of_any_name_that_is_allowed_can_have_releases(name):
    try:
        TypeAdapter(RecipeName).validate_python(name)
    except ValidationError:
        return
    assert recipe_of(id_of(name, "a")) == name


@given(st.from_regex(r"[a-z][a-z0-9_]{0,59}", fullmatch=True), st.text(max_size=80))
def test_the_recipe_is_in_the_name_of_a_release_and_in_no_other_name(recipe, other):
    assert recipe_of(id_of(recipe, "a")) == recipe
    assert recipe_of(other) is None
    assert recipe_of(id_of(recipe, "a") + "\n") is None


# --- a later version of thaw


def newer(document, form=7):
    return json.dumps({**document, "schema_version": form, "thaw": "9.9.9"}) + "\n"


def whole(path):
    return {each.relative_to(path): each.read_bytes() for each in path.rglob("*") if each.is_file()}


@pytest.mark.parametrize("place", ["log", "last line of the log", "pointer"])
def test_what_a_later_version_wrote_stops_everything_and_is_not_damaged(home, place):
    lines = log_path(home).read_text()
    line = newer({"what": "is not known yet"})
    if place == "pointer":
        (home / "releases" / "champions" / "digits.json").write_text(line)
    else:
        log_path(home).write_text(line + lines if place == "log" else lines + line.removesuffix("\n"))
    before = whole(home / "releases")
    registry = Home.open(home).registry
    for use in (
        registry.list,
        registry.damaged,
        registry.champions,
        registry.needed,
        lambda: registry.get(A),
        lambda: registry.promote(A, ""),
        lambda: registry.rollback(None, ""),
        lambda: run(home, "digits", "c", 0.99),
        lambda: collect_garbage(Home.open(home), Limits(keep_releases=0, young_after=1e12), dry_run=False),
    ):
        with pytest.raises(NewerVersionError, match=r"written by thaw 9\.9\.9, in form 7") as caught:
            use()
        assert "\n" not in str(caught.value)
    assert whole(home / "releases") == before


@pytest.mark.parametrize("name", ["release.json", "verdict.json"])
def test_a_release_of_a_later_version_is_refused_and_never_repaired(home, name):
    path = home / "releases" / B / name
    path.write_text(newer(json.loads(path.read_text())))
    write_checksums(path.parent)
    before = whole(home / "releases")
    with pytest.raises(NewerVersionError, match=rf"{name} was written by thaw 9\.9\.9"):
        run(home, "digits", "c", 0.99)
    assert whole(home / "releases") == before
