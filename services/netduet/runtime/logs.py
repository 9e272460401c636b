"""Structured logs: one JSON object per line, written by a separate thread.

Names and fields follow OpenTelemetry's semantic conventions where they exist; the
others start with ``netduet.``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TextIO, cast

import orjson


@contextlib.contextmanager
def _hidden(name: str) -> Iterator[None]:
    """Hide a package from imports, unless it is already imported."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


# structlog.dev, which structlog imports, imports rich if it is installed: 70 ms of each
# start, for a traceback format that is not used here.
with _hidden("rich"):
    import structlog

from netduet.runtime.log_writer import LogWriter  # noqa: E402 - after what is imported apart

if TYPE_CHECKING:
    import asyncio

    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

__all__ = [
    "EVENTS",
    "LogWriter",
    "attach",
    "exception_fields",
    "logger",
    "node_and_zone",
    "start",
]

EVENTS: Final = {
    "server.listening": "A socket is bound and ready.",
    "admin.listening": "The admin port is bound and ready.",
    "server.family_absent": "This host lacks an address family; the server uses the others.",
    "server.ready": "All sockets are ready.",
    "tls.loaded": "The certificate was read, at the start or again; new connections get it.",
    "tls.reload_failed": "A file of the certificate cannot be used; the one before stays.",
    "server.limit_reached": "A connection limit rejects connections; logged once per period.",
    "limit.reached": "Another limit ended or refused something; logged once per limit and period.",
    "server.draining": "A signal arrived; after the delay, no new work is accepted.",
    "server.descriptors_exhausted": "No descriptor is free, so nobody new is served; at most once a minute.",
    "server.failed": "The server can no longer serve, and exits with status 70.",
    "server.stopped": "The drain is complete; totals since the start.",
    "run.finished": "A client's run ended: the totals of its connections, and what ended them.",
    "run.progress": "A client's run goes on: the totals so far; after a minute, then less often, down to once in ten minutes.",
    "connection.closed": "A connection ended: its totals, and what ended it. At level debug if it is part of a run, a health check, or beyond the bound on lines.",
    "settings.ignored": "Variables that are ignored because Kubernetes set them.",
    "check.finished": "A check finished: its outcome, class and duration.",
    "verdict.reached": "All checks of a target finished.",
    "watch.started": "A watch started.",
    "watch.stopped": "A watch ended: availability, outages, findings.",
    "peer.added": "An address behind a name is now watched.",
    "peer.identified": "A peer reported its instance, node and zone for the first time, or others than before.",
    "peer.removed": "An address is no longer watched: removed from its name, or replaced by others.",
    "peer.without_datagrams": "Datagrams to a peer do not get through: only connections show its outages.",
    "watch.alone": "All peers are out at the same time: suspect what they share, above all this client.",
    "outage.began": "A peer is out, as far as is known yet.",
    "outage.learnt": "More is known about an ongoing outage.",
    "outage.ended": "An outage ended: duration, direction, class, diagnosis.",
    "outage.open": "An outage is ongoing when its peer is no longer watched: duration so far, class, diagnosis.",
    "partial.began": "Part of the new connections to a peer fail: their share so far.",
    "partial.learnt": "Their share after 30 seconds.",
    "partial.ended": "New connections to a peer work again: the share that failed, and for how long.",
    "partial.open": "Part of the new connections fail when their peer is no longer watched.",
    "finding.began": "A scheduled check has a new finding.",
    "finding.ended": "A scheduled check no longer has a finding.",
    "lookup.empty": "A name exists and has no address yet: no server is ready.",
    "lookup.failed": "A name does not resolve; its last addresses are kept.",
    "lookup.recovered": "A name resolves that did not resolve before.",
    "lookup.fallback": "EndpointSlices cannot be read: addresses come from DNS.",
    "lookup.endpoint_slices": "EndpointSlices can be read again: addresses come from them.",
    "logs.suppressed": "Clients caused more lines than the bound for each, or for all; once a minute, the sum of what was not logged.",
    "logs.dropped": "Lines were lost because nothing read the output.",
    "runtime.warning": "A warning of Python or of a library.",
    "runtime.message": "A record of the standard library's logging.",
    "runtime.exception": "An unhandled exception: a defect of netduet.",
}
"""Every event that is logged, with its meaning."""

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_FRAMES: Final = 20
_MAX_CAUSES: Final = 5
_MAX_LOGGED_TEXT_LENGTH: Final = 2048

