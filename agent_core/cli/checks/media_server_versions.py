"""Shortcomings of older versions of MediaMTX; docs/mediamtx.md has the table of versions."""

__all__ = ("RECOMMENDED", "shortcomings")

Version = tuple[int, int, int]

#: The oldest version without a shortcoming that loses something.
RECOMMENDED: Version = (1, 15, 2)

#: The version that removes a shortcoming, and the shortcoming.
_UNTIL: tuple[tuple[Version, str], ...] = (
    ((1, 15, 1), "a camera that has viewers cannot be recorded"),
    ((1, 15, 2), "a restart of the server is noticed late"),
    ((1, 20, 1), "its API shows the passwords of its users"),
)
#: As above, for a server whose time zone the agent does not set.
_UNTIL_IF_EXTERNAL: tuple[tuple[Version, str], ...] = (
    ((1, 13, 0), "files have no offset in their names, unless it runs with TZ=UTC"),
)


def shortcomings(version: Version, *, is_external: bool) -> list[str]:
    """Return the shortcomings of a version, as clauses."""
    known = (*(_UNTIL_IF_EXTERNAL if is_external else ()), *_UNTIL)
    return [text for until, text in known if version < until]
