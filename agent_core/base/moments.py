"""Times of stored and received data, in UTC."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime

__all__ = ("UtcMoment", "rfc3339")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("it is outside the years 1 to 9999") from error


#: Time with an offset, converted to UTC, so that times of any offset compare and are sent alike.
UtcMoment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


def rfc3339(when: datetime) -> str:
    """Return the aware `when` in UTC with milliseconds: `2026-11-22T17:03:54.120Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