_current: LogWriter | None = None
_on_memory_error: Callable[[], None] | None = None


_bound: dict[str, object] = {}


def node_and_zone(node: str, zone: str) -> dict[str, str]:
    """Return node and zone, if known, as fields of every line."""
    fields = {"k8s.node.name": node, "cloud.availability_zone": zone}
    return {name: value for name, value in fields.items() if value}


def start(
    descriptor: int, *, level: str, style: str, queue: int, fields: Mapping[str, object]
) -> LogWriter:
    """Start to log to a descriptor.

    ``level`` is debug, info, warning or error; ``style`` is ``json``, ``console``, or
    ``auto`` (console on a terminal only). ``queue`` bounds the lines that wait for a
    slow reader, and ``fields`` are part of every line.
    """
    global _current  # noqa: PLW0603 - one writer a process
    if _current is not None:
        _current.close()
    _bound.clear()
    _bound.update(fields)
    terminal = os.isatty(descriptor)
    console = style == "console" or (style == "auto" and terminal)
    render = _console(colors=terminal) if console else _render

    def confess(lost: int) -> bytes:
        dropped = {"event": "logs.dropped", "netduet.dropped": lost}
        return render(None, "warning", _common(None, "warning", dropped))

    _current = writer = LogWriter(
        descriptor, queue, confess, _route_other_sources(level)
    )
    structlog.configure(
        processors=[_common, render],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Sink(writer),
        cache_logger_on_first_use=False,
    )
    return writer


def logger() -> FilteringBoundLogger:
    """Return a logger; its methods take an event of ``EVENTS`` and fields."""
    return cast("FilteringBoundLogger", structlog.get_logger().bind())


def attach(
    loop: asyncio.AbstractEventLoop, on_memory_error: Callable[[], None] | None = None
) -> None:
    """Log exceptions of a loop's callbacks as events.

    ``on_memory_error`` is called instead when memory has run out, in any thread.
    """
    global _on_memory_error  # noqa: PLW0603 - one process
    _on_memory_error = on_memory_error
    loop.set_exception_handler(_loop_exception)


class _Sink:
    """The logger that structlog calls with each rendered line."""

    def __init__(self, writer: LogWriter) -> None:
        self._put = writer.put

    def msg(self, line: bytes) -> None:
        self._put(line)

    debug = info = warning = error = critical = exception = msg


def _now() -> str:
    seconds = time.time()
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds % 1 * 1_000_000):06d}Z"


