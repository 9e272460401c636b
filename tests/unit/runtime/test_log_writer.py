"""The thread that writes log lines, on real pipes and devices."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.unit.log_pipe import (
    OVERSIZED_LINE,
    QUEUE_LINES,
    TIMEOUT_SECONDS,
    LogPipe,
    numbered_lines,
    read_all,
    reported_drops,
    wait_until,
)

# Whoever waits where nobody should must not hold up the others for long.
pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def pipe() -> Iterator[LogPipe]:
    """Open a pipe; nothing of it is left when the test is over."""
    opened = LogPipe()
    yield opened
    opened.close()


# Somebody reads


def test_all_lines_come_in_order(pipe: LogPipe) -> None:
    """Of ten thousand lines, many times what a pipe holds, none is lost or moved."""
    log = pipe.start(queue=10_000)
    lines = numbered_lines(10_000)
    for line in lines:
        log.put(line)
    assert pipe.close_log() == b"".join(lines)
    assert log.dropped == 0
    assert pipe.exits == 1


def test_lines_of_several_threads_stay_whole(pipe: LogPipe) -> None:
    """Threads that log concurrently lose nothing, and each keeps its order."""
    log = pipe.start(queue=4000)

    def author(name: bytes) -> None:
        for line in numbered_lines(1000):
            log.put(name + line)

    names = [b"a ", b"b ", b"c ", b"d "]
    threads = [threading.Thread(target=author, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = pipe.close_log().splitlines(keepends=True)
    assert len(lines) == 4000
    for name in names:
        mine = [line.removeprefix(name) for line in lines if line.startswith(name)]
        assert mine == numbered_lines(1000)


def test_line_is_written_without_a_close(pipe: LogPipe) -> None:
    """A line is written without a later one or a close."""
    log = pipe.start()
    for line in numbered_lines(3):  # the thread has gone back to waiting in between
        log.put(line)
        assert os.read(pipe.reader, 1000) == line


def test_exiting_process_writes_queued_lines() -> None:
    """A process that exits without a close loses no line."""
    code = r"""
from netduet.runtime.log_writer import LogWriter
log = LogWriter(1, 5000, bytes, int)
for number in range(5000):
    log.put(b"%d\n" % number)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=30, check=True
    )
    assert done.stdout == b"".join(b"%d\n" % number for number in range(5000))


# Nobody reads


@pytest.mark.parametrize("blocking", [True, False])
def test_dropped_lines_are_reported_in_one_line(
    pipe: LogPipe, *, blocking: bool
) -> None:
    """A stalled reader delays nobody, and is told how many lines it missed."""
    os.set_blocking(pipe.writer, blocking)
    log = pipe.start()
    pipe.stall()
    lines = numbered_lines(30)
    for line in lines:
        log.put(line)
    room = QUEUE_LINES - 1  # the line that is being written has a place of its own
    assert log.dropped == 30 - room
    expected = OVERSIZED_LINE + b"dropped %d\n" % (30 - room) + b"".join(lines[:room])
    assert pipe.close_log() == expected


def test_each_stall_is_reported_separately(pipe: LogPipe) -> None:
    """Lines reported as dropped are not reported again."""
    log = pipe.start()
    data = b""
    kept = b"".join(numbered_lines(QUEUE_LINES - 1))
    for stalls, missed in ((1, 3), (2, 5)):
        pipe.stall()
        for line in numbered_lines(QUEUE_LINES - 1 + missed):
            log.put(line)
        while data.count(kept) < stalls:
            data += os.read(pipe.reader, 65536)
    data += pipe.close_log()
    assert reported_drops(data) == [3, 5]
    assert log.dropped == 8


def test_close_does_not_wait_for_a_stalled_reader(
    pipe: LogPipe, capfd: pytest.CaptureFixture[str]
) -> None:
    """A close ends at its timeout, and writes the number of lost lines to stderr."""
    log = pipe.start()
    pipe.stall()
    for line in numbered_lines(30):
        log.put(line)
    start = time.monotonic()
    log.close(0.2)
    assert 0.2 <= time.monotonic() - start < TIMEOUT_SECONDS
    assert pipe.exits == 1
    assert log.dropped == 31
    expected = "netduet: 31 log lines were lost: nobody read them\n"
    assert capfd.readouterr() == ("", expected)


