"""The server's settings: one declaration each. Read by ``server.app`` alone."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from netduet.config.load import Duration, Settings, Size, contradiction
from netduet.config.units import GIB, HOUR, KIB, MIB
from netduet.server.udp_streams import EACH, MOST

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
    """Port for TCP and UDP; 0 takes any free one."""

    udp: bool = True
    """Whether to answer datagrams too."""

    admin_host: Annotated[
        str, BeforeValidator(_anywhere), Field(json_schema_extra={"empty": "*"})
    ] = "127.0.0.1"
    """Address that the admin port listens on; `*` is every address."""

    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port of /livez, /readyz, /metrics and /version, over HTTP; 0 opens none."""

    service: Annotated[str, Field(min_length=1, max_length=128)] = "netduet"
    """Name of the service, which a client compares with the one it expects."""

    instance: Annotated[str, Field(max_length=256)] = ""
    """Name of this instance; empty takes the host's name."""

    node: Annotated[str, Field(max_length=256)] = ""
    """Name of the machine that this instance runs on, which clients show; empty says none."""

    zone: Annotated[str, Field(max_length=256)] = ""
    """Name of the zone that this instance runs in, which clients show; empty says none."""

    greeting: Annotated[str, Field(min_length=1, max_length=1024)] = "Hello, client!"
    """What a plain client is answered, in UTF-8."""

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Connections served at once; fewer when the descriptor limit is lower."""

    max_connections_per_client: Annotated[int | None, Field(ge=1)] = None
    """Connections served at once per client address; unset means max_connections, for behind a NAT everybody is one address."""

    backlog: Annotated[int, Field(ge=1, le=65_535)] = 1024
    """Connections that may wait to be accepted (listen(2)); the kernel's somaxconn bounds it."""

    max_streams: Annotated[int, Field(ge=1, le=10_000)] = MOST
    """Streams of datagrams at once: one for each check `stream` and each `netduet watch`."""

    max_streams_per_client: Annotated[int, Field(ge=1, le=10_000)] = EACH
    """Streams of datagrams at once per client address; behind a NAT everybody is one address."""

    max_frame_size: Annotated[Size, Field(ge=KIB, le=16 * MIB)] = MIB
    """Largest payload of a frame."""

    max_plain_text: Annotated[Size, Field(ge=1, le=64 * KIB)] = KIB
    """How much of a plain client's text is logged."""

    write_buffer: Annotated[Size, Field(ge=KIB, le=64 * MIB)] = 64 * KIB
    """Unsent bytes a connection may hold before its peer is no longer read."""

    first_byte_timeout: Seconds = 10.0
    """Time a client has to send its first byte."""

    opening_timeout: Seconds = 5.0
    """Time a framed client has, from its first byte, to complete the opening."""

    frame_timeout: Seconds = 10.0
    """Time a frame that has begun has to arrive whole."""

    idle_timeout: Seconds = 60.0
    """Time an open framed connection may stay silent."""

    hold_timeout: Seconds = 2 * HOUR
    """Longest time for which a client may have a silent connection held."""

    write_timeout: Seconds = 10.0
    """Time a client may read nothing at all while answers wait for it."""

    linger: Seconds = 2.0
    """Time a framed client has to close after the server has ended its sending."""

    linger_bytes: Annotated[Size, Field(ge=0, le=GIB)] = 4 * MIB
    """Bytes that are read and dropped in that time (linger)."""

    plain_linger: Seconds = 30.0
    """Time a plain client has to finish and close after it has been greeted."""

    plain_linger_bytes: Annotated[Size, Field(ge=0, le=GIB)] = 16 * MIB
    """Bytes that are read from a plain client in that time (plain_linger)."""

    ledger_size: Annotated[int, Field(ge=1, le=1_000_000)] = 4096
    """Recent framed connections that are remembered, for clients that ask."""

    shutdown_delay: Annotated[Duration, Field(ge=0, le=DAY)] = 0.0
    """Time to go on accepting after SIGTERM, until balancers have noticed."""

    drain_timeout: Annotated[Duration, Field(ge=0, le=DAY)] = 8.0
    """Time that connections have to finish once none is accepted any more; the rest are reset."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """JSON lines or coloured text; auto is text on a terminal only."""

    log_queue: Annotated[int, Field(ge=128, le=1_000_000)] = 8192
    """Log lines that may wait for a slow reader; further ones are dropped and counted."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        mine, total = self.max_connections_per_client, self.max_connections
        if mine is not None and mine > total:
            raise contradiction(
                "max_connections_per_client", "must not exceed", "max_connections"
            )
        return self