def _common(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """Put time, level and the common fields before the event's own fields."""
    name = event.pop("event")
    if name not in EVENTS:
        msg = f"{name!r} is not in logs.EVENTS"
        raise ValueError(msg)
    if exc_info := event.pop("exc_info", None):
        error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
        event.update(exception_fields(error))
    return {"timestamp": _now(), "level": level, "event": name, **_bound, **event}


def _render(_: WrappedLogger, __: str, event: EventDict) -> bytes:
    try:
        line = orjson.dumps(event, default=_repr, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits
        line = orjson.dumps(
            _plain(event), default=_repr, option=orjson.OPT_APPEND_NEWLINE
        )
    if line.isascii():
        return line if b"\x7f" not in line else line.replace(b"\x7f", b"\\u007f")
    # JSON escapes only C0; C1, line separators and bidi controls remain.
    text = line[:-1].decode()
    if text.isprintable():
        return line
    return _visible(text).encode() + b"\n"


def _visible(text: str) -> str:
    r"""Escape as \uNNNN what could move a cursor or reorder text."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(_plain(str(key))): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return hex(value)
    return value if isinstance(value, int | float | None) else _plain(_repr(value))


def _repr(value: object) -> str:
    return _text(repr, value)


def _text(form: Callable[[object], str], value: object) -> str:
    """Return a value as text; a failing ``__str__`` must not harm the caller."""
    try:
        return form(value)
    except Exception as error:  # noqa: BLE001 - code of others, which may do anything
        return f"<{type(value).__qualname__}: {type(error).__name__} for a text>"


def _console(*, colors: bool) -> Callable[[WrappedLogger, str, EventDict], bytes]:
    from structlog.dev import ConsoleRenderer  # noqa: PLC0415

    render = ConsoleRenderer(colors=colors and not os.environ.get("NO_COLOR"))

    def console(log: WrappedLogger, level: str, event: EventDict) -> bytes:
        safe: EventDict = {
            name: _visible(value if isinstance(value, str) else _repr(value))
            for name, value in event.items()
        }
        line = render(log, level, safe)
        return line.encode("utf-8", "backslashreplace") + b"\n"

    return console


class _StandardHandler(logging.Handler):
    """Passes records of the standard library's logging on as events."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - arguments that do not fit, and worse
            reason = f"{type(error).__name__}: {_text(str, error)}"
            message = f"{_repr(record.msg)} ({reason})"
        fields: dict[str, Any] = {
            "netduet.logger": record.name,
            "netduet.message": message[:_MAX_LOGGED_TEXT_LENGTH],
        }
        if record.exc_info:
            fields |= exception_fields(record.exc_info[1])
        known = [level for level in _LEVELS.values() if level <= record.levelno]
        logger().log(max(known, default=logging.DEBUG), "runtime.message", **fields)


def exception_fields(error: BaseException | None) -> dict[str, Any]:
    """Return an exception as fields: type, message, and frames without locals."""
    if error is None:
        return {}
    walked = traceback.walk_tb(error.__traceback__)
    frames = traceback.StackSummary.extract(walked, lookup_lines=False)[-_FRAMES:]
    fields = {
        "exception.type": type(error).__qualname__,
        "exception.message": _text(str, error)[:_MAX_LOGGED_TEXT_LENGTH],
        "exception.stacktrace": [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames
        ],
    }
    causes = list(islice(_causes(error), _MAX_CAUSES))
    if causes:
        fields["netduet.causes"] = [
            f"{type(cause).__qualname__}: {_text(str, cause)}"[:_MAX_LOGGED_TEXT_LENGTH]
            for cause in causes
        ]
    return fields


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the causes of an exception, and the members of a group."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield member
            yield from _causes(member)
    behind = None if error.__suppress_context__ else error.__context__
    cause = error.__cause__ or behind
    if cause is not None:
        yield cause
        yield from _causes(cause)


def _log_exception(error: BaseException | None, message: str) -> None:
    if isinstance(error, MemoryError) and _on_memory_error is not None:
        _on_memory_error()
    fields: dict[str, Any] = (
        {"netduet.message": message[:_MAX_LOGGED_TEXT_LENGTH]} if message else {}
    )
    fields |= exception_fields(error)
    logger().error("runtime.exception", **fields)


def _loop_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _log_exception(context.get("exception"), str(context.get("message", "")))


def _thread_exception(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:  # sys.exit in a thread is not a defect
        name = args.thread.name if args.thread else ""
        _log_exception(args.exc_value, f"in thread {name}")


def _log_warning(  # noqa: PLR0917 - the signature of warnings.showwarning
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del file, line
    logger().warning(
        "runtime.warning",
        **{
            "netduet.category": category.__name__,
            "netduet.message": _text(str, message)[:_MAX_LOGGED_TEXT_LENGTH],
            "code.file.path": filename,
            "code.line.number": lineno,
        },
    )


def _route_other_sources(level: str) -> Callable[[], None]:
    """Log warnings, standard logging and unhandled exceptions; return the undo."""
    root, handler = logging.getLogger(), _StandardHandler()
    before = (
        root.handlers[:],
        root.level,
        warnings.showwarning,
        sys.excepthook,
        sys.unraisablehook,
        threading.excepthook,
    )
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.INFO))
    warnings.showwarning = _log_warning
    sys.excepthook = lambda _, error, __: _log_exception(error, "unhandled")
    sys.unraisablehook = lambda unraisable: _log_exception(
        unraisable.exc_value,
        f"{unraisable.err_msg or 'unraisable'}, in {type(unraisable.object).__qualname__}",
    )
    threading.excepthook = _thread_exception

    def undo() -> None:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        warnings.showwarning = before[2]
        sys.excepthook, sys.unraisablehook, threading.excepthook = before[3:]

    return undo
