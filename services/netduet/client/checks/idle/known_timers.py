"""Well-known timers after which a middlebox ends or forgets an idle connection.

Defaults in seconds, each with its source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_TOLERANCE_SHARE: Final = 0.03
_TOLERANCE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Timer:
    """A default timeout that many installations keep."""

    seconds: float
    owner: str


KNOWN: Final = (
    # Debian and Ubuntu, haproxy.cfg: timeout client 50000, timeout server 50000.
    Timer(50, "HAProxy as configured by Debian (timeout client)"),
    # ngx_http_proxy_module, proxy_read_timeout; Elastic Load Balancing, "Connection
    # idle timeout" of Application and Classic Load Balancers; IPVS, CLOSE_WAIT.
    Timer(60, "nginx (proxy_read_timeout) and of an AWS ALB or Classic ELB"),
    # Azure Load Balancer and NAT gateway, "TCP idle timeout": 4 minutes.
    Timer(240, "an Azure load balancer or NAT gateway"),
    # Network Load Balancer, tcp.idle_timeout.seconds; "NAT gateway basics".
    Timer(350, "an AWS Network Load Balancer or NAT gateway"),
    # ngx_stream_proxy_module, proxy_timeout 10m; Google Cloud, "VPC firewall rules":
    # connections tracked are inactive after 10 minutes.
    Timer(600, "nginx (stream proxy_timeout) and of Google Cloud's firewall"),
    # net/netfilter/ipvs/ip_vs_proto_tcp.c, IP_VS_TCP_S_ESTABLISHED; moby#31208, #37822.
    Timer(900, "IPVS (virtual addresses of Docker Swarm, kube-proxy in mode ipvs)"),
    # Google Cloud NAT, --tcp-established-idle-timeout.
    Timer(1200, "Google Cloud NAT"),
    # Envoy, tcp_proxy idle_timeout; Cisco ASA, timeout conn 1:00:00; PAN-OS, TCP timeout.
    Timer(3600, "Envoy (service meshes' sidecars) and of many firewalls"),
    # kube-proxy, conntrack.tcpEstablishedTimeout 24h.
    Timer(86_400, "conntrack as configured by kube-proxy"),
    # Documentation/networking/nf_conntrack-sysctl.rst, tcp_timeout_established.
    Timer(432_000, "Linux's conntrack (NAT, stateful firewalls)"),
)

KNOWN_UDP: Final = (
    # Documentation/networking/nf_conntrack-sysctl.rst: udp_timeout, udp_timeout_stream;
    # Google Cloud NAT, --udp-idle-timeout.
    Timer(
        30, "Linux's conntrack (a flow of less than 2 s) and Google Cloud NAT, for UDP"
    ),
    # Cisco ASA, timeout udp 0:02:00; Network Load Balancer, UDP flows.
    Timer(
        120, "Linux's conntrack, an AWS Network Load Balancer and a Cisco ASA, for UDP"
    ),
    # Linux before 4.20; Azure: "UDP port reuse timer", 4 minutes.
    Timer(180, "Linux's conntrack before version 4.20, for UDP"),
    Timer(240, "an Azure load balancer or NAT gateway, for UDP"),
    # IP_VS_UDP in net/netfilter/ipvs/ip_vs_proto_udp.c.
    Timer(
        300,
        "IPVS (virtual addresses of Docker Swarm, kube-proxy in mode ipvs), for UDP",
    ),
)


def between(lived: float, died: float, *, udp: bool = False) -> tuple[Timer, ...]:
    """Return the timers above ``lived`` and up to ``died`` seconds."""
    known = KNOWN_UDP if udp else KNOWN
    return tuple(timer for timer in known if lived < timer.seconds <= died)


def near(seconds: float) -> tuple[Timer, ...]:
    """Return the timers close to this time."""
    return tuple(
        timer
        for timer in KNOWN
        if abs(timer.seconds - seconds)
        <= max(_TOLERANCE_SECONDS, _TOLERANCE_SHARE * timer.seconds)
    )


def describe(timers: tuple[Timer, ...]) -> str:
    """Name the owners of these timers."""
    return "; ".join(
        f"{timer.seconds:g} s is the idle timeout of {timer.owner}" for timer in timers
    )
