"""Pages of lists."""

from collections.abc import Mapping

from embedded_server.config.gotext import ConfigRefused, Json

__all__ = ("page",)

_MAX = 2**31 - 1
#: Zeros in front included; Python refuses to read numbers of thousands of digits.
_MAX_DIGITS = 100


def page(query: Mapping[str, str], items: list[Json]) -> Json:
    """The page that `query` asks for; one past the end is empty.

    Raises:
        ConfigRefused: `itemsPerPage` or `page` is no number that serves.
    """
    size = _number(query.get("itemsPerPage", "100"))
    if size == 0:
        raise ConfigRefused("invalid items per page")
    start = _number(query.get("page", "0")) * size
    return {
        "itemCount": len(items),
        "pageCount": -(-len(items) // size),
        "items": items[start : start + size],
    }


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigRefused(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if len(text) > _MAX_DIGITS or int(text) > _MAX:
        raise ConfigRefused(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)
