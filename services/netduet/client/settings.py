"""The client's settings: one declaration each. Read by ``client.commands`` alone."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import SettingsConfigDict

from netduet.client.results.target import parse_target
from netduet.config.load import Duration, Durations, Percent, Rate, Settings, Words
from netduet.config.units import HOUR

_PORT = 12_345

Seconds = Annotated[Duration, Field(gt=0, le=HOUR)]


def _parsable(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        parse_target(word, _PORT)
    return words


def _anything(value: object) -> object:
    return "" if value == "*" else value


class ClientSettings(Settings):
    """Settings of ``netduet check``, ``netduet watch`` and ``netduet hello``."""

    model_config = SettingsConfigDict(env_prefix="NETDUET_CLIENT_")

    target: Annotated[
        Words, AfterValidator(_parsable), Field(json_schema_extra={"flag": "TARGET…"})
    ] = ()
    """Targets to check when the command line names none: host, host:port or [v6]:port, separated by commas or spaces; each may end in =open or =blocked, what is expected of it."""

    port: Annotated[int, Field(ge=1, le=65_535)] = _PORT
    """Port of a target that names none."""

    expect: Literal["open", "blocked"] = "open"
    """What is expected of a target that does not say so itself: open must be reached, blocked must not."""

    expect_service: Annotated[
        str,
        BeforeValidator(_anything),
        Field(max_length=128, json_schema_extra={"empty": "*"}),
    ] = "netduet"
    """Service that must answer; `*` accepts any."""

    family: Literal["any", "4", "6"] = "any"
    """Addresses to use: IPv4 alone, IPv6 alone, or any."""

    profile: Literal["quick", "full", "soak"] = "quick"
    """How much to check: quick takes seconds, full about two minutes, soak hours."""

    checks: Words = ()
    """Checks to run, by name, with those that they need; empty runs all of them."""

    max_loss: Annotated[Percent, Field(ge=0, lt=1)] = 0.02
    """Share of packets that may be lost one way, or of short connections that may fail, without a failure."""

    idle_rungs: Durations = ()
    """Times of silence that the check `idle` tries; empty takes those of the profile."""

    expect_instances: Annotated[int, Field(ge=0, le=1000)] = 0
    """Instances that must answer behind the name; 0 expects no number."""

    max_uneven: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 2.0
    """How many times what the others get on average one instance may get of the connections."""

    min_rate: Annotated[Rate, Field(ge=0, le=1e12)] = 0.0
    """Rate that the check `load` must reach each way, in bit/s: 10M, 2.5Gbit/s; 0 judges none."""

    max_outage: Annotated[Duration, Field(ge=0.2, le=HOUR)] = 0.5
    """Longest time the network may be out without a failure; below 200ms an outage is not told from loss. `watch` tells of connections only what is longer."""

    stream_time: Annotated[Duration, Field(ge=0, le=24 * HOUR)] = 0.0
    """Time for which the check `stream` watches; 0 takes that of the profile: 2 seconds, 20 seconds, an hour."""

    resolve_timeout: Seconds = 5.0
    """Time a name has to resolve."""

    connect_timeout: Seconds = 5.0
    """Time each address has to accept a connection."""

    answer_timeout: Seconds = 3.0
    """Time a server has to answer."""

    watch_neighbours: Annotated[int, Field(ge=0, le=1000)] = 8
    """Addresses of a name that `watch` takes, always the same for this node's name, or this host's; 0 takes all."""

    watch_interval: Annotated[Duration, Field(ge=0.02, le=1)] = 0.05
    """Time from one datagram of a stream of `watch` to the next, each way; a fresh connection comes with every 20th, a question on the old one with every 10th. What takes fewer than 8 is loss, and no outage."""

    watch_checks_interval: Annotated[Duration, Field(ge=1, le=24 * HOUR)] = 300.0
    """Time from one turn of `watch`'s checks at a peer to the next, a fifth more or less: identity, balance, a light load."""

    watch_resolve_interval: Annotated[Duration, Field(ge=1, le=HOUR)] = 5.0
    """Time after which `watch` looks names up again; a second in the first minute of an outage."""

    watch_history: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Outages, and peers that left, that `watch` remembers singly; all are counted."""

    admin_host: Annotated[
        str, BeforeValidator(_anything), Field(json_schema_extra={"empty": "*"})
    ] = "127.0.0.1"
    """Address that the admin port of `watch` listens on; `*` is every address."""

    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port of /livez, /readyz, /metrics and /version of `watch`, over HTTP; 0 opens none."""

    node: Annotated[str, Field(max_length=256)] = ""
    """Name of the machine that this client runs on, which verdicts and logs show; empty says none."""

    zone: Annotated[str, Field(max_length=256)] = ""
    """Name of the zone that this client runs in, which verdicts and logs show; empty says none."""

    greeting: Annotated[str, Field(min_length=1, max_length=1024)] = "Hello, server!"
    """What `hello` says, in UTF-8."""

    json_report: Annotated[bool, Field(json_schema_extra={"flag": "--json"})] = False
    """Print one JSON document instead of words (schema: docs/report.schema.json). `watch` prints nothing, and logs all."""

    junit: str = ""
    """File to which a JUnit report is written besides; empty writes none."""

    resume: str = ""
    """File that keeps what is done: an interrupted run with the same targets and profile goes on from there. Removed when all is done; empty keeps nothing."""

    color: Literal["auto", "always", "never"] = "auto"
    """Colour in words; auto is on a terminal only, and NO_COLOR is honoured."""

    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """Least severe level that is logged, on stderr."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """JSON lines or coloured text; auto is text on a terminal only."""

    log_queue: Annotated[int, Field(ge=128, le=1_000_000)] = 8192
    """Log lines that may wait for a slow reader; further ones are dropped and counted."""
