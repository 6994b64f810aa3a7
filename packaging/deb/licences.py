"""Writes debian/copyright of a package from licences.toml and from the licence files of the wheels in it."""

import json
import re
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

__all__ = ("LIBRARY", "Bundled", "Licences", "Recipe", "copyright_file")

_HERE = Path(__file__).parent
_SITE = "usr/lib/camera-agent/site-packages"
#: Licences that Debian has on every machine, by SPDX identifier.
_COMMON = {
    "Apache-2.0": "Apache-2.0",
    "GPL-2.0-or-later": "GPL-2",
    "GPL-3.0-or-later": "GPL-3",
    "LGPL-2.0-or-later": "LGPL-2",
    "LGPL-2.1-or-later": "LGPL-2.1",
    "LGPL-3.0-or-later": "LGPL-3",
    "MPL-2.0": "MPL-2.0",
}
_LICENCE_FILE = re.compile(
    r"[^/]+\.dist-info/(licen[cs]es/.*|)(LICEN[CS]E|COPYING|NOTICE|E[DP]L-V)[^/]*", re.IGNORECASE
)
_COMMON_TEXT = re.compile(
    r"\s*(GNU (LESSER |LIBRARY )?GENERAL PUBLIC LICENSE|Apache License|Mozilla Public License)", re.IGNORECASE
)
#: Whole licences that occur within other licence files, by the licence.
_WHOLE = {
    licence: re.compile(
        rf"^\s*{title}.*?END OF TERMS AND CONDITIONS", re.DOTALL | re.MULTILINE | re.IGNORECASE
    )
    for licence, title in (
        ("Apache-2.0", r"Apache License\s+Version 2\.0, January 2004"),
        ("LGPL-2.1-or-later", r"GNU Lesser General Public License\s+Version 2\.1, February 1999"),
    )
}
_HOLDER = re.compile(r"^\W*(Copyright\b.*\d{4}.*|Copyright (?:\(c\)|©).+)$", re.IGNORECASE | re.MULTILINE)
#: Path of a shared library in a wheel; the group is its name up to the hash.
LIBRARY = re.compile(r"[^/]+\.libs/(.+?)(?:-[0-9a-f]{8})?\.so(?:\.[\d.]+)?")


