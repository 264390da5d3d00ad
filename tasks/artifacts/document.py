"""Documents that outlive the version of thaw that wrote them: each says which form it has, and older forms are read."""

import functools
import json
from importlib import metadata
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, computed_field

from thaw.pipeline_config.errors import NewerVersionError


@functools.cache
def thaw_version() -> str:
    """The version of thaw that runs, such as "0.1.0"."""
    return metadata.version("thaw")


class Document(BaseModel):
    """A file's content, or a line of one, in JSON.

    A subclass whose form changes in a way that an older reader would misunderstand raises `FORM`, and says in `upgrade`
    what became of the older ones. What was written before forms had numbers has the form 0.
    """

    model_config = ConfigDict(frozen=True)

    FORM: ClassVar[int] = 1

    @computed_field
    def schema_version(self) -> int:
        """The form, as the written document states it."""
        return self.FORM

    @classmethod
    def upgrade(cls, document: dict[str, Any], form: int) -> dict[str, Any]:
        """Bring a document of an older form, from 0, to the present one."""
        del form
        return document

    @classmethod
    def from_json(cls, content: bytes | str, name: object) -> Self:
        """Read a document of this form or an older one; `name` says in messages which it is.

        Raises:
            NewerVersionError: A later version of thaw wrote it.
            ValueError: It is damaged: no JSON, or not the form.
        """
        document = json.loads(content)
        form = document.pop("schema_version", 0) if isinstance(document, dict) else None
        if not isinstance(form, int) or form < 0:
            raise ValueError(f"{name} is no document of thaw's")
        if form > cls.FORM:
            raise NewerVersionError(
                f"{name} was written by thaw {document.get('thaw', 'of a later version')}, in form {form}; "
                f"this is thaw {thaw_version()}, which knows forms up to {cls.FORM}. Use the newer thaw."
            )
        if form < cls.FORM:
            document = cls.upgrade(document, form)
        return cls.model_validate_json(json.dumps(document))
