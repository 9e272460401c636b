"""Do both kernels have the same view of a connection's handshake? Pure.

Each end announces options in its SYN (RFC 9293 §3.2, RFC 7323, RFC 2018, RFC 3168). A
device in between that changes or removes one leaves the ends with different views.
Only one connection that reaches from end to end can be compared, not the two on both
sides of a proxy: there a difference means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netduet.client.net.dial import Address
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Direction, Location, Side
from netduet.client.results.verdict import Finding
from netduet.net.tcp_info import TcpOption
from netduet.wire.messages import TcpInfo, TcpSettings

WINDOW_SCALE: Final = "path.window_scale"
ECN_MARKED_DROPPED: Final = "path.ecn_marked_dropped"

MAX_UNSCALED_WINDOW_BYTES: Final = 65_535
"""Largest window without a scale: the field has 16 bits (RFC 7323 §2)."""

HALF_WINDOW_BYTES: Final = 32 * 1024
"""Largest segment before the window has grown: half of the first 64 KiB."""

ECN_REQUESTED: Final = frozenset({1, 3, 4})
"""Values of net.ipv4.tcp_ecn with which a host asks for ECN (ip-sysctl.rst)."""

_USUAL_WINDOW_BYTES: Final = 32 * 1024
"""Window of a new connection if its kernel does not report it (Linux before 6.2)."""

_SENDINGS: Final = 2
"""Sendings of each segment if each first one is dropped."""

_MIN_EFFECT_SHARE: Final = 0.5
"""Share of the difference in scale, in powers of two, that the windows must show.

Halfway between "the same window" and "off by the whole difference"."""


@dataclass(frozen=True, slots=True)
class HandshakeViews:
    """Both kernels' views of a connection, and what both hosts offer in handshakes.

    ``direct``: both ends see the same addresses and ports, so there is no NAT, and no
    proxy that shows itself.
    """

    client: TcpInfo
    server: TcpInfo
    client_settings: TcpSettings | None = None
    server_settings: TcpSettings | None = None
    direct: bool = True

    def has(self, side: Side, option: TcpOption) -> bool:
        """Whether an end's kernel uses an option."""
        return bool((self.view(side).options or 0) & option)

    def view(self, side: Side) -> TcpInfo:
        """Return an end's view."""
        return self.client if side is Side.CLIENT else self.server

    @property
    def complete(self) -> bool:
        """Whether both ends report their options; older servers do not."""
        return self.client.options is not None and self.server.options is not None


@dataclass(frozen=True, slots=True)
class _Misread:
    """A receiver's windows, and what the sender takes them for. Sizes in bytes."""

    direction: Direction
    announced_scale: int
    received_scale: int
    window: int | None
    window_at_sender: int


def option_findings(address: Address, views: HandshakeViews) -> list[Finding]:
    """Return what is wrong with the options of a handshake."""
    return [*window_findings(address, views), *_marks_dropped(address, views)]


def _marks_dropped(address: Address, views: HandshakeViews) -> Iterator[Finding]:
    """Yield the finding that packets marked for ECN are dropped."""
    for direction in Direction:
        if not _drops_marks(views, direction):
            continue
        sender = views.view(direction.sender)
        seen = (
            f"{address}: {direction.sender.phrase}'s packets pass only when sent again, "
            "without the mark for ECN: each first sending is dropped on the way "
            f"{direction}"
        )
        text = f"ECN is in use; its kernel sent {sender.total_retrans} packets again"
        evidence = (
            (direction.sender, text),
            (direction.receiver, "no packet with the mark arrived"),
        )
        yield Finding(ECN_MARKED_DROPPED, seen, evidence, where=direction.path)


def _drops_marks(views: HandshakeViews, direction: Direction) -> bool:
    """Whether marked packets are dropped in a direction.

    Segments are marked when they are sent for the first time, and not when they are
    sent again (RFC 3168 §6.1.5). If all arrive as the latter, the mark is why: by
    chance each first sending would have to be lost.
    """
    sender = views.view(direction.sender)
    sent = sender.data_segs_out or 0
    return (
        _lacks_marks(views, direction) and 0 < sent <= _SENDINGS * sender.total_retrans
    )


