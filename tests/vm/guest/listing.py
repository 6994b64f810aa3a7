"""Parser of v4l2-ctl's output."""

import re
from pathlib import Path

import anyio

__all__ = ("Rates", "controls_of", "formats_of", "printed")

#: Rates as printed, by format code and size as printed.
Rates = dict[str, dict[str, list[str]]]


async def printed(*argv: str) -> str:
    return (await anyio.run_process(argv)).stdout.decode()


async def formats_of(node: Path) -> Rates:
    """Return the formats, sizes and rates of `--list-formats-ext`, with ranges as text."""
    found: Rates = {}
    for line in (await printed("v4l2-ctl", "-d", str(node), "--list-formats-ext")).splitlines():
        if match := re.match(r"\s*\[\d+\]: '([^']+)'", line):
            sizes = found.setdefault(match[1].rstrip(), {})
        elif match := re.match(r"\s*Size: \w+ (.+)", line):
            rates = sizes.setdefault(match[1], [])
        elif match := re.match(r"\s*Interval: (\w+) (.+)", line):
            rates.append(match[2])
    return found


async def controls_of(node: Path) -> dict[str, dict[str, str]]:
    """Return each control's kind, bounds, value and menu entries of `--list-ctrls-menus`, by name."""
    found: dict[str, dict[str, str]] = {}
    for line in (await printed("v4l2-ctl", "-d", str(node), "--list-ctrls-menus")).splitlines():
        if match := re.match(r"\s*(\w+) 0x[0-9a-f]+ \((\w+)\)\s*: ?(.*)", line):
            control = found.setdefault(match[1], {"kind": match[2]})
            values, _, flags = match[3].partition("flags=")
            control |= {**dict(re.findall(r"(\w+)=(\S+)", values)), "flags": flags}
        elif match := re.match(r"\s+(-?\d+): (.+)", line):
            control[match[1]] = match[2].strip()
    return found
