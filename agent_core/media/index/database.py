"""The index on disk: one SQLite file with the entries, and their totals by day and by hour, which triggers keep.

These serve two ends: a sum over days replaces one over all entries, and a list that begins deep goes straight to the
day, and in it to the hour, in which it begins. Every method blocks; one thread at a time may use the object.
"""

import os
import sqlite3
import stat
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from agent_core.base.models import CameraId
from agent_core.media.index.entries import LATEST_NS, CameraTotals, IndexEntry, OldEntry, Totals

__all__ = ("INDEX_FILE", "VERSION", "IndexDatabase", "SweptEntry")

#: In the state folder.
INDEX_FILE = "index.sqlite"
#: Of the tables below. A file of another version is removed and built anew.
VERSION = 2
_HOUR_NS = 3600 * 10**9
_DAY_NS = 24 * _HOUR_NS
#: Entries compared or deleted in one step, so that lists need not wait for a whole folder.
_STEP = 1000

_TABLES = """
CREATE TABLE entries (
    kind TEXT NOT NULL, camera TEXT NOT NULL, file TEXT NOT NULL, name TEXT NOT NULL,
    at_ns INTEGER NOT NULL, size_bytes INTEGER NOT NULL, changed_ns INTEGER NOT NULL,
    is_listed INTEGER NOT NULL, is_open INTEGER NOT NULL,
    PRIMARY KEY (kind, camera, file)
) WITHOUT ROWID;
CREATE INDEX newest ON entries (kind, at_ns, name) WHERE is_listed;
CREATE INDEX newest_of_camera ON entries (kind, camera, at_ns, name) WHERE is_listed;
CREATE INDEX open ON entries (kind, camera) WHERE is_open;
CREATE TABLE totals (
    kind TEXT NOT NULL, camera TEXT NOT NULL, span_ns INTEGER NOT NULL, span INTEGER NOT NULL,
    count INTEGER NOT NULL, size_bytes INTEGER NOT NULL,
    PRIMARY KEY (kind, camera, span_ns, span)
) WITHOUT ROWID;
CREATE TABLE folders (
    kind TEXT NOT NULL, camera TEXT NOT NULL, changed_ns INTEGER NOT NULL, PRIMARY KEY (kind, camera)
) WITHOUT ROWID;
CREATE TRIGGER added AFTER INSERT ON entries WHEN new.is_listed BEGIN
    {add}
END;
CREATE TRIGGER removed AFTER DELETE ON entries WHEN old.is_listed BEGIN
    {subtract}
END;
CREATE TRIGGER was_listed AFTER UPDATE ON entries WHEN old.is_listed BEGIN
    {subtract}
END;
CREATE TRIGGER is_listed AFTER UPDATE ON entries WHEN new.is_listed BEGIN
    {add}
END;
"""
#: Adds or subtracts a row of entries, `row`, for its camera and for all, whose name is empty.
_TOTAL = """INSERT INTO totals
        SELECT {row}.kind, column1, column2, ({row}.at_ns + {first}) / column2, {sign}1, {sign}{row}.size_bytes
        FROM (VALUES ('', {day}), ('', {hour}), ({row}.camera, {day}), ({row}.camera, {hour})) WHERE true
        ON CONFLICT (kind, camera, span_ns, span) DO UPDATE SET
        count = count + excluded.count, size_bytes = size_bytes + excluded.size_bytes;"""
_CLEAN = """DELETE FROM totals WHERE kind = old.kind AND camera IN ('', old.camera) AND span_ns IN ({day}, {hour})
        AND span IN ((old.at_ns + {first}) / {day}, (old.at_ns + {first}) / {hour}) AND count = 0;"""
_NUMBERS = {"first": LATEST_NS, "day": _DAY_NS, "hour": _HOUR_NS}


def _tables() -> str:
    add = _TOTAL.format(row="new", sign="", **_NUMBERS)
    subtract = _TOTAL.format(row="old", sign="-", **_NUMBERS) + _CLEAN.format(**_NUMBERS)
    return _TABLES.format(add=add, subtract=subtract)


