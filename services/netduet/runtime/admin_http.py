"""The admin port: probes, metrics and the version over HTTP.

It runs in the process's own event loop on purpose: a loop that is stuck does not answer
``/livez``. Pages are made on request; any other path is a 404.

The number of connections is bounded: another one ends that which has waited longest for
a request, so whoever connects and asks gets an answer, however many are silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
import uvicorn
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from uvicorn.protocols.http.h11_impl import H11Protocol

from netduet import __version__
from netduet.runtime.process_metrics import process_registry
from netduet.wire.frames import VERSION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    Scope = Mapping[str, Any]
    Receive = Callable[[], Awaitable[Mapping[str, Any]]]
    Send = Callable[[dict[str, Any]], Awaitable[None]]

_TEXT: Final = "text/plain; charset=utf-8"
_READS: Final = ("GET", "HEAD")
MAX_CONNECTIONS: Final = 32
"""Maximum number of concurrent connections."""
_BACKLOG: Final = 64
"""Length of the accept queue."""
_REQUEST_SECONDS: Final = 5
"""Seconds from the accept, or the last response, to the next response."""
_MAX_REQUEST_BYTES: Final = 16 * 1024
_LAST_TURNS: Final = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: status, body and media type."""

    status: int
    body: bytes
    type: str = _TEXT


Page = Callable[[str], Answer]
"""Makes a page from the request's Accept field (RFC 9110 §12.5.1)."""


def metrics(collector: Collector) -> Page:
    """Return the page of a collector's metrics and the process metrics."""
    registry = process_registry(collector)

    def page(accept: str) -> Answer:
        encode, kind = choose_encoder(accept)
        return Answer(200, encode(registry), kind)

    return page


def probe(is_met: Callable[[], bool], yes: str, no: str) -> Page:
    """Return the page of a probe: 200 while the condition is met, else 503."""
    return lambda _: Answer(200, _line(yes)) if is_met() else Answer(503, _line(no))


def version(service: str, instance: str, **node_and_zone: str) -> Page:
    """Return the version page, in JSON; an unknown node or zone is omitted."""
    facts = {"version": __version__, "service": service, "instance": instance}
    known = {name: value for name, value in node_and_zone.items() if value}
    body = orjson.dumps(facts | known | {"protocol": VERSION}) + b"\n"
    return lambda _: Answer(200, body, "application/json")


@contextlib.asynccontextmanager
async def admin_port(
    sockets: list[socket.socket],
    pages: Mapping[str, Page],
    wrap: Callable[[asyncio.Protocol], asyncio.Protocol] | None = None,
) -> AsyncIterator[None]:
    """Serve the pages by path on listening sockets; close the sockets at the end.

    ``wrap`` puts TLS around each connection.
    """
    config = uvicorn.Config(
        _Application(pages),
        log_config=None,
        log_level="error",  # a bad request is no reason for a line
        access_log=False,
        lifespan="off",
        ws="none",
        http=_AdminConnection if wrap is None else _wrapped(wrap),
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_REQUEST_SECONDS,
        h11_max_incomplete_event_size=_MAX_REQUEST_BYTES,
    )
    server = _Uvicorn(config)
    running = asyncio.create_task(server.serve(sockets=sockets))
    try:
        await server.ready.wait()
        yield
    finally:
        # Not should_exit, after which uvicorn waits for its connections.
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.close()
        for sock in sockets:
            sock.close()


def _wrapped(
    wrap: Callable[[asyncio.Protocol], asyncio.Protocol],
) -> type[asyncio.Protocol]:
    """Return what uvicorn takes for the class of a connection."""

    def make(*arguments: Any, **named: Any) -> asyncio.Protocol:
        return wrap(_AdminConnection(*arguments, **named))

    return cast("type[asyncio.Protocol]", make)


class _AdminConnection(H11Protocol):
    """An HTTP connection, of a bounded number and with a deadline for each request.

    uvicorn bounds neither: its ``limit_concurrency`` answers requests with a 503, and
    keeps who makes none.
    """

    _waiting_since: float
    _deadline: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request; make room for this connection if there are too many."""
        super().connection_made(transport)
        self._expect_request()
        if len(self.connections) > MAX_CONNECTIONS:
            others = (other for other in self.connections if other is not self)
            oldest = min(
                cast("Iterable[_AdminConnection]", others),
                key=lambda other: other._waiting_since,
            )
            oldest.transport.abort()
            self.connections.discard(oldest)

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline."""
        self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._deadline.cancel()
        self._expect_request()
        super().on_response_complete()

    def _expect_request(self) -> None:
        self._waiting_since = now = self.loop.time()
        self._deadline = self.loop.call_at(now + _REQUEST_SECONDS, self.transport.abort)


class _Uvicorn(uvicorn.Server):
    """Sets ``ready`` when it listens, and handles no signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and set ``ready`` even if that fails."""
        try:
            await super().startup(sockets)
        finally:
            self.ready.set()

    async def close(self) -> None:
        """Close the listeners and all connections."""
        for server in getattr(self, "servers", ()):  # absent if it never listened
            server.close()
        connections = cast("set[_AdminConnection]", set(self.server_state.connections))
        for connection in connections:
            connection.shutdown()
        for _ in range(_LAST_TURNS):  # in which a response that is being made is sent
            await asyncio.sleep(0)
        for connection in connections:
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers alone: uvicorn would replace the drain's."""
        yield


class _Application:
    """A bare ASGI application (ASGI specification, HTTP)."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        page = self._pages.get(scope["path"])
        if page is None:
            answer = Answer(404, _line(f"there is {', '.join(self._pages)}"))
        elif scope["method"] not in _READS:
            answer = Answer(405, _line("GET or HEAD"))
        else:
            answer = page(_accepted(scope))
        length = str(len(answer.body)).encode()
        headers = [(b"content-type", answer.type.encode()), (b"content-length", length)]
        if answer.status == 405:  # noqa: PLR2004 - RFC 9110 §15.5.6 asks for it
            headers.append((b"allow", ", ".join(_READS).encode()))
        start = {"type": "http.response.start", "status": answer.status}
        await send(start | {"headers": headers})
        body = b"" if scope["method"] == "HEAD" else answer.body
        await send({"type": "http.response.body", "body": body})


def _accepted(scope: Scope) -> str:
    found = (value for name, value in scope["headers"] if name == b"accept")
    return b",".join(found).decode("latin-1")


def _line(text: str) -> bytes:
    return f"{text}\n".encode()