@dataclass(frozen=True, slots=True)
class Bundled:
    """Shared libraries of one project that a wheel brings along.

    Attributes:
        wheel: canonical name of the distribution.
        files: names of the libraries, up to the hash.
        licence: SPDX expression.
        source: address of the source, of the very version if `sha256` is given.
        holders: those of the copyright.
        texts_in: the wheel whose licence file has the texts.
        note: more for the copyright file.
        sha256: of what `source` names.
        marks: words that the compiled files of this version contain, by library.
    """

    wheel: str
    files: tuple[str, ...]
    licence: str
    source: str
    holders: tuple[str, ...]
    texts_in: str | None = None
    note: str = ""
    sha256: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Recipe that the shared libraries of a wheel were built by.

    Attributes:
        version: that of the wheel.
        source: address of the recipe.
        named_by: place that names the recipe.
        others: sources that the recipe uses besides those of the libraries, as pairs of address and SHA-256.
    """

    version: str
    source: str
    named_by: str
    others: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Licences:
    """Content of licences.toml."""

    distributions: Mapping[str, str]
    libraries: tuple[Bundled, ...]
    recipes: Mapping[str, Recipe] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = _HERE / "licences.toml") -> "Licences":
        """Read the file."""
        content = tomllib.loads(path.read_text())
        libraries = (
            Bundled(**{**each, "files": tuple(each["files"]), "holders": tuple(each["holders"])})
            for each in content["libraries"]
        )
        recipes = {
            name: Recipe(
                **{**each, "others": tuple((other["source"], other["sha256"]) for other in each["others"])}
            )
            for name, each in content.get("recipes", {}).items()
        }
        return cls(content["distributions"], tuple(libraries), recipes)


def copyright_file(
    package: str,
    wheels: Sequence[Path],
    own: Iterable[str],
    licences: Licences,
    bundled: Sequence[Path] = (),
) -> str:
    """Return the text of debian/copyright for a package.

    Args:
        package: name of the Debian package.
        wheels: what is unpacked in it.
        own: canonical names of this project's distributions, which need no entry in licences.toml.
        licences: content of licences.toml.
        bundled: wheels that it contains as they are.

    Raises:
        ValueError: a distribution or a bundled library has no entry, or a wheel contradicts its entry.
    """
    own = frozenset(own)
    described: dict[str, _Wheel] = {}
    for path in sorted((*wheels, *bundled)):
        read = _Wheel.read(path, is_unpacked=path not in bundled)
        described.setdefault(read.name, read)
    paragraphs = [_header(package)]
    for name, wheel in sorted(described.items(), key=lambda item: (item[0] not in own, item[0])):
        expression = wheel.expression if name in own else licences.distributions.get(name)
        if expression is None:
            raise ValueError(f"packaging/deb/licences.toml has no licence of {name}. Read it and add it.")
        if wheel.expression not in (expression, None):
            raise ValueError(
                f"{name} is now under {wheel.expression}, not {expression}. Read it and change licences.toml."
            )
        paragraphs.append(wheel.paragraph(expression, licences.recipes.get(name)))
        paragraphs.extend(_library_paragraphs(wheel, licences))
    return "\n".join(paragraphs)


@dataclass(frozen=True, slots=True)
class _Wheel:
    """Metadata and licence files of a wheel."""

    name: str
    metadata: Message
    path: Path
    is_unpacked: bool
    names: tuple[str, ...]
    texts: Mapping[str, str]
    linked: tuple[str, ...]

    @classmethod
    def read(cls, path: Path, *, is_unpacked: bool) -> "_Wheel":
        with zipfile.ZipFile(path) as archive:
            names = tuple(archive.namelist())
            description = next(each for each in names if each.endswith(".dist-info/METADATA"))
            metadata = Parser().parsestr(archive.read(description).decode())
            texts = {
                each: archive.read(each).decode(errors="replace")
                for each in names
                if _LICENCE_FILE.fullmatch(each)
            }
            boms = [json.loads(archive.read(each)) for each in names if each.endswith(".cyclonedx.json")]
        return cls(
            name=canonicalize_name(metadata["Name"]),
            metadata=metadata,
            path=path,
            is_unpacked=is_unpacked,
            names=names,
            texts=texts,
            linked=tuple(_components(boms)),
        )

    @property
    def expression(self) -> str | None:
        """The licence as the metadata gives it; None if they have prose or nothing."""
        expression: str | None = self.metadata["License-Expression"]
        return expression

    def paragraph(self, expression: str, recipe: Recipe | None) -> str:
        comment = [f"{self.metadata['Name']} {self.metadata['Version']}."]
        source = _source(self.metadata)
        if source:
            comment.append(f"Source: {source}")
        if self.linked:
            comment.append(f"Linked in: {', '.join(self.linked)}.")
        if recipe is not None:
            comment.append(f"Recipe of its shared libraries, with patches: {recipe.source}")
            comment.append(f"Which recipe it is says {recipe.named_by}.")
            comment.extend(f"Compiled in: {url}" for url, _ in recipe.others)
        return _paragraph(self._patterns(), self._holders(), expression, self._text(expression), comment)

    def _patterns(self) -> list[str]:
        """Return where the wheel's files are in the package, without its shared libraries."""
        if not self.is_unpacked:
            return [f"usr/lib/camera-agent/wheels/{self.path.name}"]
        tops = sorted({each.partition("/")[0] for each in self.names})
        folders = {each.partition("/")[0] for each in self.names if "/" in each}
        return [
            f"{_SITE}/{each}/*" if each in folders else f"{_SITE}/{each}"
            for each in tops
            if not each.endswith(".libs")
        ]

    def _holders(self) -> list[str]:
        found: dict[str, None] = {}
        for text in self.texts.values():
            if not _COMMON_TEXT.match(text):
                found.update(
                    dict.fromkeys(" ".join(each.split()) for each in _HOLDER.findall(_abridged(text)))
                )
        authors = [self.metadata[key] for key in ("Author", "Author-email", "Maintainer", "Maintainer-email")]
        return list(found) or [f"the authors: {each}" for each in authors if each][:1] or ["the authors"]

    def _text(self, expression: str) -> str:
        parts = [_common_text(each) for each in _identifiers(expression) if each in _COMMON]
        for name, text in self.texts.items():
            if not _COMMON_TEXT.match(text):
                below = name.partition(".dist-info/")[2].removeprefix("licenses/")
                heading = f"{below}:\n\n" if len(self.texts) > 1 else ""
                parts.append(heading + _abridged(text))
        return "\n\n".join(parts)