_PUT = """INSERT INTO entries
    (kind, camera, file, name, at_ns, size_bytes, changed_ns, is_listed, is_open)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (kind, camera, file) DO UPDATE SET name = excluded.name, at_ns = excluded.at_ns,
    size_bytes = excluded.size_bytes, changed_ns = excluded.changed_ns,
    is_listed = excluded.is_listed, is_open = excluded.is_open"""
_OF_KIND, _OF_CAMERA = "kind = :kind", "kind = :kind AND camera = :camera"
_SPANS = (
    "SELECT span, count FROM totals WHERE kind = :kind AND camera = :scope AND span_ns = :span_ns "
    "AND span >= :first AND span < :end ORDER BY span DESC"
)
_PAGE, _PAGE_OF_CAMERA = (
    f"SELECT camera, file FROM entries WHERE {chosen} AND is_listed AND at_ns < :before "  # noqa: S608 - constants
    "ORDER BY at_ns DESC, name DESC LIMIT :limit OFFSET :offset"
    for chosen in (_OF_KIND, _OF_CAMERA)
)
_OLDEST, _OLDEST_OF_CAMERA = (
    "SELECT at_ns, name, camera, file, size_bytes, is_open FROM entries "  # noqa: S608 - constants
    f"WHERE {chosen} AND is_listed AND (at_ns, name) > (:at_ns, :name) AND at_ns < :before "
    "ORDER BY at_ns, name LIMIT :limit"
    for chosen in (_OF_KIND, _OF_CAMERA)
)
_SUM = "SELECT sum(count), sum(size_bytes) FROM totals WHERE kind = ? AND camera = ? AND span_ns = ?"

_SWEPT, _SWEPT_OPEN = (
    f"SELECT camera, file, changed_ns, is_open FROM entries WHERE kind = ? AND (camera, file) > (?, ?){chosen} "  # noqa: S608 - constants
    "ORDER BY camera, file LIMIT ?"
    for chosen in ("", " AND is_open")
)

#: Camera and file of an entry, its `changed_ns`, and True if it is open.
SweptEntry = tuple[CameraId, str, int, bool]


