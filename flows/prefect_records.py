"""Log records, of Prefect and of other libraries, as the lines of `--log-format json`. Prefect loads it by name."""

import logging

from thaw.pipeline_config.messages import text_without_secrets
from thaw.tasks.progress import About, Event, Kind, log_line

_KINDS: dict[int, Kind] = {logging.ERROR: "error", logging.WARNING: "warning", logging.INFO: "log"}


class JsonRecords(logging.Formatter):
    """Writes a record as `thaw.tasks.progress.log_line` does an event; a traceback is part of the message."""

    def __init__(self, *of_the_configuration: object) -> None:
        """Take no format: what `logging.config` gives one is that of Prefect's own formatter."""
        super().__init__()

    def format(self, record: logging.LogRecord) -> str:
        """Write one line."""
        kinds = [kind for level, kind in _KINDS.items() if record.levelno >= level]
        task, run = getattr(record, "task_run_name", ""), getattr(record, "flow_run_id", "")
        about = About(run="" if run is None else str(run))
        text = text_without_secrets(super().format(record))
        return log_line(Event(task or "", kinds[0] if kinds else "detail", text, about=about, time=record.created))
