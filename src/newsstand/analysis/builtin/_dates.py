"""Dates as payloads write them, made one form: RFC 3339, in UTC, ending in `Z`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

_DATE_TIME = re.compile(
    r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})[Tt ]([0-9]{2}):?([0-9]{2})(?::?([0-5][0-9]|60)(?:\.([0-9]+))?)?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):?([0-5][0-9]))?",
)
_MAX_FRACTION = 9
_LONGEST = 1_000
"""Characters."""


def date_time(text: str | None) -> str | None:
    """A point in time (XEP-0082, 3.2; RFC 3339, 5.6) as `2008-05-08T18:30:02Z`, or None when it is none.

    - Another offset is turned into UTC. Without any, UTC is assumed: XEP-0082 asks for one, older XMPP
      formats had none and meant UTC.
    - Fractions of a second are kept as given, up to nine digits; the rest is cut off.
    - Also read, because it is in use: lower-case `t` and `z`, a space for the `T`, offsets without a colon,
      seconds left out (then `:00`), the form without separators. A leap second becomes second 59.
    - None for a day without a time (a time would be invented), for impossible dates, for years outside 1 to
      9999 once in UTC, and for everything else, such as more than 1,000 characters. The raw XML still has the text.
    """
    if text is None or len(text := text.strip()) > _LONGEST:
        return None
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute = (int(part) for part in match.group(1, 2, 3, 4, 5))
    second = min(int(match[6] or 0), 59)
    try:
        moment = datetime(year, month, day, hour, minute, second) - _offset(match[8], match[9], match[10])
    except (ValueError, OverflowError):
        return None
    fraction = f".{match[7][:_MAX_FRACTION]}" if match[7] else ""
    return f"{moment.isoformat()}{fraction}Z"


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timedelta:
    if sign is None or hours is None or minutes is None:
        return timedelta()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return -offset if sign == "-" else offset