class IndexDatabase:
    """Entries and totals in the SQLite file at `path`.

    The file holds its version only while it is closed in order: one that a crash or a power cut leaves, like one that
    is damaged or of another version, is removed and begun anew. So nothing need be synced while it is open.

    Raises:
        OSError, sqlite3.Error: the file can neither be read nor made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = self._opened()
        except sqlite3.DatabaseError:
            self._db = self._made()

    def _opened(self) -> sqlite3.Connection:
        if not _is_regular(self._path):
            return self._made()
        db = _connected(self._path)
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version != VERSION or db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("it is damaged, of another version, or was not closed")
            _sign(db, 0)
        except sqlite3.Error:
            db.close()
            raise
        return db

    def _made(self) -> sqlite3.Connection:
        for each in (self._path, self._path.with_name(self._path.name + "-journal")):
            each.unlink(missing_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        db = _connected(self._path)
        try:
            db.executescript(_tables())
        except sqlite3.Error:
            db.close()
            raise
        return db

    def close(self) -> None:
        """Write everything, sign the file with its version, and close it. Never raises: an unsigned file is made anew."""
        with suppress(sqlite3.Error, OSError):
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            _sign(self._db, VERSION)
        self.abandon()

    def abandon(self) -> None:
        """Close the file unsigned, so that it is made anew."""
        with suppress(sqlite3.Error):
            self._db.close()

    def put(
        self, kind: str, camera: CameraId, files: Iterable[str], looked: Iterable[IndexEntry | None]
    ) -> None:
        """Take over what was seen of some files of a camera; None for one that is not there, or is not listed."""
        with self._db:
            for file, entry in zip(files, looked, strict=True):
                if entry is None and _is_unicode(file):  # no other name was ever put
                    self._db.execute(
                        "DELETE FROM entries WHERE kind = ? AND camera = ? AND file = ?", (kind, camera, file)
                    )
                elif entry is not None:
                    self._db.execute(_PUT, _row(kind, camera, entry))

    def reconcile(
        self,
        kind: str,
        camera: CameraId,
        found: Sequence[IndexEntry],
        *,
        after: str,
        to: str | None,
        fresh: Collection[str],
    ) -> str | None:
        """Make the entries with files from `after` (exclusive) to `to` (inclusive; None: the end) those that were found.

        Writes only what differs. Leaves `fresh` files alone: they were looked at after the search began.

        Returns:
            The file up to which that was done, if more is left: one step takes some milliseconds; else None.
        """
        step = self._db.execute(
            "SELECT file FROM entries WHERE kind = ? AND camera = ? AND file > ? AND (? IS NULL OR file <= ?) "
            "ORDER BY file LIMIT 1 OFFSET ?",
            (kind, camera, after, to, to, _STEP),
        ).fetchone()
        if step is not None:
            to = step[0]
        found = [each for each in found if each.file > after and (to is None or each.file <= to)]
        self._reconcile(kind, camera, found, after=after, to=to, fresh=fresh)
        return None if step is None else str(step[0])

    def _reconcile(
        self,
        kind: str,
        camera: CameraId,
        found: Sequence[IndexEntry],
        *,
        after: str,
        to: str | None,
        fresh: Collection[str],
    ) -> None:
        rows = self._db.execute(
            "SELECT file, name, at_ns, size_bytes, changed_ns, is_listed, is_open FROM entries "
            "WHERE kind = ? AND camera = ? AND file > ? AND (? IS NULL OR file <= ?)",
            (kind, camera, after, to, to),
        )
        known = {
            file: IndexEntry(file, name, at_ns, size_bytes, changed_ns, bool(is_listed), bool(is_open))
            for file, name, at_ns, size_bytes, changed_ns, is_listed, is_open in rows
        }
        new = {each.file: each for each in found if each.file not in fresh}
        gone = known.keys() - {each.file for each in found} - set(fresh)
        different = [file for file, entry in new.items() if known.get(file) != entry]
        self.put(
            kind, camera, (*gone, *different), (*(None for _ in gone), *(new[each] for each in different))
        )

    def clear_some(self, kind: str, camera: CameraId) -> bool:
        """Delete some entries of a camera whose folder is gone; return False if there were none left."""
        with self._db:
            self._db.execute("DELETE FROM folders WHERE kind = ? AND camera = ?", (kind, camera))
            cursor = self._db.execute(
                "DELETE FROM entries WHERE kind = ?1 AND camera = ?2 AND file IN "
                "(SELECT file FROM entries WHERE kind = ?1 AND camera = ?2 LIMIT ?3)",
                (kind, camera, _STEP),
            )
            return cursor.rowcount > 0

    def page(
        self, kind: str, camera: CameraId | None, *, offset: int, limit: int
    ) -> tuple[list[tuple[CameraId, str]], int]:
        """Return camera and file of up to `limit` entries from `offset` on, newest first; and the number of all."""
        total = self.totals(kind, camera).count
        if offset >= total:
            return [], total
        day, passed = self._span_at(kind, camera, _DAY_NS, offset, 0, LATEST_NS)
        hour, more = self._span_at(kind, camera, _HOUR_NS, offset - passed, 24 * day, 24 * day + 24)
        wanted = {
            "kind": kind,
            "camera": camera,
            "before": (hour + 1) * _HOUR_NS - LATEST_NS,
            "limit": limit,
            "offset": offset - passed - more,
        }
        rows = self._db.execute(_PAGE_OF_CAMERA if camera else _PAGE, wanted)
        return [(CameraId(camera), file) for camera, file in rows], total

    def _span_at(
        self, kind: str, camera: CameraId | None, span_ns: int, offset: int, first: int, end: int
    ) -> tuple[int, int]:
        """Return the span with the entry at `offset`, newest first, and the number of entries before that span."""
        chosen = {"kind": kind, "scope": camera or "", "span_ns": span_ns, "first": first, "end": end}
        passed = 0
        for span, count in self._db.execute(_SPANS, chosen):
            if passed + count > offset:
                return span, passed
            passed += count
        raise sqlite3.DatabaseError("the totals do not fit the entries")

    def totals(self, kind: str, camera: CameraId | None = None) -> Totals:
        """Return the totals of a kind, or of one camera's files of it."""
        count, size_bytes = self._db.execute(_SUM, (kind, camera or "", _DAY_NS)).fetchone()
        return Totals(count or 0, size_bytes or 0)

    def camera_totals(self, kind: str) -> dict[CameraId, CameraTotals]:
        """Return the totals of each camera that has files of a kind."""
        query = (
            "SELECT camera, count(*) FROM entries WHERE kind = ? AND is_open AND is_listed GROUP BY camera"
        )
        opened: dict[str, int] = dict(self._db.execute(query, (kind,)))
        query = "SELECT camera, sum(count) FROM totals WHERE kind = ? AND camera <> '' AND span_ns = ? GROUP BY camera"
        rows = self._db.execute(query, (kind, _DAY_NS))
        return {CameraId(camera): CameraTotals(count, opened.get(camera, 0)) for camera, count in rows}

    def oldest(
        self, kind: str, camera: CameraId | None, *, after: tuple[int, str], before_ns: int, limit: int
    ) -> list[OldEntry]:
        """Return up to `limit` entries in the order of time, then name: those after `after`, earlier than `before_ns`."""
        wanted = {
            "kind": kind,
            "camera": camera,
            "at_ns": after[0],
            "name": after[1],
            "before": before_ns,
            "limit": limit,
        }
        rows = self._db.execute(_OLDEST_OF_CAMERA if camera else _OLDEST, wanted)
        return [OldEntry(*row) for row in rows]

    def swept(
        self, kind: str, *, after: tuple[str, str], limit: int, only_open: bool = False
    ) -> list[SweptEntry]:
        """Return up to `limit` entries after a camera and file, in their order; only those that are open, if so asked."""
        rows = self._db.execute(_SWEPT_OPEN if only_open else _SWEPT, (kind, *after, limit))
        return [(CameraId(row[0]), row[1], row[2], bool(row[3])) for row in rows]

    def open_files(self, kind: str) -> list[tuple[CameraId, str]]:
        """Return camera and file of each open entry."""
        rows = self._db.execute("SELECT camera, file FROM entries WHERE kind = ? AND is_open", (kind,))
        return [(CameraId(camera), file) for camera, file in rows]

    def folders(self, kind: str) -> dict[CameraId, int]:
        """Return the times of modification (ns) of the cameras' folders, as they were when their entries were right."""
        rows = self._db.execute("SELECT camera, changed_ns FROM folders WHERE kind = ?", (kind,))
        return {CameraId(camera): changed_ns for camera, changed_ns in rows}

    def cameras(self, kind: str) -> set[CameraId]:
        """Return the cameras with entries or with a known folder."""
        query = "SELECT camera FROM folders WHERE kind = ?1 UNION SELECT camera FROM totals WHERE kind = ?1 AND camera <> ''"
        return {CameraId(row[0]) for row in self._db.execute(query, (kind,))}

    def keep_folder(self, kind: str, camera: CameraId, changed_ns: int | None) -> None:
        """Remember the time of a folder whose entries are right; None if that is no longer certain."""
        with self._db:
            if changed_ns is None:
                self._db.execute("DELETE FROM folders WHERE kind = ? AND camera = ?", (kind, camera))
            else:
                self._db.execute("REPLACE INTO folders VALUES (?, ?, ?)", (kind, camera, changed_ns))


def _row(kind: str, camera: CameraId, entry: IndexEntry) -> tuple[object, ...]:
    return (
        kind,
        camera,
        entry.file,
        entry.name,
        entry.at_ns,
        entry.size_bytes,
        entry.changed_ns,
        entry.is_listed,
        entry.is_open,
    )


def _is_unicode(name: str) -> bool:
    """Return False for a name with bytes that are not UTF-8, which SQLite takes as no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_regular(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def _connected(path: Path) -> sqlite3.Connection:
    """Connect without any sync; the index is made anew after a crash."""
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA synchronous = OFF")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _sign(db: sqlite3.Connection, version: int) -> None:
    """Write the version and sync the file."""
    db.execute("PRAGMA synchronous = FULL")
    db.execute(f"PRAGMA user_version = {version:d}")
    db.execute("PRAGMA synchronous = OFF")
