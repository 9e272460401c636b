"""Inside the lab's container: outages of known length under ``netduet watch``.

Prints one JSON line per outage: what it was, and what was reported.

    python -m tests.lab.watch_run
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.lab import outages
from tests.lab.conditions import DOWN, UP, Way
from tests.lab.expectation import passes
from tests.lab.networks import Network
from tests.lab.run import start_services
from tests.lab.topology import SERVER4, topology

WHERE: Final[dict[tuple[Way, ...], str]] = {
    (UP,): "to_server",
    (DOWN,): "from_server",
    (UP, DOWN): "both",
    (): "client",
}
OUTAGES: Final = (((UP,), 0.9), ((DOWN,), 1.4), ((UP, DOWN), 2.3), ((), 1.7))
"""Which ways are out, and for how long; none: this end's own host sends nothing."""


_TIMEOUT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class WatchedOutage:
    """An outage: where it was, its length ± ``uncertainty``, and what was reported.

    ``started`` says whether it was reported while it lasted, ``status`` is the exit
    status of the watch.
    """

    where: str
    seconds: float
    uncertainty: float
    reported_where: str
    reported_seconds: float
    started: bool
    status: int


def main() -> None:
    """Have each outage once."""
    subprocess.run(["mount", "-o", "remount,rw", "/proc/sys"], check=True)
    for number, (ways, seconds) in enumerate(OUTAGES):
        print(json.dumps(asdict(watch_outage(number, ways, seconds))), flush=True)


def watch_outage(number: int, ways: tuple[Way, ...], seconds: float) -> WatchedOutage:
    """Cause an outage in a separate network while a watch runs."""
    network = Network("outage", "", passes())
    with contextlib.ExitStack() as stack:
        namespaces = stack.enter_context(topology(number, ()))
        start_services(stack, network, namespaces)
        netduet = [sys.executable, "-m", "netduet", "watch", "--json"]
        command = [*netduet, "--expect-service", "netduet", SERVER4]
        process = subprocess.Popen(
            namespaces.unprivileged_command("client", *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        timer = threading.Timer(_TIMEOUT_SECONDS, process.kill)
        stack.callback(timer.cancel)
        timer.start()
        outage = outages.packets_dropped(*ways, seconds=seconds)
        if not ways:
            outage = outages.client_output_dropped(seconds)
        with outages.outage_during(namespaces, outage) as happened:
            events = _until_ended(process)
        if happened.failed:
            raise RuntimeError(f"the outage: {happened.failed}")
        process.send_signal(signal.SIGTERM)
        process.communicate()
        ended = events.get("outage.ended", {})
        return WatchedOutage(
            WHERE[ways],
            happened.seconds,
            happened.uncertainty,
            ended.get("netduet.direction", ""),
            ended.get("netduet.duration_s", 0.0),
            "outage.began" in events,
            process.returncode,
        )


def _until_ended(process: subprocess.Popen[bytes]) -> dict[str, dict[str, Any]]:
    """Read what a watch logs until an outage is over; return the lines by their events."""
    events: dict[str, dict[str, Any]] = {}
    assert process.stderr is not None
    for raw in process.stderr:
        line = json.loads(raw)
        events[line["event"]] = line
        if line["event"] == "outage.ended":
            break
    return events


if __name__ == "__main__":
    main()
