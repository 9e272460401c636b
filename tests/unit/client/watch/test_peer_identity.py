"""The instance behind a peer: changes are reported, a load balancer's are not."""

from __future__ import annotations

import itertools
import random

from netduet.client.results.instance import Instance
from netduet.client.watch.peer_identity import (
    CONFIRM_SECONDS,
    MAX_INSTANCES,
    SINGLE_SECONDS,
    PeerIdentity,
)

A, B, C = (Instance(name, f"node-{name}", "eu-1b") for name in "abc")


class Observer:
    """Follows a peer with a connection a second, and keeps the reported changes."""

    def __init__(self) -> None:
        """Begin long after the host's start."""
        self.known = PeerIdentity()
        self.now = 1000.0
        self.reported: list[tuple[Instance, ...]] = []

    def observe(self, *answering: Instance) -> None:
        """Have these answer, a second apart; who looks does so more often."""
        for instance in answering:
            self.known.record(instance, self.now)
            for _ in range(4):
                news = self.known.take_change(self.now)
                self.reported += [news] if news else []
                self.now += 0.25


def test_first_instance_is_reported_at_once_and_once() -> None:
    """Before it nothing is known."""
    observer = Observer()
    assert (observer.known.take_change(0.0), observer.known.instance) == ((), None)
    observer.observe(*100 * (A,))
    assert observer.reported == [(A,)]
    assert observer.known.instance == A


def test_each_replacement_is_reported() -> None:
    """An update replaces a by b, and a later one b by c."""
    observer = Observer()
    observer.observe(*70 * (A,), B)
    assert observer.known.instance == A
    observer.observe(*70 * (B,), *70 * (C,))
    assert observer.reported == [(A,), (B,), (C,)]
    assert observer.known.instance == C


def test_restart_under_the_same_name_is_not_reported() -> None:
    """A restart is reported with its outage."""
    observer = Observer()
    observer.observe(A, A)
    observer.now += 50.0
    observer.observe(A, A)
    assert observer.reported == [(A,)]


def test_balancer_is_reported_once() -> None:
    """Round robin, random or a canary: at most two lines, and no instance is named."""
    chance = random.Random(7)
    many = [Instance(f"web-{number}") for number in range(200)]
    for answering in (
        [A, B, C] * 500,
        chance.choices([A, B, C], k=1500),
        chance.choices([A, B], [99, 1], k=1500),
        list(itertools.chain(many, many, many)),
    ):
        observer = Observer()
        observer.observe(*answering)
        singles = [instances for instances in observer.reported if len(instances) == 1]
        assert len(singles) == 1
        assert len(observer.reported) == 2
        assert 2 <= len(observer.reported[1]) <= MAX_INSTANCES
        assert observer.known.instance is None


def test_balancer_with_one_instance_left_is_reported_when_sure() -> None:
    """After a while the only instance left is the peer."""
    observer = Observer()
    observer.observe(A, B, A, B, A)
    observer.observe(*(int(SINGLE_SECONDS) - 5) * (A,))
    assert observer.known.instance is None
    observer.observe(*10 * (A,))
    assert observer.reported[-1] == (A,)
    assert observer.known.instance == A


def test_crash_loop_with_changing_names_is_reported_as_several() -> None:
    """A server that restarts with a new name each time causes no flood."""
    observer = Observer()
    for number in range(100):
        observer.observe(*(int(CONFIRM_SECONDS) + 2) * (Instance(f"web-{number}"),))
    assert len(observer.reported) <= 3
