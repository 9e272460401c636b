"""The files of /proc/net, as recorded in a container of a database."""

from __future__ import annotations

import pytest

from netduet.net.namespace import proc

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0B00007F:9A6B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 594998 1 0000000007e7e017 100 0 0 10 0
   1: 0100007F:1538 00000000:0000 0A 00000000:00000003 00:00000000 00000000   999        0 594999 1 00000000f48d7dc7 100 0 0 10 0
   2: 030012AC:1538 020012AC:C350 01 00000000:00000000 00:00000000 00000000   999        0 595000 1 00000000f48d7dc8 20 4 30 10 -1
   3: 030012AC:1F
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:3039 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 65532        0 790600 1 00000000f48d7dc7 100 0 0 10 0
   1: B80D0120000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 790601 1 00000000f48d7dc7 100 0 0 10 0
   2: 0000000000000000FFFF00000100007F:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 790602 1 00000000f48d7dc7 100 0 0 10 0
"""
UDP = """\
   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  907: 00000000:3039 00000000:0000 07 00000000:00000240 00:00000000 00000000 65532        0 1818793 2 0000000044afbd24 17
 2687: 0100007F:C4F8 0100007F:BE04 01 00000000:00000000 00:00000000 00000000     0        0 1818510 2 00000000f23c84ed 0
"""
ROUTE = """\
Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010012AC	0003	0	0	0	00000000	0	0	0
eth0	000012AC	00000000	0001	0	0	0	0000FFFF	0	0	0
*	00000A0A	00000000	0201	0	0	0	0000FFFF	0	0	0
eth0	00000B0B	00000000	0000	0	0	0	0000FFFF	0	0	0
"""
ROUTE6 = """\
20010db8000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 20010db8000000000000000000000001 00000400 00000003 00000000 00000003     eth0
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000004 00000000 80200001       lo
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000002 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
20010db8000100000000000000000000 30 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00200201       lo
"""
DEV = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
  eth0: 1234567    8901    1    2    0     0          0         0  7654321    9876    3    4    0     0       0          0
"""
NETSTAT = """\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPMD5NotFound
TcpExt: 0 12 15 0
IpExt: InNoRoutes InOctets
IpExt: 0 1234
"""


def test_tcp_listener_has_address_port_queue_and_owner() -> None:
    """Connections and a line that is cut are no listeners."""
    engine, database = proc.listeners(TCP, "tcp")
    assert str(engine) == "127.0.0.11:39531"
    assert (str(database), database.queue, database.uid) == ("127.0.0.1:5432", 3, 999)
    assert database.is_loopback
    assert database.drops is None


def test_ipv6_listener_has_its_address_in_text_form() -> None:
    """The words of the address are in host byte order."""
    wildcard, single, mapped = proc.listeners(TCP6, "tcp")
    assert (str(wildcard), wildcard.is_wildcard) == ("[::]:12345", True)
    assert str(single) == "[2001:db8::1]:80"
    assert (mapped.is_loopback, mapped.port) == (True, 8080)


def test_udp_listener_has_bytes_queued_and_drops() -> None:
    """A socket with a peer is no listener."""
    [listener] = proc.listeners(UDP, "udp")
    assert (listener.port, listener.queue, listener.drops) == (12345, 0x240, 17)


@pytest.mark.parametrize(
    ("digits", "order", "expected"),
    [
        ("0100007F", "little", "127.0.0.1"),
        ("7F000001", "big", "127.0.0.1"),
        ("00000000000000000000000001000000", "little", "::1"),
        ("00000000000000000000000000000001", "big", "::1"),
    ],
)
def test_address_is_read_in_both_byte_orders(
    digits: str, order: str, expected: str
) -> None:
    """The kernel prints words of four bytes as numbers of the host."""
    assert proc.parse_address(digits, order) == expected


def test_ipv4_route_has_gateway_interface_and_refusal() -> None:
    """A route that is down is left out."""
    default, link, refused = proc.routes(ROUTE)
    assert (default.destination, default.gateway) == ("0.0.0.0/0", "172.18.0.1")
    assert (link.destination, link.gateway, link.interface) == (
        "172.18.0.0/16",
        "",
        "eth0",
    )
    assert (refused.destination, refused.rejects) == ("10.10.0.0/16", True)


def test_ipv6_route_has_gateway_and_own_addresses_are_left_out() -> None:
    """So are multicast routes, and the kernel's null route, which is never up."""
    link, default, refused = proc.routes_v6(ROUTE6)
    assert (link.destination, link.gateway) == ("2001:db8::/64", "")
    assert (default.destination, default.gateway) == ("::/0", "2001:db8::1")
    assert (refused.destination, refused.rejects) == ("2001:db8:1::/48", True)


def test_device_has_drops_and_errors_of_both_directions() -> None:
    """Received drops, sent drops, received errors, sent errors."""
    assert proc.devices(DEV) == {"lo": (0, 0, 0, 0), "eth0": (2, 4, 1, 3)}


def test_counter_is_found_by_group_and_name() -> None:
    """A counter that the kernel lacks is None, not zero."""
    assert proc.counter(NETSTAT, "TcpExt", "ListenOverflows") == 12
    assert proc.counter(NETSTAT, "IpExt", "InOctets") == 1234
    assert proc.counter(NETSTAT, "IpExt", "ListenDrops") is None
    assert proc.counter("", "TcpExt", "ListenDrops") is None
