"""A namespace as it is read: recorded files, and this very namespace."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from netduet.cli import commands
from netduet.net.namespace.read import read
from netduet.net.namespace.snapshot import Snapshot, compare
from netduet.net.namespace.text import lines
from tests.unit.net.namespace import test_proc as recorded


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write the recorded files where the kernel would have them."""
    net = tmp_path / "proc/net"
    net.mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0/mtu").write_text("1450\n")
    for name, text in {
        "tcp": recorded.TCP,
        "tcp6": recorded.TCP6,
        "udp": recorded.UDP,
        "route": recorded.ROUTE,
        "dev": recorded.DEV,
        "netstat": recorded.NETSTAT,
        "if_inet6": "20010db8000000000000000000000001 04 40 00 80     eth0\n",
    }.items():
        (net / name).write_text(text)
    return tmp_path


def test_recorded_namespace_is_read_whole(root: Path) -> None:
    """Files that do not exist, here udp6 and ipv6_route, count as empty."""
    snapshot = read(root)
    assert [str(each) for each in snapshot.tcp_listeners()] == [
        "[2001:db8::1]:80",
        "127.0.0.1:5432",
        "[::ffff:127.0.0.1]:8080",
        "[::]:12345",
        "127.0.0.11:39531",
    ]
    assert snapshot.ports_taken() == {80, 5432, 8080, 12345, 39531}
    loopback, link = snapshot.interfaces
    assert (loopback.mtu, link.mtu) == (None, 1450)
    assert link.addresses == ["2001:db8::1/64"]
    assert (snapshot.listen_overflows, snapshot.listen_drops) == (12, 15)
    assert Snapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


def test_change_counts_what_happened_between_two_looks(root: Path) -> None:
    """Overflows, drops of listeners, and drops of each interface."""
    before = read(root)
    net = root / "proc/net"
    (net / "netstat").write_text(recorded.NETSTAT.replace("0 12 15", "0 19 25"))
    (net / "dev").write_text(recorded.DEV.replace("8901    1    2", "8901    1    9"))
    change = compare(before, read(root))
    assert (change.overflows, change.drops) == (7, 10)
    assert change.interface_drops == {"eth0": 7}
    (net / "netstat").unlink()
    assert compare(before, read(root)).overflows is None


def test_words_say_who_can_reach_a_listener(root: Path) -> None:
    """A namespace alone, every address, or the one address."""
    text = "\n".join(lines(read(root)))
    assert "127.0.0.1:5432           this namespace alone  accept queue 3" in text
    assert "[::]:12345               every address         accept queue 0" in text
    assert "[2001:db8::1]:80         this address          accept queue 0" in text
    assert "accept queues: 12 overflows, 15 drops" in text
    assert "0.0.0.0/0      via 172.18.0.1  eth0" in text


def test_empty_namespace_is_said_to_be_empty(tmp_path: Path) -> None:
    """Without /proc there is nothing, and no error."""
    assert list(lines(read(tmp_path))).count("  none") == 3


def test_listener_of_this_process_is_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command reads the real kernel: a listener, and the loopback interface."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert commands.namespace(json_report=True) == 0
    document = json.loads(capsys.readouterr().out)
    [found] = [each for each in document["listeners"] if each["port"] == port]
    assert (found["address"], found["transport"]) == ("127.0.0.1", "tcp")
    assert "lo" in [each["name"] for each in document["interfaces"]]
    assert isinstance(document["listen_overflows"], int)
