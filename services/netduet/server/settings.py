"""The server's settings: one declaration each. Read by ``server.app`` alone."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from netduet.config.load import Duration, Rate, Settings, Size, contradiction
from netduet.config.units import GIB, HOUR, KIB, MIB
from netduet.server.udp_streams import MAX_STREAMS, MAX_STREAMS_PER_CLIENT

DAY = 24 * HOUR

Seconds = Annotated[Duration, Field(gt=0, le=DAY)]


def _anywhere(value: object) -> object:
    return "" if value == "*" else value


class ServerSettings(Settings):
    """Settings of ``netduet serve``."""

    model_config = SettingsConfigDict(env_prefix="NETDUET_SERVER_")

    host: str = ""
    """Address or name to listen on; empty listens on every address, IPv4 and IPv6."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 12_345
    """Port for TCP and UDP; 0 uses any free port."""

    udp: bool = True
    """Whether to answer UDP datagrams as well."""

    admin_host: Annotated[
        str, BeforeValidator(_anywhere), Field(json_schema_extra={"empty": "*"})
    ] = "127.0.0.1"
    """Address on which the admin port listens; `*` listens on all."""

    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """HTTP port for /livez, /readyz, /metrics and /version; 0 disables it."""

    tls_cert: str = ""
    """File with the certificate (PEM) that the TCP port presents, the server's own first, those of intermediate authorities behind it. With it, the port speaks TLS alone; UDP stays as it is. Empty: no TLS. Read again when a file changes, and on SIGHUP."""

    tls_key: str = ""
    """File with the key (PEM, without a passphrase) of tls_cert; empty: it is in the same file."""

    tls_client_ca: str = ""
    """File with the certificates (PEM) of the authorities whose clients are served (mutual TLS); empty asks clients for no certificate."""

    tls_min_version: Literal["1.2", "1.3"] = "1.2"
    """Oldest version of TLS that is accepted; 1.3 is used where both ends can."""

    admin_tls: bool = False
    """Whether the admin port speaks TLS as well, with the certificate of tls_cert."""

    admin_tls_client_ca: str = ""
    """As tls_client_ca, for the admin port."""

    service: Annotated[str, Field(min_length=1, max_length=128)] = "netduet"
    """Name of the service; clients compare it with the one they expect."""

    instance: Annotated[str, Field(max_length=256)] = ""
    """Name of this instance; empty uses the host name."""

    node: Annotated[str, Field(max_length=256)] = ""
    """Name of the machine that this instance runs on, shown by clients; empty shows none."""

    zone: Annotated[str, Field(max_length=256)] = ""
    """Name of the zone that this instance runs in, shown by clients; empty shows none."""

    token: Annotated[SecretStr, Field(min_length=16, max_length=1024)] | None = None
    """Token that clients must prove before the server answers their questions; it is never sent. At least 16 characters; unset lets every client ask."""

    greeting: Annotated[str, Field(min_length=1, max_length=1024)] = "Hello, client!"
    """Greeting sent to plain-text clients, in UTF-8."""

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Maximum number of concurrent connections; lower if the descriptor limit requires it."""

    max_connections_per_client: Annotated[int | None, Field(ge=1)] = None
    """Maximum number of concurrent connections per client address; unset uses max_connections, because clients behind a NAT share one address."""

    connection_rate: Annotated[float, Field(ge=0, le=1_000_000)] = 2000.0
    """Maximum number of new connections per second; those of 10 seconds may come at once. 0 sets no limit."""

    connection_rate_per_client: Annotated[float, Field(ge=0, le=1_000_000)] = 1000.0
    """The same per client address; clients behind a NAT share one address."""

    connection_lifetime: Annotated[Duration, Field(ge=0, le=365 * DAY)] = 0.0
    """Maximum time for which a connection may last; 0 sets no limit, because `netduet watch` keeps its connections for as long as they hold."""

    traffic_rate: Annotated[Rate, Field(ge=0, le=1e12)] = 1e9
    """Maximum rate of what TCP connections carry, both ways together, once traffic_burst is used up; the largest connections are then ended. 0 sets no limit."""

    traffic_burst: Annotated[Size, Field(ge=MIB)] = 64 * GIB
    """Bytes that TCP connections may carry at any speed; refilled at traffic_rate."""

    traffic_rate_per_client: Annotated[Rate, Field(ge=0, le=1e12)] = 1e8
    """The same rate per client address; clients behind a NAT share one address."""

    traffic_burst_per_client: Annotated[Size, Field(ge=MIB)] = 16 * GIB
    """The same burst per client address: more than two checks with the profile soak carry."""

    datagram_rate: Annotated[float, Field(ge=0, le=10_000_000)] = 20_000.0
    """Maximum number of datagrams answered per second; those of 10 seconds may come at once, and each 1,500 bytes count as one more. 0 sets no limit."""

    datagram_rate_per_client: Annotated[float, Field(ge=0, le=10_000_000)] = 5000.0
    """The same per client address; a check sends 500 a second."""

    backlog: Annotated[int, Field(ge=1, le=65_535)] = 1024
    """Length of the accept queue (listen(2)); limited by the kernel's somaxconn."""

    max_streams: Annotated[int, Field(ge=1, le=10_000)] = MAX_STREAMS
    """Maximum number of concurrent UDP streams; each stream check and each `netduet watch` uses one."""

    max_streams_per_client: Annotated[int, Field(ge=1, le=10_000)] = (
        MAX_STREAMS_PER_CLIENT
    )
    """Maximum number of concurrent UDP streams per client address; clients behind a NAT share one address."""

    max_frame_size: Annotated[Size, Field(ge=KIB, le=16 * MIB)] = MIB
    """Maximum payload of a frame."""

    max_question_size: Annotated[Size, Field(ge=KIB, le=64 * KIB)] = 2 * KIB
    """Maximum size of a question's JSON, over TCP and UDP."""

    max_question_fields: Annotated[int, Field(ge=16, le=4096)] = 64
    """Maximum number of fields and array elements in a question's JSON."""

    max_plain_text: Annotated[Size, Field(ge=1, le=64 * KIB)] = KIB
    """Maximum length of a plain-text client's message in the log."""

    max_buffered: Annotated[Size, Field(ge=MIB)] = 64 * MIB
    """Maximum number of bytes buffered over all connections: incomplete frames and unsent responses. Lower if a quarter of the container's memory limit is less. Above it, the largest connections of the address that holds most are ended."""

    write_buffer: Annotated[Size, Field(ge=KIB, le=64 * MIB)] = 64 * KIB
    """Maximum number of unsent bytes per connection; above it, the server stops reading from the peer."""

    first_byte_timeout: Seconds = 10.0
    """Timeout for a client's first byte."""

    opening_timeout: Seconds = 5.0
    """Time allowed for a netduet client to complete its opening message, measured from its first byte."""

    frame_timeout: Seconds = 10.0
    """Timeout for the rest of a frame once it has started to arrive."""

    idle_timeout: Seconds = 60.0
    """Maximum idle time of a netduet client's open connection."""

    hold_timeout: Seconds = 2 * HOUR
    """Maximum time for which a client may ask the server to hold an idle connection."""

    max_holds: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Maximum number of holds that the server is to end, over all connections."""

    max_holds_per_connection: Annotated[int, Field(ge=1, le=1000)] = 64
    """The same per connection; the checks use one."""

    write_timeout: Seconds = 10.0
    """Time after which a client that reads less than 4 KiB while responses are pending is reset; 2 s later, the kernel ends a connection whose peer acknowledges nothing."""

    linger: Seconds = 2.0
    """Time a netduet client has to close its connection after the server's FIN."""

    linger_bytes: Annotated[Size, Field(ge=0, le=GIB)] = 4 * MIB
    """Maximum number of bytes read and discarded while lingering."""

    plain_linger: Seconds = 30.0
    """Time a plain-text client has to finish and close its connection after the greeting."""

    plain_linger_bytes: Annotated[Size, Field(ge=0, le=GIB)] = 16 * MIB
    """Maximum number of bytes read from a plain-text client during plain_linger."""

    ledger_size: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Number of recent connections of netduet clients to remember; clients can ask about these."""

    shutdown_delay: Annotated[Duration, Field(ge=0, le=DAY)] = 0.0
    """Time to keep accepting after SIGTERM, until load balancers have noticed."""

    drain_timeout: Annotated[Duration, Field(ge=0, le=DAY)] = 8.0
    """Time for open connections to finish once the server has stopped accepting; the rest are reset."""

    time_limit: Annotated[Duration, Field(ge=0, le=7 * DAY)] = 0.0
    """Time after which the server ends by itself, as after SIGTERM; 0 serves until a signal."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of logged events."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """Log format: json (one object per line), console (text, coloured on a terminal), or auto (console on a terminal, otherwise json)."""

    log_queue: Annotated[int, Field(ge=128, le=1_000_000)] = 8192
    """Maximum number of log lines queued for a slow reader; further lines are dropped and counted."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name in ("tls_key", "tls_client_ca", "admin_tls"):
            if getattr(self, name) and not self.tls_cert:
                raise contradiction(name, "needs a file in", "tls_cert")
        if self.admin_tls_client_ca and not self.admin_tls:
            raise contradiction(
                "admin_tls_client_ca", "needs admin_tls, but", "admin_tls"
            )
        per_client, total = self.max_connections_per_client, self.max_connections
        if per_client is not None and per_client > total:
            raise contradiction(
                "max_connections_per_client", "must not exceed", "max_connections"
            )
        if self.max_frame_size > self.max_buffered:
            raise contradiction("max_frame_size", "must not exceed", "max_buffered")
        return self
