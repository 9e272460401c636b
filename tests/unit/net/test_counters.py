"""The kernel's counters, from the files of /proc/net."""

from __future__ import annotations

from pathlib import Path

from netduet.net.counters import COUNTERS, difference, growth, read

FILES = {
    "snmp": (
        "Ip: Forwarding InReceives InDelivers\n"
        "Ip: 1 700 650\n"
        "Tcp: MaxConn InCsumErrors\n"
        "Tcp: -1 4\n"
        "Udp: InDatagrams InCsumErrors RcvbufErrors\n"
        "Udp: 9 5\n"
    ),
    "netstat": (
        "TcpExt: SyncookiesSent IPReversePathFilter ListenDrops\nTcpExt: 0 6 7\n"
    ),
    "snmp6": "Ip6InReceives                   \t12\nUdp6InCsumErrors x\nodd\n",
    "dev": (
        "Inter-|   Receive\n face |bytes    packets errs\n"
        "    lo: 10 11 0 0 0 0 0 0 20 21 0 0 0 0 0 0\n"
        "  eth0: 10 30 0 0 0 0 0 0 20 40 0 0 0 0 0 0\n"
        "  eth1: 10 3 0 0 0 0 0 0 20 4 0 0 0 0 0 0\n"
        "  eth2: 10\n"
    ),
    "stat/nf_conntrack": (
        "entries invalid drop early_drop insert_failed\n"
        "00000082 0000000a 00000010 00000000 00000001\n"
        "00000082 00000001 00000001 00000000 00000000\n"
        "00000082\n"
    ),
}


def test_counters_are_read_by_the_names_of_nstat(tmp_path: Path) -> None:
    """Those of all processors and interfaces are added up; odd lines are skipped."""
    for name, text in FILES.items():
        path = tmp_path / "proc/net" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert read(tmp_path) == {
        "TcpInCsumErrors": 4,
        "UdpInCsumErrors": 5,
        "TcpExtIPReversePathFilter": 6,
        "TcpExtListenDrops": 7,
        "IpInReceives": 700,
        "IpInDelivers": 650,
        "Ip6InReceives": 12,
        "conntrack.drop": 17,
        "conntrack.early_drop": 0,
        "conntrack.insert_failed": 1,
        "conntrack.invalid": 11,
        "device.received": 33,
        "device.sent": 44,
        "device.lo": 11,
    }


def test_no_files_mean_no_counters(tmp_path: Path) -> None:
    """A container may hide all of /proc/net."""
    assert read(tmp_path) == {}


def test_this_kernel_has_counters_that_are_declared() -> None:
    """A declared name is one that a kernel uses."""
    own = read()
    assert "TcpInCsumErrors" in own
    assert own.keys() <= COUNTERS.keys()


def test_growth_leaves_out_what_stayed() -> None:
    """Readings list only counters that are not 0, so a new one has grown."""
    before, after = {"a": 1, "b": 2, "c": 3}, {"a": 4, "b": 2, "d": 9}
    assert difference(before, after) == {"a": 3, "b": 0}
    assert growth(before, after) == {"a": 3, "d": 9}
