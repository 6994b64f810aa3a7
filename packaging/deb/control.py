"""Writes debian/control, and the maintainer scripts of plugins that have a package of their own."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from textwrap import fill

from contents import Package

__all__ = ("filled", "write_control")

_TEMPLATES = Path(__file__).parent / "plugin.in"
_PLUGIN = "Plugin of the camera agent. It is switched on while this package is installed."
_LIBRARY = "Library of plugins of the camera agent. They depend on it."
#: Debian's longest synopsis.
_SYNOPSIS_LENGTH = 80


def write_control(
    found: Sequence[Package],
    needed: Mapping[str, frozenset[str]],
    debian: Path,
    suggested: Collection[str] = (),
) -> None:
    """Write `debian`/control from control.in, and for each plugin's package its scripts.

    Args:
        found: the packages, the agent's first.
        needed: dependencies of each that its files show.
        debian: folder `debian` of the source tree.
        suggested: names of the plugins' packages that the agent's does not recommend.

    Raises:
        ValueError: a plugin's summary is too long for a package's synopsis.
    """
    agent, *plugins = found
    named = [each.name for each in plugins if each.plugins]
    text = filled(
        debian / "control.in",
        DEPENDS=_listed(agent, needed),
        RECOMMENDS=", ".join(_bound(name) for name in named if name not in suggested),
        SUGGESTS="".join(f"{_bound(name)}, " for name in named if name in suggested),
    )
    for each in plugins:
        role = _PLUGIN if each.plugins else _LIBRARY
        text += filled(
            _TEMPLATES / "control",
            PACKAGE=each.name,
            SUMMARY=_synopsis(each),
            DEPENDS=_listed(each, needed),
            LIBRARIES=_libraries(each),
            ROLE=role,
        )
        for name in ("postinst", "prerm", "README.Debian", "lintian-overrides"):
            (debian / f"{each.name}.{name}").write_text(
                filled(_TEMPLATES / name, PACKAGE=each.name, ROLE=role)
            )
    (debian / "control").write_text(text)
    (debian / "control.in").unlink()


def filled(template: Path, **values: str) -> str:
    """Return the text of `template` with each `@NAME@` replaced by the value of that name."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _bound(name: str) -> str:
    """Return a relation to the package `name` of the same version."""
    return f"{name} (= ${{binary:Version}})"


def _listed(package: Package, needed: Mapping[str, frozenset[str]]) -> str:
    return "".join(f"{name}, " for name in sorted(package.depends | needed[package.name]))


def _libraries(package: Package) -> str:
    libraries = sorted(package.distributions - {package.name})
    return fill(", ".join(libraries) or "none", width=76, subsequent_indent=" ")


def _synopsis(package: Package) -> str:
    """Return the summary as Debian writes a synopsis: in lower case, except for an abbreviation."""
    text = package.summary
    if text[1:2].islower():
        text = text[:1].lower() + text[1:]
    if len(text) > _SYNOPSIS_LENGTH:
        raise ValueError(
            f"{package.name}: the description in pyproject.toml has more than {_SYNOPSIS_LENGTH} characters."
        )
    return text
