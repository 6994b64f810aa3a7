"""XML from other hosts, read with limits.

expat does the parsing. A document type is refused as soon as it begins, so there are no entities but the five of XML, and
nothing is ever loaded from elsewhere.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

__all__ = ("Element", "XmlRefused", "parse")

_MOST_BYTES = 512 << 10
_MOST_ELEMENTS = 20_000
#: Answers of cameras have a depth below 20.
_MOST_DEPTH = 64
_SEPARATOR = " "


class XmlRefused(ValueError):
    """Error for a document that is malformed or over a limit. The message is a sentence and quotes no content."""


@dataclass(slots=True)
class Element:
    """Element with its content. `name` has no namespace, because cameras use wrong and old ones.

    Attributes:
        text: all text directly in the element, without blanks around it.
        attributes: values by name, without namespaces.
    """

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def find(self, *path: str) -> "Element | None":
        """Return the first descendant along `path`, names of children of children; None if there is none."""
        if not path:
            return self
        for child in self.children:
            if child.name == path[0] and (found := child.find(*path[1:])) is not None:
                return found
        return None

    def value(self, *path: str) -> str:
        """Return the text of the first descendant along `path`; empty if there is none."""
        found = self.find(*path)
        return found.text if found is not None else ""

    def all(self, name: str) -> Iterator["Element"]:
        """Yield all descendants of that name, in the order of the document."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            if element.name == name:
                yield element
            waiting.extend(reversed(element.children))


def parse(data: bytes) -> Element:
    """Return the root element of a document.

    Raises:
        XmlRefused: the document is malformed, has a document type, or is too large or too deep.
    """
    if len(data) > _MOST_BYTES:
        raise XmlRefused(f"The document is over {_MOST_BYTES} bytes.")
    builder = _Builder()
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.characters
    try:
        parser.Parse(_trimmed(data), True)  # noqa: FBT003 # its only name for the argument is a position
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, XmlRefused):
            raise
        raise XmlRefused("The document is not well-formed XML.") from error
    if builder.root is None:
        raise XmlRefused("The document is empty.")
    return builder.root


def _trimmed(data: bytes) -> bytes:
    """Return the document without the line ends before it and the zero bytes after it, which some cameras send."""
    return data if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else data.strip(b"\0 \t\r\n")


def _refuse_document_type(*_: object) -> None:
    raise XmlRefused("The document has a document type, which is refused.")


class _Builder:
    def __init__(self) -> None:
        self.root: Element | None = None
        self._open: list[Element] = []
        self._texts: list[list[str]] = []
        self._count = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > _MOST_ELEMENTS or len(self._open) >= _MOST_DEPTH:
            raise XmlRefused(
                f"The document has over {_MOST_ELEMENTS} elements or is over {_MOST_DEPTH} deep."
            )
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        self._texts.append([])

    def end(self, _name: str) -> None:
        self._open.pop().text = "".join(self._texts.pop()).strip()

    def characters(self, data: str) -> None:
        if self._texts:
            self._texts[-1].append(data)


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]
