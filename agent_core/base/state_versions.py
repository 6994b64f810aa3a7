"""Versions of state files. An agent neither uses nor changes a file that a later version of the agent has written."""

import json

from pydantic import BaseModel

from agent_core.base.errors import LaterState

__all__ = ("later_version", "refuse_later", "version_of")


def version_of(model: type[BaseModel]) -> int:
    """Return the version of the files that hold a `model`: the default of its field `version`; 1 without the field."""
    field = model.model_fields.get("version")
    return field.default if field is not None and isinstance(field.default, int) else 1


def later_version(content: bytes, known: int) -> int | None:
    """Return the version that a state file names if it is later than `known`; None otherwise, also if it is damaged."""
    try:
        stored = json.loads(content)
    except (ValueError, RecursionError):
        return None
    version = stored.get("version") if isinstance(stored, dict) else None
    return version if type(version) is int and version > known else None


def refuse_later(name: str, content: bytes, known: int) -> None:
    """Raise LaterState if `content`, of the state file `name`, is of a later version than `known`."""
    later = later_version(content, known)
    if later is not None:
        raise LaterState(
            f"The state file {name} is of a later version of the agent (file version {later}; this agent knows {known}). "
            "It is neither used nor changed.",
            reason=f"{name.partition('.')[0].replace('-', '_')}_later_version",
            suggestion="Upgrade the agent, or put back a copy of the state folder that this version has made.",
            detail=f"file version {later}",
        )