def _lacks_marks(views: HandshakeViews, direction: Direction) -> bool:
    """Whether data arrived, and no packet with the mark that ECN in use implies."""
    return (
        views.has(direction.sender, TcpOption.ECN)
        and views.view(direction.receiver).bytes_received > 0
        and not views.has(direction.receiver, TcpOption.ECN_SEEN)
    )


def window_findings(address: Address, views: HandshakeViews) -> list[Finding]:
    """Return the finding that the ends scale windows differently."""
    if not views.complete:
        return []
    misread = list(_misread_windows(views))
    return [_misread_finding(address, misread)] if misread else []


def scaling_removed(views: HandshakeViews) -> Direction | None:
    """Return the direction in which window scaling was removed; None if it was not.

    Then no window exceeds ``MAX_UNSCALED_WINDOW_BYTES``, which matters on long paths.
    """
    if not views.complete or any(_misread_windows(views)):
        return None
    return _removed_on(views, TcpOption.WINDOW_SCALE, "window_scaling")


def _misread_windows(views: HandshakeViews) -> Iterator[_Misread]:
    """Yield each direction of data whose windows the sender misreads.

    A difference alone may come from a proxy that does not show itself. So the windows
    must differ as well, by the same factor: sizes of two connections hardly do.
    """
    for direction in Direction:
        sender, receiver = (
            views.view(direction.sender),
            views.view(direction.receiver),
        )
        announced, received = receiver.rcv_wscale or 0, sender.snd_wscale or 0
        difference = received - announced
        window_at_sender = sender.snd_wnd
        if not difference or not window_at_sender:
            continue
        window = receiver.rcv_wnd or _USUAL_WINDOW_BYTES
        seen_difference = math.log2(window_at_sender / window)
        if seen_difference / difference >= _MIN_EFFECT_SHARE:
            yield _Misread(
                direction, announced, received, receiver.rcv_wnd, window_at_sender
            )


def _misread_finding(address: Address, misread: list[_Misread]) -> Finding:
    texts = []
    evidence = []
    for each in misread:
        sender, receiver = each.direction.sender, each.direction.receiver
        texts.append(
            f"{receiver.phrase} announced the window scale {each.announced_scale}, "
            f"{sender.phrase} received {each.received_scale}"
        )
        own = "" if each.window is None else f"its window is {each.window} bytes, "
        evidence.append(
            (receiver, f"{own}announced with the scale {each.announced_scale}")
        )
        effect = (
            f"{each.direction.transfer} gets no further than {each.window_at_sender} "
            "bytes per round trip"
        )
        if each.received_scale > each.announced_scale:
            effect = f"{each.direction.transfer} overruns the window"
        evidence.append(
            (
                sender,
                f"its kernel takes that window for {each.window_at_sender} bytes: {effect}",
            )
        )
    where = misread[0].direction.opposite.path
    if len(misread) > 1:
        where = Location.INTERMEDIARY
    seen = f"{address}: {'; '.join(texts)}: the window is misread"
    figures = {
        f"{each.direction}_scale_{word}": scale
        for each in misread
        for word, scale in (
            ("announced", each.announced_scale),
            ("received", each.received_scale),
        )
    }
    return Finding(
        WINDOW_SCALE,
        seen,
        tuple(evidence),
        {**figures},
        where=where,
        explains=("load", "size.stalled"),
    )


def option_notes(views: HandshakeViews) -> Iterator[str]:
    """Yield notes on options that an end offers and that are not in use."""
    if not views.complete:
        return
    scaled = scaling_removed(views)
    if scaled is not None:
        rtt = max(views.client.rtt, 1) / 1e6
        limit = 8 * MAX_UNSCALED_WINDOW_BYTES / rtt / 1e6
        yield (
            f"{scaled.sender.phrase} offered window scaling, {scaled.receiver.phrase} saw "
            f"none: {_removed_phrase(views, scaled)}; so no window exceeds "
            f"{MAX_UNSCALED_WINDOW_BYTES:,} bytes, and a connection carries at most "
            f"{limit:.3g} Mbit/s at the RTT of {1000 * rtt:.3g} ms"
        )
    for option, setting, name in (
        (TcpOption.SACK, "sack", "selective acknowledgements (SACK)"),
        (TcpOption.TIMESTAMPS, "timestamps", "TCP timestamps"),
    ):
        direction = _removed_on(views, option, setting)
        if direction is not None:
            yield (
                f"{direction.sender.phrase} offered {name}, "
                f"{direction.receiver.phrase} saw none: "
                f"{_removed_phrase(views, direction)}"
            )
    yield from _ecn_notes(views)
    yield from _mss_notes(views)


