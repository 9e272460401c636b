"""The local ports that probes connect from, chosen on purpose.

Devices that spread flows over several paths (ECMP, RFC 2992; link aggregation) choose
the path by a hash of the five-tuple: the source port decides, for good, which path a
connection takes.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Final

from netduet.net import kernel

DEFAULT_PORTS: Final = (32_768, 60_999)
"""Linux's local ports of outgoing connections, where the kernel does not say (ip(7))."""


def spread_ports(
    count: int, generator: random.Random, ports: tuple[int, int] | None = None
) -> list[int]:
    """Return different ports, spread evenly over the local ports, in random order.

    One is drawn from each of ``count`` parts of equal length, so that a blocked range is
    met in proportion to its length. Fewer if there are not so many. ``ports`` are the
    first and the last, None for this host's.
    """
    first, last = ports or kernel.local_ports() or DEFAULT_PORTS
    total = last - first + 1
    count = min(count, total)
    bounds = [first + total * number // count for number in range(count + 1)]
    chosen = [generator.randrange(low, high) for low, high in pairwise(bounds)]
    generator.shuffle(chosen)
    return chosen
