"""The recipe's `schedule`: when a deployment retrains, and what becomes of the runs that nothing was there for."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from thaw.pipeline_config.durations import seconds_of
from thaw.pipeline_config.messages import received
from thaw.pipeline_config.strict import Strict, nearest_hint

CatchUp = Literal["latest", "none"]

_SHORTEST, _LONGEST = 60, 366 * 24 * 3600  # seconds between two runs
_RULE = re.compile(r"(?:DTSTART:(\d{8}T\d{6})\s+)?(?:RRULE:)?(FREQ=[A-Z]+(?:;[A-Z]+=[A-Z0-9,+-]+)*)")
_START = "20200101T000000"  # from which Prefect counts where a rule does not say it
_WITHIN_A_DAY = ("HOURLY", "MINUTELY")
_MOST_INTERVALS, _MOST_TIMES = 1000, 1_000_000


class ScheduleConfig(Strict):
    """When a deployment retrains: by exactly one of `cron`, `interval` and `rrule`."""

    cron: str | None = Field(default=None, description="five fields: minute hour day month weekday")
    interval: str | None = Field(default=None, description="time between two runs, such as 30m, 6h or 2d")
    rrule: str | None = Field(default=None, description="a rule of RFC 5545, such as FREQ=MONTHLY;BYDAY=1MO;BYHOUR=3")
    timezone: str = Field(default="UTC", description="an IANA name, such as Europe/Paris")
    catch_up: CatchUp = Field(
        default="latest", description="which of the runs are made up for that were due while thaw serve was not there"
    )

    @property
    def every(self) -> timedelta | None:
        """The interval."""
        return None if self.interval is None else timedelta(seconds=seconds_of(self.interval))

    def __str__(self) -> str:
        """Say when, in a line."""
        times = self.cron or self.rrule or f"every {self.interval}"
        return f"{' '.join(times.split())} ({self.timezone})"

    @field_validator("cron")
    @classmethod
    def _check_cron(cls, cron: str | None) -> str | None:
        if cron is None:
            return None
        if len(cron.split()) != 5:
            raise ValueError(
                f"must be five fields: minute hour day month weekday, such as '0 3 * * 1'. Received: {received(cron)}."
            )
        try:
            CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            raise ValueError(f"{error}; expected something such as '0 3 * * 1'. Received: {received(cron)}.") from error
        return cron

    @field_validator("interval")
    @classmethod
    def _check_interval(cls, interval: str | None) -> str | None:
        if interval is not None and not _SHORTEST <= seconds_of(interval) <= _LONGEST:
            raise ValueError(f"must be from 1m to 366d. Received: {received(interval)}.")
        return interval

    @field_validator("rrule")
    @classmethod
    def _check_rrule(cls, rrule: str | None) -> str | None:
        if rrule is not None and (problem := _problem_of(rrule)):
            raise ValueError(f"{problem}, as in FREQ=MONTHLY;BYDAY=1MO;BYHOUR=3. Received: {received(rrule)}.")
        return rrule

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, timezone: str) -> str:
        # UTC needs no data; a machine without any knows no other.
        if timezone != "UTC" and timezone not in (known := available_timezones()):
            hint = nearest_hint(timezone, sorted(known))
            raise ValueError(f"must be an IANA name, such as Europe/Paris. Received: {received(timezone)}.{hint}")
        return timezone

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        said = [name for name in ("cron", "interval", "rrule") if getattr(self, name) is not None]
        if len(said) != 1:
            raise ValueError(
                f"takes exactly one of cron, interval and rrule. Received: {' and '.join(said) or 'none of them'}."
            )
        return self


def _problem_of(rrule: str) -> str | None:
    """Say what is wrong with a rule, in the words before an example; None where nothing is."""
    match = _RULE.fullmatch(rrule)
    if match is None:
        return "must be one rule of RFC 5545 in capitals, with DTSTART:20260105T030000 in the line before it if need be"
    start, rule = match.groups()
    parts = [part.split("=") for part in rule.split(";")]
    said: dict[str, str] = dict(parts)
    is_count_wrong = "COUNT" in said and (start is None or not _is_between(said["COUNT"], _MOST_TIMES))
    problems = {
        "must say each part once": len(said) < len(parts),
        "must not come due more than once a minute": said["FREQ"] == "SECONDLY" or "," in said.get("BYSECOND", ""),
        "must have no BYSETPOS where it comes due within a day": "BYSETPOS" in said and said["FREQ"] in _WITHIN_A_DAY,
        f"must have an INTERVAL from 1 to {_MOST_INTERVALS}": not _is_between(
            said.get("INTERVAL", "1"), _MOST_INTERVALS
        ),
        f"must have a COUNT from 1 to {_MOST_TIMES}, and the DTSTART from which it counts": is_count_wrong,
        "must say UNTIL in the schedule's time zone, without the Z": said.get("UNTIL", "").endswith("Z"),
    }
    return next((problem for problem, holds in problems.items() if holds), None) or _problem_of_dates(
        start or _START, rule
    )


def _is_between(number: str, most: int) -> bool:
    return number.isdecimal() and len(number) <= len(str(most)) and 1 <= int(number) <= most


def _problem_of_dates(start: str, rule: str) -> str | None:
    from dateutil.rrule import rrulestr

    try:
        begin = datetime.strptime(start, "%Y%m%dT%H%M%S")  # noqa: DTZ007 (of the schedule's time zone)
        dates: Any = rrulestr(rule, dtstart=begin)
        # dateutil looks for the first date to the end of the year 9999, a minute long where there is none, and so would
        # Prefect's server, over and over. The calendar repeats after 28 years: those before the end stand for all.
        last = begin.replace(year=9944 + (begin.year - 1944) % 28)
        comes_due = next(iter(dates.replace(dtstart=last, until=None, count=None)), None) is not None
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:  # as dateutil meets a number out of range
        reason = f" ({error})" if isinstance(error, ValueError) else ""
        return f"cannot be read as a rule of RFC 5545{reason}; expected one"
    return None if comes_due else "must come due at some time"
