"""HTTP routes for health, metrics and files."""

from collections.abc import Awaitable, Callable, Sequence
from email.utils import formatdate
from functools import partial
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from agent_core.auth.links import DownloadLinks
from agent_core.auth.live import LiveAccess
from agent_core.base.errors import AgentError, NotFound
from agent_core.base.metrics import Collected
from agent_core.base.waiting import first_of
from agent_core.base.workers import WorkerPool
from agent_core.media.downloads import Described, Opened, Served
from agent_core.web.access import FileAccess, Gate, require
from agent_core.web.answers import Revocable, handle_error, wait_gone
from agent_core.web.ranges import Answer, answer_for

__all__ = ("CollectMetrics", "OpenDownload", "OpenThumbnail", "web_app")

#: Kind of the files that may have to be made first.
_THUMBNAILS = "thumbnails"
#: Kinds of files; each may be on a disk of its own.
_KINDS = ("snapshots", "recordings", _THUMBNAILS)
#: Worker threads for files of one kind.
_THREADS = 8
#: Bytes read from a file at once, in a worker thread.
_CHUNK_BYTES = 256 * 1024

_Endpoint = Callable[[Request], Awaitable[Response]]
#: Returns the present values of all metrics, from memory.
CollectMetrics = Callable[[], Awaitable[Sequence[Collected]]]
#: Opens a file by kind and name; raises NotFound, StorageFailed or Unsupported. Runs in a worker thread.
OpenDownload = Callable[[str, str], tuple[Served, Opened]]
#: Opens a thumbnail by name, and makes it if there is none; raises as `OpenDownload`, and RateLimited.
OpenThumbnail = Callable[[str], Awaitable[tuple[Described, Opened]]]
_OpenFile = Callable[[], Awaitable[tuple[Described, Opened]]]


