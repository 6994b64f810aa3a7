"""How the wire writes a time."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import PlainSerializer, WithJsonSchema

__all__ = ("Timestamp", "rfc3339")


def rfc3339(when: datetime) -> str:
    """`2026-11-22T17:03:54.120Z`: UTC with at most milliseconds; `when` is aware."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: An aware datetime in a result or an event.
Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
