"""Comparing both kernels' views of a handshake: tables of views, no network."""

from __future__ import annotations

import socket
from typing import Final

import pytest

from netduet.client.checks.tcp_options import (
    HandshakeViews,
    option_findings,
    option_notes,
    scaling_removed,
)
from netduet.client.net.dial import Address
from netduet.client.results.location import Direction, Location
from netduet.net.tcp_info import TcpOption
from netduet.wire.messages import TcpInfo, TcpSettings
from tests.unit.client.fake_server import tcp_info

THERE = Address(socket.AF_INET, "192.0.2.2", 12345)
ALL: Final = TcpOption.TIMESTAMPS | TcpOption.SACK | TcpOption.WINDOW_SCALE
OFFERED = TcpSettings(window_scaling=1, sack=1, timestamps=1, ecn=2)
WINDOW = 65_536


def view(**fields: int) -> TcpInfo:
    """Return a view in which all options are in use, with changed fields."""
    good = {
        "options": ALL,
        "snd_wscale": 7,
        "rcv_wscale": 7,
        "snd_wnd": WINDOW,
        "rcv_wnd": WINDOW,
        "advmss": 1448,
        "rtt": 1000,
    }
    return tcp_info(**{**good, **fields})


def views(client: TcpInfo, server: TcpInfo, **fields: object) -> HandshakeViews:
    """Return both views of a connection between hosts that offer all options."""
    return HandshakeViews(client, server, OFFERED, OFFERED, **fields)  # type: ignore[arg-type]


def classes(both: HandshakeViews) -> list[tuple[str, Location | None]]:
    """Return what was found, and where."""
    return [
        (finding.failure, finding.where) for finding in option_findings(THERE, both)
    ]


def test_agreeing_views_are_silent() -> None:
    """Nothing is found or noted if both kernels agree."""
    both = views(view(), view())
    assert option_findings(THERE, both) == []
    assert list(option_notes(both)) == []


@pytest.mark.parametrize(
    ("client", "server", "where"),
    [
        (view(), view(snd_wscale=0, snd_wnd=512), Location.TO_SERVER),
        (view(snd_wscale=0, snd_wnd=512), view(), Location.FROM_SERVER),
        (view(), view(snd_wscale=11, snd_wnd=16 * WINDOW), Location.TO_SERVER),
        (
            view(options=ALL & ~4, rcv_wscale=0, snd_wscale=0, snd_wnd=512),
            view(snd_wnd=128 * WINDOW),
            Location.INTERMEDIARY,
        ),
        (view(rcv_wnd=0), view(snd_wscale=0, snd_wnd=502), Location.TO_SERVER),
    ],
    ids=["zeroed up", "zeroed down", "raised up", "removed down", "older kernel"],
)
def test_misread_window_is_found_with_its_place(
    client: TcpInfo, server: TcpInfo, where: Location
) -> None:
    """Scales that differ are a failure if the windows differ by the same factor."""
    assert classes(views(client, server)) == [("path.window_scale", where)]


def test_misread_window_names_both_scales_and_the_effect() -> None:
    """The finding says what was announced, what arrived, and what that does."""
    both = views(view(), view(snd_wscale=0, snd_wnd=512))
    [finding] = option_findings(THERE, both)
    assert "this client announced the window scale 7, the server received 0" in (
        finding.seen
    )
    assert "512 bytes" in finding.evidence[1][1]
    assert finding.figures == {"down_scale_announced": 7, "down_scale_received": 0}


def test_scales_of_a_hidden_proxy_are_no_failure() -> None:
    """Different scales with alike windows belong to different connections."""
    assert classes(views(view(), view(snd_wscale=0))) == []


def test_removed_scaling_is_noted_with_its_limit() -> None:
    """If both hosts offer it and neither uses it, the SYN has lost it."""
    off = view(options=ALL & ~4, snd_wscale=0, rcv_wscale=0, rtt=40_000)
    [note] = option_notes(views(off, off))
    assert "this client offered window scaling, the server saw none" in note
    assert note.endswith("at most 13.1 Mbit/s at the RTT of 40 ms")
    assert scaling_removed(views(off, off)) is Direction.UP
    assert scaling_removed(views(off, view())) is Direction.DOWN
    disabled = TcpSettings(window_scaling=0)
    assert scaling_removed(HandshakeViews(off, off, OFFERED, disabled)) is None


@pytest.mark.parametrize(
    ("option", "name"),
    [(TcpOption.SACK, "SACK"), (TcpOption.TIMESTAMPS, "TCP timestamps")],
)
def test_other_removed_options_are_notes(option: TcpOption, name: str) -> None:
    """What only slows some transfers is noted, with the direction."""
    off, on = view(options=ALL & ~option), view()
    [up] = option_notes(views(off, off))
    assert name in up
    assert up.endswith("removed on the way up")
    [down] = option_notes(views(off, on))
    assert down.endswith("removed on the way down")


@pytest.mark.parametrize(
    ("client", "server", "words"),
    [
        (ALL, ALL, "passes only SYNs without it"),
        (ALL | 8 | 16, ALL | 8, "no packet marked for it arrived at the server"),
        (ALL | 8 | 16, ALL | 8 | 16, ""),
    ],
)
def test_ecn_that_does_not_work_is_noted(client: int, server: int, words: str) -> None:
    """ECN is looked at if this host asks for it."""
    both = HandshakeViews(
        view(options=client, bytes_received=100),
        view(options=server, bytes_received=100),
        TcpSettings(ecn=1),
        TcpSettings(ecn=2),
    )
    notes = list(option_notes(both))
    assert len(notes) == bool(words)
    assert all(words in note for note in notes)
    assert option_findings(THERE, both) == []


def test_dropped_ecn_marks_are_found() -> None:
    """If packets pass only when sent again, their mark is why."""
    both = views(
        view(options=ALL | 8 | 16, total_retrans=2, data_segs_out=4),
        view(options=ALL | 8, bytes_received=100),
    )
    assert classes(both) == [("path.ecn_marked_dropped", Location.TO_SERVER)]
    lossy = views(
        view(options=ALL | 8 | 16, total_retrans=1, data_segs_out=4),
        view(options=ALL | 8, bytes_received=100),
    )
    assert classes(lossy) == []


def test_lowered_mss_is_noted_with_its_direction() -> None:
    """An MSS below both the announced one and the sender's own path was lowered."""
    [note] = option_notes(views(view(), view(snd_mss=1360)))
    assert note == (
        "this client announced segments of up to 1448 bytes, the server sends 1360: the "
        "MSS is lowered on the way up"
    )
    narrow = view(snd_mss=1348, pmtu=1400, advmss=1348)
    assert list(option_notes(views(view(snd_mss=1348), narrow))) == []


def test_older_server_is_not_compared() -> None:
    """Without the server's options nothing is said."""
    older = view().model_copy(update={"options": None, "snd_wscale": None})
    both = views(view(), older)
    assert option_findings(THERE, both) == []
    assert list(option_notes(both)) == []
