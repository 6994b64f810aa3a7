"""Index of stored media: a disposable cache that makes lists, counts and sums cheap. The folders stay the truth."""

from agent_core.media.index.database import INDEX_FILE
from agent_core.media.index.entries import CameraTotals, IndexEntry, OldEntry, Shelf, Totals
from agent_core.media.index.index import MediaIndex
from agent_core.media.index.lister import IndexedLister
from agent_core.media.index.shelves import IndexedShelf

__all__ = (
    "INDEX_FILE",
    "CameraTotals",
    "IndexEntry",
    "IndexedLister",
    "IndexedShelf",
    "MediaIndex",
    "OldEntry",
    "Shelf",
    "Totals",
)