def test_reported_drops_are_not_repeated_on_stderr(
    pipe: LogPipe, capfd: pytest.CaptureFixture[str]
) -> None:
    """Lines that the reader was told of are not counted on stderr."""
    log = pipe.start()
    pipe.stall()
    for line in numbered_lines(30):
        log.put(line)
    assert reported_drops(pipe.close_log()) == [log.dropped]
    assert capfd.readouterr() == ("", "")


@contextlib.contextmanager
def stderr_is(descriptor: int | None) -> Iterator[None]:
    """Put a descriptor in the place of stderr, or nothing."""
    kept = os.dup(2)
    if descriptor is None:
        os.close(2)
    else:
        os.dup2(descriptor, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@pytest.mark.parametrize("closed", [False, True])
def test_close_does_not_wait_for_stderr(pipe: LogPipe, *, closed: bool) -> None:
    """A stderr that is closed or that nobody reads does not delay the exit."""
    log = pipe.start()
    pipe.stall()
    with stderr_is(None if closed else pipe.writer):
        log.close(0)
    assert log.dropped == 1


def test_second_close_does_nothing(
    pipe: LogPipe, capfd: pytest.CaptureFixture[str]
) -> None:
    """Closing again neither waits, nor undoes, nor repeats anything."""
    log = pipe.start()
    pipe.stall()
    log.close(0)
    log.close(TIMEOUT_SECONDS * 100)
    assert pipe.exits == 1
    assert capfd.readouterr().err.count("\n") == 1


def test_line_after_the_close_counts_as_lost(pipe: LogPipe) -> None:
    """A late line does no harm and is not written."""
    log = pipe.start()
    log.put(b"before\n")
    log.close(TIMEOUT_SECONDS)
    log.put(b"after\n")
    os.close(pipe.writer)
    assert read_all(pipe.reader) == b"before\n"
    assert log.dropped == 1


# Nothing can be written


@pytest.mark.parametrize("stalled", [False, True])
def test_closed_pipe_ends_the_thread(
    pipe: LogPipe, capfd: pytest.CaptureFixture[str], *, stalled: bool
) -> None:
    """If the reader has gone, waiting and later lines count as lost."""
    log = pipe.start()
    if stalled:
        pipe.stall()
    os.close(pipe.reader)
    for line in numbered_lines(5):
        log.put(line)
    wait_until(lambda: not log._thread.is_alive())
    for line in numbered_lines(50):
        log.put(line)
    lost = 55 + stalled
    assert log.dropped == lost  # none waits for a thread that is no more
    log.close(TIMEOUT_SECONDS)
    assert log.dropped == lost
    expected = f"netduet: {lost} log lines were lost: nobody read them\n"
    assert capfd.readouterr() == ("", expected)


def test_full_disk_is_waited_for(pipe: LogPipe) -> None:
    """Writing continues once the disk has room again."""
    lines = numbered_lines(30)
    with pipe.full_disk():
        log = pipe.start()
        for line in lines:
            log.put(line)
        wait_until(pipe.is_writing)
        assert log.dropped == 30 - QUEUE_LINES
    data = pipe.close_log()
    assert sum(reported_drops(data)) == 30 - QUEUE_LINES
    kept = [line for line in data.splitlines(keepends=True) if line in lines]
    assert kept == lines[:QUEUE_LINES]


def test_full_disk_does_not_delay_the_close(
    pipe: LogPipe, capfd: pytest.CaptureFixture[str]
) -> None:
    """A disk that stays full costs only the lines, which are counted."""
    with pipe.full_disk():
        log = pipe.start()
        for line in numbered_lines(30):
            log.put(line)
        log.close(0.2)
    assert log.dropped == 30
    expected = "netduet: 30 log lines were lost: nobody read them\n"
    assert capfd.readouterr() == ("", expected)
