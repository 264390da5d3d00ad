"""The log and the pointers: what is torn, lost or damaged, and what is true then."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.publishing.helpers import assert_consistent, champion_id, id_of, run
from thaw.pipeline_config.errors import PublishError
from thaw.tasks.home import Home
from thaw.tasks.releases.history import History, LogEntry, Pointer, read_history, record, write_pointer

A, B = id_of("digits", "a"), id_of("digits", "b")


@pytest.fixture
def home(tmp_path):
    run(tmp_path, "digits", "a", 0.7)
    run(tmp_path, "digits", "b", 0.8)
    return tmp_path


def entry(sequence=3, release=A, previous=B, action="promote"):
    return LogEntry(
        sequence=sequence, time="", action=action, recipe="digits", release=release, previous=previous, reason="why"
    )


def pointer(home):
    return json.loads((home / "releases" / "champions" / "digits.json").read_text())


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
    assert read_history(tmp_path).entries == [entry(1, A, None), entry(2, B, A)]


def test_rolling_back_counts_only_changes_of_the_same_recipe(tmp_path):
    record(tmp_path, entry(1, "digits-1", None))
    other = {"recipe": "cats", "release": "cats-1", "previous": None, "sequence": 2}
    record(tmp_path, entry().model_copy(update=other))
    record(tmp_path, entry(3, "digits-2", "digits-1"))
    history = read_history(tmp_path)
    assert history.before("digits", "digits-2", lambda _: True) == "digits-1"
    assert history.before("cats", "cats-1", lambda _: True) is None


@given(
    changes=st.lists(
        st.tuples(st.sampled_from(["publish", "promote", "rollback"]), st.sampled_from(["w", "x", "y", "z"])),
        max_size=12,
    ),
    visible=st.sets(st.sampled_from(["w", "x", "y", "z"])),
)
def test_a_rollback_never_leads_to_the_champion_itself_or_to_what_is_gone(changes, visible):
    entries = [entry(number, release, None, action) for number, (action, release) in enumerate(changes, start=1)]
    history = read_history_of(entries)
    champion = changes[-1][1] if changes else "w"
    before = history.before("digits", champion, lambda release: release in visible)
    assert before is None or (before in visible and before != champion)
    assert before in {release for _, release in changes} | {None}


@given(log=st.integers(1, 9), pointed=st.integers(1, 9))
def test_the_later_of_log_and_pointer_names_the_champion(log, pointed):
    history = read_history_of([entry(log, "from-log", None)], Pointer(release="from-pointer", sequence=pointed))
    champion = history.champion("digits", lambda _: True)
    assert champion.release == ("from-pointer" if pointed > log else "from-log")
    assert history.next_sequence == max(log, pointed) + 1


def read_history_of(entries, pointer=None):
    pointers = {"digits": pointer} if pointer else {}
    return History(entries=entries, damaged_lines=[], pointers=pointers, damaged_pointers=[])


def test_pointers_of_several_recipes_stand_side_by_side(tmp_path):
    for recipe in ("digits", "cats_dogs"):
        write_pointer(tmp_path, recipe, Pointer(release=f"{recipe}-1", sequence=1))
    assert read_history(tmp_path).recipes == ["cats_dogs", "digits"]
