"""Switches that make the server misbehave as servers do, for tests."""

from dataclasses import dataclass

__all__ = ("Faults",)


@dataclass(slots=True)
class Faults:
    """Set at any time; each is looked at when it matters. See `EmbeddedServer` for what happens at once.

    Attributes:
        write_nothing: a recording is accepted and never reaches the disk, as on a full one.
        apply_delay_s: extra seconds between a write's answer and its effect.
        mute: connections are accepted and requests read, but nothing is answered any more, in HTTP and in RTSP.
    """

    write_nothing: bool = False
    apply_delay_s: float = 0.0
    mute: bool = False