def web_app(
    *,
    ready: Callable[[], bool],
    metrics: CollectMetrics,
    gate: Gate,
    links: DownloadLinks,
    live: LiveAccess,
    open_download: OpenDownload,
    open_thumbnail: OpenThumbnail | None = None,
    more: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return the application with `/healthz`, `/readyz`, `/metrics`, `/files/<kind>/<name>` and further routes.

    Args:
        ready: returns True once the agent is ready; called for each `/readyz`, must not block.
        metrics: returns the values for `/metrics`, which only admins may read.
        gate: checks credentials; files need the role viewer or a signed link.
        links: checks signed links.
        live: ends downloads whose credentials are revoked.
        open_download: opens a file by kind, `snapshots` or `recordings`, and name; may block.
        open_thumbnail: opens or makes a thumbnail, of the kind `thumbnails`; cancelled when the client leaves. Default:
            there are none.
        more: further routes, which answer their errors themselves.
    """
    served = _FileRoute(FileAccess(gate, links, live), open_download, open_thumbnail or _no_thumbnail)
    app = Starlette(
        routes=[
            Route("/healthz", _healthz),
            Route("/readyz", _readyz(ready)),
            Route("/metrics", _metrics(metrics, gate, live)),
            Route("/files/{kind}/{name:path}", served.answer),
            *more,
        ],
        exception_handlers={AgentError: handle_error},
    )
    # A redirect would lead to the host that the request names, which may be any.
    app.router.redirect_slashes = False
    return app


async def _no_thumbnail(name: str) -> tuple[Described, Opened]:
    raise NotFound(f"There is no such file: {name[:100]!r}.", resource="file", id=name)


async def _healthz(_request: Request) -> Response:
    return JSONResponse({"status": "alive"})


def _readyz(ready: Callable[[], bool]) -> _Endpoint:
    async def answer(_request: Request) -> Response:
        if ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "starting"}, status_code=503)

    return answer


def _metrics(metrics: CollectMetrics, gate: Gate, live: LiveAccess) -> _Endpoint:
    # One at a time: a second scraper waits, and neither holds up the event loop.
    thread = WorkerPool(1)

    async def answer(request: Request) -> Response:
        principal = await require(request, gate, "admin")
        return Revocable(_Metrics(metrics, thread), live, partial(gate.is_current, principal.credential))

    return answer


class _Metrics(Response):
    """Response to `/metrics`, whose values are collected once it is sent."""

    def __init__(self, metrics: CollectMetrics, thread: WorkerPool) -> None:
        super().__init__()
        self._metrics = metrics
        self._thread = thread

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        accept = ",".join(Request(scope).headers.getlist("accept"))
        body, media_type = await self._thread.run(_rendered, await self._metrics(), accept)
        headers = {"content-type": media_type, "cache-control": "no-store", "vary": "accept"}
        await Response(body, headers=headers)(scope, receive, send)


def _rendered(collected: Sequence[Collected], accept: str) -> tuple[bytes, str]:
    """Return body and media type of `/metrics`. The first call loads prometheus-client."""
    from agent_core.web.exposition import render

    return render(collected, accept)


class _FileRoute:
    """Route of `/files/<kind>/<name>`. A refusal does not reveal if the file exists."""

    def __init__(
        self, access: FileAccess, open_download: OpenDownload, open_thumbnail: OpenThumbnail
    ) -> None:
        self._access = access
        self._open_download = open_download
        self._open_thumbnail = open_thumbnail
        self._threads = {kind: WorkerPool(_THREADS) for kind in _KINDS}

    async def answer(self, request: Request) -> Response:
        kind, name = request.path_params["kind"], request.path_params["name"]
        # The pattern of a route leaves out a last line feed.
        is_whole = request.scope["path"] == f"/files/{kind}/{name}"
        is_current = await self._access.require(request, kind, name)
        if kind not in self._threads or not is_whole:
            raise NotFound(f"There is no such file: {name[:100]!r}.", resource="file", id=name)
        threads = self._threads[kind]
        if kind == _THUMBNAILS:
            open_file: _OpenFile = partial(self._open_thumbnail, name)
        else:
            open_file = partial(threads.run, self._open_download, kind, name)
        download = _Download(open_file, threads, request=request, kind=kind)
        return Revocable(download, self._access.live, is_current)


class _Download(Response):
    """Response to a request for a file, open while the response lasts."""

    def __init__(self, open_file: _OpenFile, threads: WorkerPool, *, request: Request, kind: str) -> None:
        super().__init__()
        self._open = open_file
        self._threads = threads
        self._request = request
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = await _unless_gone(self._open, receive)
        if found is None:
            return
        served, opened = found
        with opened:
            answer = _FileResponse(served, opened, self._threads, request=self._request, kind=self._kind)
            await answer(scope, receive, send)


async def _unless_gone(open_file: _OpenFile, receive: Receive) -> tuple[Described, Opened] | None:
    """Return the open file; None if the client has left before."""
    found: tuple[Described, Opened] | None = None
    problem: AgentError | None = None

    async def opening() -> None:
        nonlocal found, problem
        # anyio delivers no cancellation between the thread's end and the next line, so the file always has an owner.
        try:
            found = await open_file()
        except AgentError as error:
            problem = error  # a task group would wrap it

    await first_of(partial(wait_gone, receive), opening)
    if problem is not None:
        raise problem
    return found


class _FileResponse(Response):
    """Response with the content that the file had when it was opened; a recording may grow meanwhile."""

    def __init__(
        self, served: Described, opened: Opened, threads: WorkerPool, *, request: Request, kind: str
    ) -> None:
        self._opened = opened
        self._threads = threads
        self._answer = answer_for(
            request.headers, size_bytes=opened.size_bytes, etag=opened.etag, modified_s=opened.modified_s
        )
        # A response without content has no media type or length.
        super().__init__(
            status_code=self._answer.status, headers=_headers(served, opened, self._answer, kind)
        )
        del self.headers["content-length"]
        if self._answer.status != 304:
            self.headers["content-length"] = str(self._answer.size_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        # Without `wait_gone` a download would be read to its end for a peer that has left.
        await first_of(partial(wait_gone, receive), partial(self._send_body, send))

    async def _send_body(self, send: Send) -> None:
        offset = self._answer.start
        while offset < self._answer.stop:
            wanted = min(_CHUNK_BYTES, self._answer.stop - offset)
            chunk = await self._threads.run(self._opened.read, offset, wanted)
            if not chunk:
                return  # The file was truncated meanwhile; an unfinished response closes the connection.
            offset += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _headers(served: Described, opened: Opened, answer: Answer, kind: str) -> dict[str, str]:
    headers = {
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": f"attachment; filename*=UTF-8''{quote(served.download_name, safe='')}",
        "etag": opened.etag,
        "last-modified": formatdate(opened.modified_s, usegmt=True),
        "x-content-type-options": "nosniff",
    }
    if answer.status in (200, 206):
        headers["content-type"] = served.media_type
    if answer.status == 206:
        headers["content-range"] = f"bytes {answer.start}-{answer.stop - 1}/{opened.size_bytes}"
    if answer.status == 416:
        headers["content-range"] = f"bytes */{opened.size_bytes}"
    if served.next_name is not None:
        headers["link"] = f'</files/{kind}/{quote(served.next_name)}>; rel="next"'
    return headers