def _library_paragraphs(wheel: _Wheel, licences: Licences) -> Iterator[str]:
    """Yield the paragraphs of the shared libraries that `wheel` brings along. Raises ValueError."""
    present = {match[1] for name in wheel.names if (match := LIBRARY.fullmatch(name))}
    entries = [each for each in licences.libraries if each.wheel == wheel.name]
    unknown = sorted(present - {name for each in entries for name in each.files})
    if unknown:
        raise ValueError(
            f"packaging/deb/licences.toml has no licence of {', '.join(unknown)} in {wheel.name}. Read and add it."
        )
    for each in entries:
        here = [name for name in each.files if name in present]
        if not here:
            continue
        patterns = [f"{_SITE}/*.libs/{name}{ending}" for name in here for ending in ("-*", ".*")]
        if each.texts_in is None:
            text = "\n\n".join(_known_text(identifier) for identifier in _identifiers(each.licence))
        else:
            text = f"The text is in the licence file of {each.texts_in}, above."
        holders = [f"Copyright {holder}" for holder in each.holders]
        comment = [*([each.note] if each.note else []), f"Source: {each.source}"]
        if each.sha256:
            comment.append(f"SHA-256 of the source: {each.sha256}")
        yield _paragraph(patterns, holders, each.licence, text, comment)


def _header(package: str) -> str:
    return (_HERE / "copyright.header").read_text().replace("@PACKAGE@", package)


def _identifiers(expression: str) -> list[str]:
    return re.split(r" (?:OR|AND) ", expression)


def _common_text(identifier: str) -> str:
    return (
        f"On Debian systems, the text of this licence is in /usr/share/common-licenses/{_COMMON[identifier]}."
    )


def _abridged(text: str) -> str:
    """Return `text` with a reference for each whole licence in it that Debian has."""
    for identifier, whole in _WHOLE.items():
        text = whole.sub(_common_text(identifier), text)
    return text


def _known_text(identifier: str) -> str:
    if identifier in _COMMON:
        return _common_text(identifier)
    return (_HERE / "licences" / f"{identifier}.txt").read_text()


def _source(metadata: Message) -> str | None:
    """Return the address of the source, else of the home page."""
    urls = {}
    for entry in metadata.get_all("Project-URL", []):
        label, _, url = entry.partition(",")
        urls[label.strip().lower()] = url.strip()
    for label in ("source", "source code", "repository", "homepage"):
        if label in urls:
            return urls[label]
    home: str | None = metadata["Home-page"]
    return home


def _components(boms: Iterable[Any]) -> Iterator[str]:
    """Yield name, version and licence of what is linked into extension modules, from bills of materials."""
    for bom in boms:
        for each in bom.get("components", ()):
            licences = [
                entry.get("expression") or entry["license"]["id"] for entry in each.get("licenses", ())
            ]
            yield f"{each['name']} {each.get('version', '')} ({', '.join(licences) or 'no licence given'})"


def _paragraph(
    patterns: Iterable[str], holders: Iterable[str], expression: str, text: str, comment: Iterable[str]
) -> str:
    short = expression.replace(" OR ", " or ").replace(" AND ", " and ")
    return (
        f"Files: {_continued(patterns)}\n"
        f"Copyright: {_continued(holders)}\n"
        f"License: {short}\n{_indented(text)}"
        f"Comment: {_continued(' '.join(each.split()) for each in comment)}\n"
    )


def _continued(lines: Iterable[str]) -> str:
    return "\n ".join(lines)


def _indented(text: str) -> str:
    lines = (line.rstrip().expandtabs() for line in text.strip("\n\f").splitlines())
    return "".join(f" {line.strip(chr(12)) or '.'}\n" for line in lines)