def _removed_on(
    views: HandshakeViews, option: TcpOption, setting: str
) -> Direction | None:
    """Return the direction in which an option that both hosts enable was removed.

    If the server answers an option that the client's SYN had, only the answer can have
    lost it; if neither end uses it, the SYN did.
    """
    settings = views.client_settings, views.server_settings
    if not all(each is not None and getattr(each, setting) for each in settings):
        return None
    if views.has(Side.CLIENT, option):
        return None
    return Direction.DOWN if views.has(Side.SERVER, option) else Direction.UP


def _removed_phrase(views: HandshakeViews, direction: Direction) -> str:
    if views.direct:
        return f"the option is removed on the way {direction}"
    return "the option is removed on the way, or a proxy in between does not use it"


def _ecn_notes(views: HandshakeViews) -> Iterator[str]:
    ours, theirs = views.client_settings, views.server_settings
    if ours is None or ours.ecn not in ECN_REQUESTED:
        return
    if not views.has(Side.CLIENT, TcpOption.ECN):
        if theirs is not None and theirs.ecn:
            yield (
                "this host asks for ECN (net.ipv4.tcp_ecn="
                f"{ours.ecn}) and the server accepts it, but it is not in use: a device "
                "in between removes it, or passes only SYNs without it"
            )
        return
    for direction in Direction:
        if _lacks_marks(views, direction) and not _drops_marks(views, direction):
            yield (
                "ECN is in use, but no packet marked for it arrived at "
                f"{direction.receiver.phrase}: a device in between clears the mark"
            )


def _mss_notes(views: HandshakeViews) -> Iterator[str]:
    """Yield notes on an MSS that was lowered on the way.

    Not if the sender's own path MTU explains its smaller segments, or a window: a kernel
    sends no segment larger than half of it (tcp_bound_to_half_wnd).
    """
    if any(_misread_windows(views)):
        return
    for direction in Direction:
        sender, receiver = (
            views.view(direction.sender),
            views.view(direction.receiver),
        )
        # Both less the options of each segment, such as timestamps.
        announced, used = receiver.advmss, sender.snd_mss
        own_limit = sender.pmtu - max(0, receiver.pmtu - receiver.advmss)
        if announced and used and used < min(announced, own_limit, HALF_WINDOW_BYTES):
            yield (
                f"{direction.receiver.phrase} announced segments of up to {announced} "
                f"bytes, {direction.sender.phrase} sends {used}: the MSS is lowered on "
                f"the way {direction.opposite}"
            )


FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        WINDOW_SCALE,
        "the ends read each other's TCP windows differently",
        "The window scale that an end announced in its handshake is not the one that "
        "the other end received. So the other end takes each window for a much smaller "
        "or larger one, and transfers crawl or lose what exceeds the real window.",
        Location.INTERMEDIARY,
        (
            "a firewall or load balancer changes or removes the window scale option",
            (
                "a SYN proxy answers for the server, with options that the server does "
                "not use (SYNPROXY --wscale, --mss)"
            ),
        ),
        (
            (
                "capture the handshake at both ends and compare wscale: tcpdump -v "
                "'tcp[tcpflags] & tcp-syn != 0'"
            ),
            (
                "have the SYN proxy announce the server's own values: ss -ti on the "
                "server shows wscale and mss"
            ),
            (
                "until then, disable scaling at one end (windows of 64 KiB): sysctl "
                "net.ipv4.tcp_window_scaling=0"
            ),
        ),
        severity=Severity.STALL,
    ),
    Failure(
        ECN_MARKED_DROPPED,
        "packets that are marked for ECN are dropped",
        (
            "Both ends use Explicit Congestion Notification, and packets with its mark "
            "(ECT) do not arrive. The kernel sends each again without the mark, a fifth of a "
            "second later: everything works, and crawls."
        ),
        Location.INTERMEDIARY,
        (
            "a firewall or router drops packets whose ECN bits are set",
            "a device takes these bits for those of the old type of service (TOS)",
        ),
        (
            "look for rules on tos, dscp or ecn: iptables -S, nft list ruleset",
            "until it is fixed, do not ask for ECN: sysctl net.ipv4.tcp_ecn=2",
        ),
        severity=Severity.STALL,
    ),
)
