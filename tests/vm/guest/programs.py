"""Queries of cameras by programs without our code."""

from pathlib import Path

import anyio

__all__ = ("control_values", "listed_formats", "output_of", "udev_properties")


async def output_of(*argv: str | Path) -> str:
    """Return a program's standard output and errors; fail with them if its exit status is not 0."""
    done = await anyio.run_process([str(each) for each in argv], check=False, stderr=-2)
    assert done.returncode == 0, done.stdout.decode()
    return done.stdout.decode()


async def listed_formats(node: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return the output of `v4l2-ctl --list-formats-ext` in its order: ("MJPG", "640x480", ("30.000", "15.000")).

    A continuous range of rates is one text.
    """
    found: list[tuple[str, str, list[str]]] = []
    fourcc = ""
    for line in (await output_of("v4l2-ctl", "-d", node, "--list-formats-ext")).splitlines():
        if "]: '" in line:
            fourcc = line.split("'")[1]
        elif "Size: Discrete" in line:
            found.append((fourcc, line.split()[-1], []))
        elif "Interval:" in line:
            rate = line.partition("(")[2].partition(" fps")[0]
            found[-1][2].append(rate if "Discrete" in line else line.partition("Interval: ")[2])
    return [(fourcc, size, tuple(rates)) for fourcc, size, rates in found]


async def control_values(node: Path) -> dict[str, tuple[int, bool]]:
    """Return the value of each control and whether it is active, as v4l2-ctl prints them."""
    values = {}
    for line in (await output_of("v4l2-ctl", "-d", node, "--list-ctrls")).splitlines():
        name, _, rest = line.strip().partition(" ")
        words = dict(each.split("=", 1) for each in rest.split() if "=" in each)
        if "value" in words:
            values[name] = (int(words["value"]), "inactive" not in words.get("flags", ""))
    return values


async def udev_properties(node: Path) -> dict[str, str]:
    listing = await output_of("udevadm", "info", "--query", "property", "--name", node)
    return dict(line.split("=", 1) for line in listing.splitlines())
