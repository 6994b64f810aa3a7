"""Colours of cameras' pictures."""

__all__ = ("BLUE", "RED", "Colour", "is_near")

Colour = tuple[int, int, int]
RED: Colour = (200, 30, 30)
BLUE: Colour = (30, 30, 200)


def is_near(one: Colour, other: Colour, within: int = 40) -> bool:
    """Return True if two colours look alike; JPEG changes them a little."""
    return all(abs(here - there) <= within for here, there in zip(one, other, strict=True))
