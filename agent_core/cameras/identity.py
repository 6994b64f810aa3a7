"""Which camera is this? Decisions only: told what is known and what is connected, no I/O, no clock.

What is certain, and why:

* A serial number is, as long as no two cameras with it have been connected at once.
* An id that the operator chose is: it means "whatever is there".
* A camera without a serial number is at its first sight, if every camera of the same make that is known is connected
  and certain: then it can be none of them. It stays so for as long as it is connected.

Everything else is recognised by its port, or as the only one that is missing, and is `ambiguous`: nothing tells a
camera that came back to its port from its twin that was put there meanwhile, with the agent running or not.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from agent_core.base.models import CameraId, DetectedCamera, Fingerprint

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


def identify(
    detected: DetectedCamera,
    known: Iterable[Known],
    connected: Collection[CameraId] = (),
    doubtful: Collection[CameraId] = (),
) -> Identity:
    """The id of `detected`.

    Args:
        detected: what a source has seen.
        known: the ledger's cameras.
        connected: the ids that connected cameras have.
        doubtful: those of them that are ambiguous themselves.
    """
    ledger = tuple(known)
    if detected.configured_id is not None and detected.configured_id not in connected:
        return Identity(detected.configured_id)
    kin = [each for each in ledger if _alike(each.fingerprint, detected.fingerprint)]
    absent = [each for each in kin if each.id not in connected]
    found = _recognise(detected.fingerprint, absent, alone=len(kin) == 1)
    if found is not None:
        return found
    new = _unused_id(detected.number_hint, {each.id for each in ledger} | set(connected))
    return Identity(new, ambiguous=_may_be_known(detected.fingerprint, kin, connected, doubtful))


def _alike(known: Fingerprint, seen: Fingerprint) -> bool:
    """Return True if both may be the same camera, ports ignored."""
    if known.source != seen.source or known.serial != seen.serial:
        return False
    return seen.serial is not None or known.descriptor == seen.descriptor


def _recognise(seen: Fingerprint, absent: list[Known], *, alone: bool) -> Identity | None:
    """The absent camera that this is or may be; None where there is none, or several fit equally well."""
    here = [each for each in absent if each.fingerprint.port == seen.port and seen.port is not None]
    sure = alone and seen.serial is not None
    if here:
        return Identity(here[0].id, ambiguous=not sure)
    if len(absent) == 1:
        return Identity(absent[0].id, moved=absent[0].fingerprint.port != seen.port, ambiguous=not sure)
    return None


def _may_be_known(
    seen: Fingerprint, kin: list[Known], connected: Collection[CameraId], doubtful: Collection[CameraId]
) -> bool:
    """Return True if a camera that gets a new id may be one that has an id already."""
    if seen.serial is not None:
        return bool(kin)  # the maker gives every camera one serial number, and only now does it show
    return any(each.id not in connected or each.id in doubtful for each in kin)


def _unused_id(number_hint: int | None, taken: Collection[CameraId]) -> CameraId:
    number = FIRST_UNNUMBERED if number_hint is None else number_hint
    if CameraId(f"camera{number}") in taken and number_hint is not None:
        number = 0
    while CameraId(f"camera{number}") in taken:
        number += 1
    return CameraId(f"camera{number}")
