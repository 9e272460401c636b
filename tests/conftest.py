"""Every asynchronous test runs on asyncio's own loop and on uvloop.

A callback that raises fails its test, for a loop would only log it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

_raised: list[dict[str, Any]] = []


def _remember(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    _raised.append(context)


def _watched(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> Callable[[], asyncio.AbstractEventLoop]:
    def create() -> asyncio.AbstractEventLoop:
        loop = factory()
        loop.set_exception_handler(_remember)
        return loop

    return create


def pytest_asyncio_loop_factories() -> dict[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    """Name the loops that each asynchronous test runs on."""
    return {
        "asyncio": _watched(asyncio.new_event_loop),
        "uvloop": _watched(uvloop.new_event_loop),
    }


@pytest.fixture(autouse=True)
def nothing_raised_in_callbacks() -> Iterator[None]:
    """Fail a test whose event loop had an exception that nobody handled."""
    _raised.clear()
    yield
    assert _raised == []
