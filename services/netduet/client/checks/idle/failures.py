"""The failures that the check ``idle`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location
from netduet.client.results.needs import Need

_KEEP_ALIVE: Final = "enable TCP keep-alive in the application, at an interval well below the idle timeout: SO_KEEPALIVE with TCP_KEEPIDLE; the kernel's default of 2 hours is too long"
_RAISE: Final = "raise the idle timeout on the device in between, if it is yours"

# Facts: nginx.org ngx_stream_proxy_module (proxy_timeout 10m), HAProxy's configuration
# manual (timeout client, server, tunnel), Envoy's tcp_proxy (idle_timeout 1 h), AWS
# "Network Load Balancers" (350 s, then a reset for whoever sends), Azure "TCP reset and
# idle timeout" (4 min, without a reset unless enabled), Linux ip_vs (900 s).
_DEAD: Final = (
    "the next request on a pooled or long-lived connection fails: HAProxy timeout "
    "client, server and tunnel, nginx stream proxy_timeout (10m), Envoy idle_timeout "
    "(1 h), AWS NLB (350 s)"
)
_DEAD_SILENTLY: Final = (
    "the next request on a pooled or long-lived connection hangs until a timeout: "
    "Azure Load Balancer (4 min), IPVS of Swarm and kube-proxy (15 min)"
)

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "idle.reset",
        "idle connections are reset",
        "A connection that was idle for a while was reset, but by neither end.",
        Location.INTERMEDIARY,
        (
            (
                "a load balancer, NAT or firewall forgets idle connections, and resets the "
                "next sender: an AWS Network Load Balancer after 350 s"
            ),
            "a proxy resets both its sides when its idle timeout expires",
        ),
        (
            _KEEP_ALIVE,
            _RAISE,
            "narrow the idle timeout down with --idle-rungs, to find out which device it belongs to",
        ),
        need=Need.IDLE,
        consequence=_DEAD,
    ),
    Failure(
        "idle.closed",
        "idle connections are closed",
        "A connection that was idle for a while was closed, but by neither end.",
        Location.INTERMEDIARY,
        (
            (
                "a proxy or load balancer closes both its sides when its idle timeout "
                "expires: HAProxy (timeout client, server, tunnel), nginx stream "
                "(proxy_timeout, 10 min)"
            ),
            "a service mesh sidecar does the same: Envoy (idle_timeout, 1 h)",
        ),
        (
            (
                "have the application itself send data periodically: proxies ignore "
                "TCP keep-alive"
            ),
            _RAISE,
        ),
        need=Need.IDLE,
        consequence=_DEAD,
    ),
    Failure(
        "idle.silent",
        "idle connections are dropped silently",
        "After an idle period, data sent on a connection got no response and no reset.",
        Location.INTERMEDIARY,
        (
            (
                "a NAT or firewall forgets idle connections, and drops packets that "
                "belong to connections it does not know"
            ),
            "IPVS (Docker Swarm's virtual addresses, kube-proxy) does so after 15 minutes",
            (
                "a load balancer forgets them, as Azure's does after 4 minutes unless "
                "configured to send resets"
            ),
        ),
        (
            _KEEP_ALIVE,
            _RAISE,
            "set TCP_USER_TIMEOUT; otherwise the application waits for 15 minutes",
        ),
        severity=Severity.STALL,
        need=Need.IDLE,
        consequence=_DEAD_SILENTLY,
    ),
    Failure(
        "idle.lifetime",
        "connections end at a fixed age, however busy they are",
        (
            "Connections that were used all the time ended at the same time since they "
            "began, and neither end did that."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a proxy or load balancer limits the lifetime of connections: Envoy "
                "(max_connection_duration), or a session limit of a firewall"
            ),
            "a proxy is restarted, or reloads its configuration, periodically",
        ),
        (
            "raise or remove that limit on the device in between, if it is yours",
            (
                "have the application open a new connection before that age: a pool's "
                "maxLifetime, gRPC's MAX_CONNECTION_AGE with a grace period"
            ),
        ),
        severity=Severity.STALL,
        need=Need.IDLE,
        consequence=(
            "requests and streams are cut when their connection reaches that age, even "
            "while data flows: Envoy max_connection_duration"
        ),
    ),
    Failure(
        "idle.udp_forgotten",
        "silent UDP flows are forgotten",
        (
            "After a silence of both ends, datagrams that the server sends to the client "
            "no longer arrive, while those of a busy flow do."
        ),
        Location.INTERMEDIARY,
        (
            (
                "a NAT or firewall forgets UDP flows after a short silence, and drops "
                "datagrams from outside that belong to no flow it knows"
            ),
            "a load balancer or IPVS forgets them, and chooses another server",
        ),
        (
            (
                "have the application send a datagram more often: PersistentKeepalive of "
                "WireGuard, PING of QUIC, qualify_frequency of SIP servers"
            ),
            "raise the UDP timeout on the device in between (conntrack: udp_timeout_stream)",
            "narrow the timer down with --idle-rungs",
        ),
        severity=Severity.DATAGRAMS,
        need=Need.IDLE,
        also_need=Need.UDP,
        consequence=(
            "calls, VPNs and subscriptions over UDP receive nothing more after a silence: "
            "NATs and firewalls with UDP timeouts below 2 minutes"
        ),
    ),
    Failure(
        "idle.interrupted",
        "idle connections could not be kept open for the full test",
        (
            "The server itself ended them or is gone, which says nothing about the "
            "network."
        ),
        Location.SERVER,
        (
            "the server was stopped or restarted during the check",
            "the server has reached its connection limit",
        ),
        ("run the check again while the server stays up",),
        need=Need.IDLE,
        consequence="how long idle connections live here is not known",
    ),
)
