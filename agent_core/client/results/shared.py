"""Results of several subjects.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass

__all__ = ("Deleted",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    filename: str
    deleted: bool
    message: str
