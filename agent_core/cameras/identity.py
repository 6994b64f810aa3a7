"""Which camera is this? Decisions only: told what is known and what is connected, no I/O, no clock.

Serial numbers decide first, then the port, then the descriptor. What cannot be told apart is said to be ambiguous; it
is never passed off as certain.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from agent_core.models import CameraId, DetectedCamera, Fingerprint

__all__ = ("FIRST_UNNUMBERED", "Identity", "Known", "identify")

#: Cameras without a device number of their own (network, virtual) are counted from here.
FIRST_UNNUMBERED = 100


@dataclass(frozen=True, slots=True)
class Known:
    """A camera of the ledger."""

    id: CameraId
    fingerprint: Fingerprint
    name: str


@dataclass(frozen=True, slots=True)
class Identity:
    """`moved`: known, but on another port than last time. `ambiguous`: it may be another camera of the same make."""

    id: CameraId
    moved: bool = False
    ambiguous: bool = False


def identify(detected: DetectedCamera, known: Iterable[Known], connected: Collection[CameraId]) -> Identity:
    """The id of `detected`, given the ledger's cameras and the ids that are taken by connected ones."""
    ledger = tuple(known)
    if detected.configured_id is not None and detected.configured_id not in connected:
        return Identity(detected.configured_id)
    absent = [
        each
        for each in ledger
        if each.id not in connected and each.fingerprint.source == detected.fingerprint.source
    ]
    found = _recognise(detected.fingerprint, absent)
    if found is not None and found.id is not None:
        return Identity(found.id, found.moved, found.ambiguous)
    new = _unused_id(detected.number_hint, {each.id for each in ledger} | set(connected))
    return Identity(new, ambiguous=found is not None)


@dataclass(frozen=True, slots=True)
class _Recognised:
    """`id` is None when several known cameras fit equally well."""

    id: CameraId | None
    moved: bool = False
    ambiguous: bool = False


def _recognise(seen: Fingerprint, absent: list[Known]) -> _Recognised | None:
    if seen.serial is not None:
        return _by_serial(seen, [each for each in absent if each.fingerprint.serial == seen.serial])
    twins = [
        each
        for each in absent
        if each.fingerprint.serial is None and each.fingerprint.descriptor == seen.descriptor
    ]
    return _by_port(seen, twins)


def _by_serial(seen: Fingerprint, same: list[Known]) -> _Recognised | None:
    if len(same) == 1:
        return _Recognised(same[0].id, moved=same[0].fingerprint.port != seen.port)
    return _by_port(seen, same)  # makers that give every camera one serial number


def _by_port(seen: Fingerprint, twins: list[Known]) -> _Recognised | None:
    """Without a serial the port decides; on another port it may be this camera or its twin."""
    if not twins:
        return None
    here = [each for each in twins if each.fingerprint.port == seen.port and seen.port is not None]
    if len(here) == 1:
        return _Recognised(here[0].id)
    if len(twins) == 1:
        return _Recognised(twins[0].id, moved=True, ambiguous=True)
    return _Recognised(None, ambiguous=True)


def _unused_id(number_hint: int | None, taken: Collection[CameraId]) -> CameraId:
    number = FIRST_UNNUMBERED if number_hint is None else number_hint
    if CameraId(f"camera{number}") in taken and number_hint is not None:
        number = 0
    while CameraId(f"camera{number}") in taken:
        number += 1
    return CameraId(f"camera{number}")
