"""Identity of cameras: decisions from the known and the connected ones, without I/O and without a clock.

An identity is certain in three cases:

* By serial number, as long as no two cameras with the same one have been connected at once.
* By an id that the operator chose: it means "the camera that is there".
* For a camera without a serial number at first sight, if every known camera of the same make is connected and certain:
  it cannot be one of them. It stays certain while it is connected.

Any other camera is recognised by its port, or as the only missing one, and is `ambiguous`: a camera that came back to
its port looks like a twin that was plugged in there meanwhile, with the agent running or not.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from agent_core.base.models import CameraId, DetectedCamera, Fingerprint

__all__ = ("FIRST_UNNUMBERED", "Identity", "Known", "identify")

#: First number for cameras without a device number (network, virtual).
FIRST_UNNUMBERED = 100


@dataclass(frozen=True, slots=True)
class Known:
    """Camera in the ledger. `removed`: its source has given it up; its id stays for its return."""

    id: CameraId
    fingerprint: Fingerprint
    name: str
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Identity of a detected camera.

    `moved`: known, but on another port than last time. `ambiguous`: possibly another camera of the same make.
    """

    id: CameraId
    moved: bool = False
    ambiguous: bool = False


def identify(
    detected: DetectedCamera,
    known: Iterable[Known],
    connected: Collection[CameraId] = (),
    doubtful: Collection[CameraId] = (),
) -> Identity:
    """Return the identity of `detected`.

    Args:
        detected: the camera that a source has seen.
        known: the cameras in the ledger.
        connected: ids of the connected cameras.
        doubtful: the ids among them that are ambiguous.
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
    """Return True if both may be the same camera, regardless of ports."""
    if known.source != seen.source or known.serial != seen.serial:
        return False
    return seen.serial is not None or known.descriptor == seen.descriptor


def _recognise(seen: Fingerprint, absent: list[Known], *, alone: bool) -> Identity | None:
    """Return the absent camera that `seen` is or may be; None without one, or if several fit equally well."""
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
        return bool(kin)  # the maker gives all its cameras one serial number, which shows only now
    return any(each.id not in connected or each.id in doubtful for each in kin)


def _unused_id(number_hint: int | None, taken: Collection[CameraId]) -> CameraId:
    number = FIRST_UNNUMBERED if number_hint is None else number_hint
    if CameraId(f"camera{number}") in taken and number_hint is not None:
        number = 0
    while CameraId(f"camera{number}") in taken:
        number += 1
    return CameraId(f"camera{number}")
