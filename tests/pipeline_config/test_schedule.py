"""A recipe's schedule is checked when the recipe is read; durations are read in one way."""

import contextlib
import json
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from thaw.pipeline_config.durations import seconds_of
from thaw.pipeline_config.errors import RecipeError
from thaw.pipeline_config.loading import load_recipe
from thaw.pipeline_config.schedule_schema import ScheduleConfig

RULES = [
    "FREQ=MONTHLY;BYDAY=1MO;BYHOUR=3;BYMINUTE=30",
    "RRULE:FREQ=DAILY",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;INTERVAL=4",
    "DTSTART:20261130T030000\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=10",
    "FREQ=HOURLY;INTERVAL=6;UNTIL=20261231T000000",
    "FREQ=MINUTELY;INTERVAL=7;BYDAY=MO,TU,WE,TH,FR;BYHOUR=22,23",
]
# What is wrong, and the words that say so.
WRONG_RULES = {
    "": "one rule of RFC 5545",
    "every Monday": "one rule of RFC 5545",
    "freq=daily": "in capitals",
    "FREQ=DAILY\nFREQ=WEEKLY": "one rule of RFC 5545",
    "DTSTART;TZID=Europe/Paris:20260105T030000\nRRULE:FREQ=DAILY": "one rule of RFC 5545",
    "FREQ=DAILY;FREQ=WEEKLY": "must say each part once",
    "FREQ=SECONDLY": "more than once a minute",
    "FREQ=HOURLY;BYSECOND=0,30": "more than once a minute",
    "FREQ=MINUTELY;BYSETPOS=2": "no BYSETPOS where it comes due within a day",
    "FREQ=DAILY;INTERVAL=0": "INTERVAL from 1 to 1000",
    "FREQ=DAILY;INTERVAL=1001": "INTERVAL from 1 to 1000",
    "FREQ=DAILY;INTERVAL=" + 900 * "9": "INTERVAL from 1 to 1000",
    "FREQ=DAILY;COUNT=" + 5000 * "9": "at most 4096 characters",
    "FREQ=DAILY;COUNT=3": "the DTSTART from which it counts",
    "DTSTART:20260105T030000\nFREQ=DAILY;COUNT=0": "COUNT from 1 to 1000000",
    "DTSTART:20260230T030000\nFREQ=DAILY": "day is out of range for month",
    "FREQ=FORTNIGHTLY": "invalid 'FREQ'",
    "FREQ=DAILY;BYDAY=XX": "invalid 'BYDAY'",
    "FREQ=YEARLY;BYDAY=60MO": "cannot be read as a rule of RFC 5545; expected one",
    "FREQ=MINUTELY;BYMINUTE=75": "cannot be read as a rule of RFC 5545; expected one",
    "FREQ=DAILY;BYHOUR=99": "cannot be read as a rule",
    "FREQ=DAILY;UNTIL=20261231T000000Z": "without the Z",
    "FREQ=HOURLY;INTERVAL=24;BYHOUR=3": "generates an empty set",
    "FREQ=MINUTELY;BYWEEKNO=53;BYMONTH=3": "must come due at some time",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30": "must come due at some time",
}


def complaint(key: str, value: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", (f"schedule={json.dumps({key: value})}",))
    message = str(caught.value)
    assert message.startswith(f"schedule.{key}: ")
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_read_and_stands_in_one_line(rule: str) -> None:
    assert str(ScheduleConfig(rrule=rule)) == f"{rule.replace(chr(10), ' ')} (UTC)"


@pytest.mark.parametrize("rule", WRONG_RULES, ids=lambda rule: rule[:50])
def test_a_wrong_rule_is_refused_in_one_line_at_once(rule: str) -> None:
    began = time.monotonic()
    assert WRONG_RULES[rule] in complaint("rrule", rule)
    assert time.monotonic() - began < 10, "it was looked for to the end of the year 9999"


_PARTS = "INTERVAL BYDAY BYHOUR BYMINUTE BYMONTH BYMONTHDAY BYSETPOS BYWEEKNO BYYEARDAY UNTIL WKST X"
_VALUES = "0 1 -1 5 12 24 31 -31 53 75 366 1000 MO 1MO,-1SU 60MO 20261231T000000 1,2,3 , - +"
_PART, _VALUE = st.sampled_from(_PARTS.split()), st.sampled_from(_VALUES.split())


@settings(max_examples=400)
@given(
    frequency=st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "DAYLY"]),
    parts=st.dictionaries(_PART, _VALUE, max_size=4),
)
def test_any_rule_is_read_or_refused_as_wrong(frequency: str, parts: dict[str, str]) -> None:
    rule = ";".join([f"FREQ={frequency}", *(f"{key}={value}" for key, value in parts.items())])
    with contextlib.suppress(ValidationError):
        assert ScheduleConfig(rrule=rule).rrule == rule


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "none of them"),
        ({"cron": "0 3 * * 1", "interval": "6h"}, "cron and interval"),
        ({"rrule": None}, "none of"),
    ],
)
def test_a_schedule_says_in_exactly_one_way_when(keys: dict[str, str], said: str) -> None:
    with pytest.raises(RecipeError, match=f"^schedule: takes exactly one of cron, .* Received: {said}"):
        load_recipe("digits", (f"schedule={json.dumps(keys)}",))


@pytest.mark.parametrize("interval", ["0m", "59", "1.5h", "367d", "53w", "999999999w", "6 h", "6s"])
def test_an_interval_is_a_duration_from_a_minute_to_a_year(interval: str) -> None:
    expected = "must be from 1m to 366d" if interval[-1] in "mdw" else "must be a whole number and a unit: 45m"
    assert expected in complaint("interval", interval)
    for edge, seconds in (("1m", 60), ("366d", 366 * 24 * 3600)):
        assert ScheduleConfig(interval=edge).every == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("duration", "seconds"), [("45m", 2700), ("12h", 43200), ("30d", 2592000), ("2w", 1209600), ("0d", 0), ("0w", 0)]
)
def test_durations_are_read(duration: str, seconds: int) -> None:
    assert seconds_of(duration) == seconds


@pytest.mark.parametrize(
    "duration", ["", "30", "d", "-1d", "1.5h", "30 d", "30D", "1y", "1d12h", "٣d", "30d\n", "9" * 400 + "w"]
)
def test_what_is_no_duration_is_refused(duration: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number and a unit"):
        seconds_of(duration)
