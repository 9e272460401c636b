"""The command ``netduet``: runs one command line, and reports errors in one line.

It imports little: each command imports what it needs.
"""

from __future__ import annotations

import errno
import os
import sys
from io import TextIOWrapper

# An interrupt before ``main`` ends in a traceback: nothing here that takes time to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Final
else:
    import _signal as signal  # without the enumerations of ``signal``

USAGE: Final = 2
"""Exit status of bad usage and bad settings."""

INTERRUPTED: Final = 3
"""Exit status without a verdict: interrupted, output closed, or a defect."""

_STOPPED: Final = "stopped by a signal before there was a verdict"


def main() -> int:
    """Run the command line; return its exit status."""
    words = sys.argv[1:]
    _handle_signals(words)
    _keep_streams()
    status = _status(words)
    if words[:1] == ["serve"] and status == 0:
        # All is written. The interpreter's own end takes longer than the server's.
        os._exit(status)
    # What follows is the end of the interpreter: it must not end in a traceback.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(status))
    return status


def _handle_signals(words: list[str]) -> None:
    """Handle signals until the command sets its own handlers.

    As PID 1, Python ignores SIGTERM without one. An exception could be raised anywhere
    in the imports, where it may be printed, or lost. ``between`` takes one, and removes
    its containers.
    """

    def leave(*_: object) -> None:
        if words[:1] in (["serve"], ["watch"]):
            os._exit(0)
        try:
            os.write(2, f"netduet: {_STOPPED}\n".encode())
        finally:
            os._exit(INTERRUPTED)

    takes_exception = words[:1] == ["between"]
    for number in (signal.SIGINT, signal.SIGTERM):
        if takes_exception:
            signal.signal(number, signal.default_int_handler)
        else:
            signal.signal(number, leave)


def _status(words: list[str]) -> int:
    try:
        status = _run(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _say([_STOPPED], INTERRUPTED)
    except SystemExit:  # rich exits with status 1 when the output is closed
        return INTERRUPTED
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        return _complain(error)
    return status


def _run(words: list[str]) -> int:
    from netduet.cli import commands  # noqa: PLC0415

    # Most command lines need no parser.
    if words == ["serve"]:
        commands.require("serve")
        return commands.serve({})
    if words == ["namespace", "--json"]:
        return commands.namespace(json_report=True)
    if words[:1] == ["check"] and not any(word.startswith("-") for word in words):
        commands.require("check")
        return commands.check(words[1:], {})
    from netduet.cli.parser import parse  # noqa: PLC0415 - a fifth of the time to the first packet

    return parse(words)


def _complain(error: Exception) -> int:
    if isinstance(error, ModuleNotFoundError) and not _is_own(error.name):
        from netduet.config.extras import installation_hint  # noqa: PLC0415

        return _say([installation_hint(error.name or "")], USAGE)
    from netduet.cli.commands import UsageError  # noqa: PLC0415
    from netduet.config.load import SettingsError  # noqa: PLC0415

    match error:
        case SettingsError():
            return _say(error.lines, USAGE)
        case UsageError():
            return _say([str(error)], USAGE)
        case BrokenPipeError():  # the reader of our output has left
            _forget_stdout()
            return INTERRUPTED
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EIO, filename=None):
            _forget_stdout()
            line = f"standard output cannot be written: {error.strerror}"
            return _say([line], INTERRUPTED)
    message = " ".join(str(error).split())
    place = _place(error)
    line = f"internal error, please report it: {type(error).__name__}: {message}{place}"
    return _say([line], INTERRUPTED)


def _is_own(module: str | None) -> bool:
    """Return whether a module is of this package: an image has only one service."""
    return module is None or module.partition(".")[0] == "netduet"


def _place(error: Exception) -> str:
    """Return the place where an exception was raised, in brackets."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    path = trace.tb_frame.f_code.co_filename
    return f" ({path.rpartition('/')[2]}:{trace.tb_lineno})"


def _say(lines: list[str], status: int) -> int:
    for line in lines:
        print(f"netduet: {line}", file=sys.stderr)
    return status


def _keep_streams() -> None:
    """Reopen closed standard streams, and escape unencodable text.

    Otherwise a socket could get the number of a closed stream, and output would go
    there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # the lowest free number is this one
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Discard further output: the reader of stdout has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    sys.exit(main())
