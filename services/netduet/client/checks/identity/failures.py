"""The failures that the check ``identity`` finds."""

from __future__ import annotations

from typing import Final

from netduet.client.results.advice import Advice
from netduet.client.results.failure import Failure, Severity
from netduet.client.results.location import Location

_ACCEPTED_FOR_IT: Final = Advice(
    (
        "a published port or proxy (docker-proxy, sidecar) accepts connections on "
        "behalf of a server that is down, or that listens on another port, or only on "
        "127.0.0.1 in its container"
    ),
    pod=(
        "a proxy (a sidecar, an ingress) accepts connections on behalf of a server "
        "that is down, or that listens on another port (targetPort), or only on "
        "127.0.0.1 in its pod"
    ),
)

FAILURES: Final[tuple[Failure, ...]] = (
    Failure(
        "identity.silent",
        "connection accepted, but no response",
        (
            "The connection was accepted, by a kernel or a proxy, but no response to "
            "the request arrived."
        ),
        Location.UNKNOWN,
        (
            "the server is frozen: paused, stopped, deadlocked, out of CPU or memory",
            (
                "a proxy, sidecar or load balancer in front accepts connections on behalf "
                "of a server that is down"
            ),
            "a firewall allows the handshake but drops the data that follows",
            (
                "a proxy waits for the end of the request, or the server or the path "
                "is very slow"
            ),
        ),
        (
            Advice(
                "check whether the server is running: docker ps (paused?), its logs, "
                "its CPU",
                pod=(
                    "check whether the server's pod is running and ready: kubectl get "
                    "pods, kubectl logs POD, kubectl top pod"
                ),
            ),
            "connect directly to the server's address, bypassing any proxy or load balancer",
            "allow more time: --answer-timeout 15s",
            (
                "capture traffic at both ends (tcpdump tcp port PORT) to see which "
                "side stops responding"
            ),
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.unacknowledged",
        "connection accepted, but what follows is lost",
        (
            "The connection was made, and then the kernel at the other end acknowledged "
            "no byte of the request. A kernel acknowledges whether or not its program "
            "runs: so packets are lost, and it is not the server that hangs."
        ),
        Location.UNKNOWN,
        (
            (
                "a stateful firewall sees one direction of the connection alone "
                "(asymmetric routing), and drops what follows the handshake"
            ),
            "a firewall lets the handshake pass and drops packets that carry data",
            "the acknowledgements are lost on the way back",
            "packets with data arrive with a wrong checksum (offloading on a tunnel)",
        ),
        (
            (
                "compare the paths of both directions: ip route get ADDRESS, tracepath "
                "-n ADDRESS, at both ends"
            ),
            (
                "check the firewalls on both paths for packets without a known "
                "connection (conntrack: INVALID)"
            ),
            (
                "capture traffic at both ends (tcpdump tcp port PORT) to see which "
                "packets arrive"
            ),
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.content_dropped",
        "the request is dropped or reset for what it contains",
        (
            "The connection was made, and the request is lost or reset each time; as "
            "many other bytes are acknowledged each time. So neither the length nor the "
            "port is what matters: something in between looks into the data."
        ),
        Location.INTERMEDIARY,
        (
            (
                "an inspecting firewall or intrusion prevention system does not know the "
                "protocol, or takes it for another one"
            ),
            "an application gateway (ALG) or transparent proxy passes its own protocol alone",
            "a broken network card or driver drops packets with certain bytes",
        ),
        (
            (
                "look into the log of firewalls and intrusion prevention on the path for "
                "this address and port"
            ),
            (
                "allow the protocol or the port there: an application with data of its "
                "own may pass, or be dropped likewise"
            ),
            "capture traffic at both ends (tcpdump tcp port PORT): which packets arrive?",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.closed",
        "connection accepted, then closed without a response",
        "The connection was closed without a single byte of a response.",
        Location.INTERMEDIARY,
        (
            _ACCEPTED_FOR_IT,
            (
                "the server closes connections that it does not understand: it is not "
                "netduet"
            ),
            "the server has reached its connection limit",
        ),
        (
            (
                "connect directly to the server's address, bypassing any proxy or "
                "published port"
            ),
            "check the server's logs, and in its container what it listens on: netduet namespace, ss -tln",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.reset",
        "connection accepted, then reset",
        "The connection was reset before a single byte of a response arrived.",
        Location.INTERMEDIARY,
        (
            _ACCEPTED_FOR_IT,
            "the server crashed or was killed while responding",
            "a firewall resets connections that carry data it does not recognize",
        ),
        (
            (
                "connect directly to the server's address, bypassing any proxy or "
                "published port"
            ),
            "check the server's logs, and in its container what it listens on: netduet namespace, ss -tln",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.not_netduet",
        "something other than netduet responds",
        "Something responds at the address, but it is not a netduet server.",
        Location.SERVER,
        (
            "another service uses this name or port",
            "a stale address now belongs to another host",
        ),
        (
            "check which service the name and port belong to",
            (
                "run `netduet hello HOST:PORT`: it sends a plain-text greeting to any TCP server and prints the reply"
            ),
        ),
        severity=Severity.UNREACHABLE,
        aliases=("identity.stranger",),
    ),
    Failure(
        "identity.plain",
        "a plain-text server responds",
        (
            "The response is the plain-text greeting: the server does not support the "
            "framed protocol, or it is a netduet server, but the first byte that it "
            "received was not that of our request."
        ),
        Location.UNKNOWN,
        (
            "the server is netduet's plain-text predecessor, or a similar script",
            "a load balancer sends data of its own first (a PROXY protocol header)",
            "a proxy or tunnel alters or drops the first bytes",
        ),
        (
            Advice(
                "check which program runs there, and its log: docker ps, docker logs",
                pod=(
                    "check which program runs there, and its log: kubectl get pods -o "
                    "wide, kubectl logs POD"
                ),
            ),
            "disable the PROXY protocol in the load balancer: netduet does not support it",
            "connect directly to the server's address, bypassing any proxy or load balancer",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.other_protocol",
        "a service of another protocol responds",
        "The service that responds does not speak the protocol that the target demands.",
        Location.SERVER,
        (
            "another service uses this name or port",
            "the target names the wrong port or protocol",
            "a proxy or login page in between responds instead of the service",
        ),
        (
            "check which service the name and port belong to",
            "compare the protocol in the target (HOST:PORT/PROTOCOL) with the service's",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.not_ready",
        "the service responds that it is not ready",
        "The service, or a gateway in front of it, responds that it cannot serve now.",
        Location.SERVER,
        (
            "it is starting, loading its data, or in maintenance",
            "a gateway responds (HTTP 502, 503 or 504), and the service behind it is down",
            "something that the service depends on is down",
        ),
        (
            "wait until it is ready: netduet check --wait 60s TARGET",
            "look at the service's log, and at the log of the gateway in front of it",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.denied",
        "the service does not serve this client",
        "The service responds that it accepts no clients from this address, whoever they are.",
        Location.SERVER,
        (
            "its configuration allows certain addresses only",
            "source NAT or a proxy in between changed this client's address",
            "it has blocked this address after earlier errors",
        ),
        (
            "look up the service's message in its documentation",
            "compare the address that the service sees with those that it allows",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.certificate_expired",
        "the certificate is not valid now",
        "The TLS certificate of the server has expired, or is not valid yet.",
        Location.SERVER,
        (
            "it was not renewed, or the server was not reloaded after the renewal",
            "the clock of this host is wrong",
        ),
        (
            "renew the certificate and reload the server",
            "compare this host's clock: date -u",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.certificate_name",
        "the certificate is for another name",
        "The TLS certificate is trusted, but it is not valid for the name of the target.",
        Location.SERVER,
        (
            "the target uses a name that the certificate does not list",
            "another server or virtual host responds",
        ),
        (
            "use one of the certificate's names as the target",
            "issue a certificate that lists this name (subjectAltName)",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.mangled",
        "the first bytes are altered in transit",
        "The protocol's signature did not arrive as sent: text conversion changed it, "
        "or other bytes came before it.",
        Location.INTERMEDIARY,
        (
            "a proxy or tunnel treats the stream as text and converts line endings",
            "a proxy sends data of its own first: a banner, an error page",
        ),
        (
            "configure the proxy or tunnel to pass bytes unchanged (TCP mode, binary)",
            "connect directly to the server's address, bypassing any proxy or load balancer",
        ),
        severity=Severity.DATA,
    ),
    Failure(
        "identity.other_service",
        "a netduet server for another service responds",
        "The server reports a service other than the expected one.",
        Location.SERVER,
        (
            "the name or address belongs to another deployment",
            "the expectation is wrong (--expect-service)",
        ),
        (
            "compare NETDUET_SERVER_SERVICE there with NETDUET_CLIENT_EXPECT_SERVICE here",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.self",
        "the client connects to itself",
        "Both ends of the connection are the same socket (a TCP simultaneous open).",
        Location.CLIENT,
        (
            "the port lies in this host's ephemeral range and nothing listens on it",
            "the target is, by mistake, an address of this host",
        ),
        ("check the target, and use a port outside net.ipv4.ip_local_port_range",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.busy",
        "the server has reached its connection limit",
        "The server responded that its connection limit is reached.",
        Location.SERVER,
        (
            "clients hold more connections than NETDUET_SERVER_MAX_CONNECTIONS allows",
            "the limit is lower than what a check holds open at once (a few dozen)",
            "many clients share one address (NAT), and the limit per client is low",
        ),
        ("raise the limit, or find out on the server which clients hold them: ss -tn",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.draining",
        "the server is shutting down",
        "The server responded that it accepts no new work.",
        Location.SERVER,
        (
            "it is being stopped or replaced, and a load balancer still sends clients to it",
        ),
        (
            "try again; if it persists, compare the load balancer's targets with the running servers",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.tls_required",
        "the server speaks TLS alone",
        "The netduet server responded that its port requires TLS, and this client began without it.",
        Location.CLIENT,
        (
            "the server has a certificate (NETDUET_SERVER_TLS_CERT), and --tls is missing",
        ),
        ("add --tls, and --tls-ca FILE if a private authority issued the certificate",),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.tls_failed",
        "no TLS connection to the netduet server",
        "The connection was accepted, and the TLS handshake with the server failed; the error says why.",
        Location.UNKNOWN,
        (
            "the server's certificate is not trusted here, has expired, or is for another name",
            "the server speaks no TLS, or demands a client certificate",
            "something in between terminates TLS with a certificate of its own",
        ),
        (
            "look at the finding of the check tls, if it has one",
            "name the authority (--tls-ca) or the certificate's name (--tls-name)",
            "if the server speaks no TLS, leave out --tls",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.unauthorized",
        "the server demands a token that this client does not have",
        "The server answers only clients that prove its token.",
        Location.CLIENT,
        (
            "this client has no token, or another one: NETDUET_CLIENT_TOKEN",
            "the server's token was changed: NETDUET_SERVER_TOKEN",
        ),
        (
            "give both ends the same token, as a secret or in a file: see docs/token.md",
            "compare the two without showing them: sha256sum /run/secrets/*token",
        ),
        severity=Severity.UNREACHABLE,
    ),
    Failure(
        "identity.protocol",
        "the two ends do not agree on the protocol",
        "One end violated the protocol; the message says how.",
        Location.UNKNOWN,
        (
            "the two ends have incompatible versions",
            "something on the path alters, truncates or injects data",
        ),
        ("compare the versions: netduet --version at both ends",),
        severity=Severity.UNREACHABLE,
    ),
)
