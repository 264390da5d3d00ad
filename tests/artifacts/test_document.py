"""Documents say their form; older ones are read, newer ones refused."""

import json
from typing import Any, ClassVar

import pytest

from thaw.pipeline_config.errors import NewerVersionError
from thaw.tasks.artifacts.document import Document


class Note(Document):
    FORM: ClassVar[int] = 2

    text: str

    @classmethod
    def upgrade(cls, document: dict[str, Any], form: int) -> dict[str, Any]:
        return document if form == 1 else {"text": document["words"]}


def test_a_new_document_states_its_form_and_reads_back_equal():
    note = Note(text="a")
    assert json.loads(note.model_dump_json()) == {"text": "a", "schema_version": 2}
    assert Note.from_json(note.model_dump_json(), "note") == note


@pytest.mark.parametrize("content", ['{"words": "a"}', '{"schema_version": 1, "text": "a"}'])
def test_older_forms_are_read(content):
    assert Note.from_json(content, "note") == Note(text="a")


def test_a_newer_form_is_refused_with_the_version_that_wrote_it():
    with pytest.raises(NewerVersionError, match=r"^note was written by thaw 9\.1, in form 3; .*newer thaw\.$"):
        Note.from_json('{"schema_version": 3, "thaw": "9.1", "surprise": []}', "note")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"schema_version": "x", "text": "a"}', '{"schema_version": 2}'])
def test_what_is_damaged_is_a_value_error(content):
    with pytest.raises(ValueError):
        Note.from_json(content, "note")
