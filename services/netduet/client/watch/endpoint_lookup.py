"""Looks up the addresses behind names in EndpointSlices, while they can be read.

DNS is behind: CoreDNS caches an answer, also an empty one, for up to 30 seconds. The API
server shows a new pod, and one that ends, as soon as Kubernetes knows.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from netduet.client.net.dial import Cause, Resolution, in_thread
from netduet.client.net.endpoint_slices import (
    EndpointSliceError,
    ServiceAccount,
    read_slices,
    ready_addresses,
    service_of,
)

if TYPE_CHECKING:
    from netduet.client.results.target import Target

MAX_RETRY_SECONDS: Final = 60.0
"""Seconds between two attempts when EndpointSlices cannot be read; at first it is one."""

OnChange = Callable[[str, str], None]
"""Called with a target and the reason for which DNS is used, "" when it no longer is."""


class EndpointLookup:
    """Looks up Services; what is none, or cannot be read, is left to DNS."""

    def __init__(self, account: ServiceAccount, on_change: OnChange) -> None:
        self._account = account
        self._on_change = on_change
        self._failures: dict[str, int] = {}
        """Failures in a row, by target."""
        self._next_attempt: dict[str, float] = {}

    async def find(
        self, target: Target, family: socket.AddressFamily, timeout: float
    ) -> Resolution | None:
        """Return the ready addresses behind a target; None if DNS has to be asked."""
        name, start = str(target), time.monotonic()
        if start < self._next_attempt.get(name, start):
            return None
        try:
            resolution = await self._find(target, family, timeout)
        except EndpointSliceError as error:
            self._failed(name, str(error))
            return None
        except TimeoutError:
            self._failed(name, "no answer of the API server in time")
            return None
        if resolution is not None and self._failures.pop(name, 0):
            self._on_change(name, "")
        return resolution

    async def _find(
        self, target: Target, family: socket.AddressFamily, timeout: float
    ) -> Resolution | None:
        start = time.monotonic()
        service = service_of(target.host, self._account.namespace)
        if service is None:
            return None
        async with asyncio.timeout(timeout):
            read = partial(read_slices, self._account, service, timeout)
            document = await in_thread(read)
        addresses = ready_addresses(document, target.port, family)
        if addresses is None:
            raise EndpointSliceError(f"there is no headless Service {service}")
        end = time.monotonic()
        if not addresses:
            detail = f"no endpoint of Service {service} is ready"
            return Resolution((), Cause.NOT_FOUND, detail, start, end, is_empty=True)
        return Resolution(addresses, None, "", start, end)

    def _failed(self, name: str, reason: str) -> None:
        """Report the first failure, and wait longer after each."""
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        pause = min(MAX_RETRY_SECONDS, 2.0 ** min(failures - 1, 10))
        self._next_attempt[name] = time.monotonic() + pause
        if failures == 1:
            self._on_change(name, reason)
