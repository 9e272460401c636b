"""The client's settings: one declaration each. Read by ``client.commands`` alone."""

from __future__ import annotations

from collections.abc import Mapping
from string import hexdigits
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from netduet.client.results.needs import parse_requirements
from netduet.client.results.target import (
    Scheme,
    parse_target,
    public_form,
)
from netduet.config.load import Duration, Durations, Percent, Rate, Settings, Words
from netduet.config.units import HOUR

_PORT = 12_345
_FINGERPRINT_DIGITS = 64

Seconds = Annotated[Duration, Field(gt=0, le=HOUR)]


def schemes() -> Mapping[str, Scheme]:
    """Return the protocols that a target can name."""
    from netduet.client.protocols.schemes import SCHEMES  # noqa: PLC0415 - slow

    return SCHEMES


def _parsable(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return valid targets without the secrets that a URL may hold."""
    for word in words:
        parse_target(word, _PORT, schemes=schemes)
    return tuple(map(public_form, words))


def _known_protocol(name: str) -> str:
    if name and name not in schemes():
        raise ValueError(f"no such protocol; known are {', '.join(sorted(schemes()))}")
    return name


def _known_needs(words: tuple[str, ...]) -> tuple[str, ...]:
    parse_requirements(needs=words)
    return words


def _known_purposes(words: tuple[str, ...]) -> tuple[str, ...]:
    parse_requirements(purposes=words)
    return words


def _fingerprints(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return fingerprints in lower case, without colons."""
    plain = tuple(word.replace(":", "").lower() for word in words)
    for word, digits in zip(words, plain, strict=True):
        if len(digits) != _FINGERPRINT_DIGITS or set(digits) - set(hexdigits):
            raise ValueError(
                f"{word!r} is no SHA-256 fingerprint: {_FINGERPRINT_DIGITS} hex digits, "
                "with or without colons"
            )
    return plain


def _any_service(name: object) -> object:
    return "" if name == "*" else name


class ClientSettings(Settings):
    """Settings of ``netduet check``, ``netduet watch`` and ``netduet hello``."""

    model_config = SettingsConfigDict(env_prefix="NETDUET_CLIENT_")

    target: Annotated[
        Words, AfterValidator(_parsable), Field(json_schema_extra={"flag": "TARGET…"})
    ] = ()
    """Targets to check when the command line names none: host, host:port, host:port/protocol or protocol://host:port, separated by commas or spaces; append =open or =blocked to state what is expected."""

    port: Annotated[int, Field(ge=1, le=65_535)] = _PORT
    """Port for targets that name neither a port nor a protocol."""

    expect: Literal["open", "blocked"] = "open"
    """Expectation for targets that do not state one. open: must be reachable; blocked: must not be."""

    expect_service: Annotated[str, Field(max_length=128)] = ""
    """Service of the netduet server that must respond; `*` demands a netduet server of any service, and an empty value accepts any service, of netduet or not."""

    expect_protocol: Annotated[
        str,
        AfterValidator(_known_protocol),
        Field(json_schema_extra={"flag": "--expect-protocol"}),
    ] = ""
    """Protocol that the service must speak, for targets that do not name one: `postgres`, `http`, …; `any` takes each one, if the service responds at all; `tcp` is content with an accepted connection."""

    tls: bool = False
    """Speak TLS with netduet servers: all connections of the checks and of `watch`. UDP stays as it is. Certificates are verified."""

    tls_ca: str = ""
    """File with the certificates (PEM) of the authorities that a TLS server's certificate must lead to; empty trusts those of this host."""

    tls_cert: str = ""
    """File with the client certificate (PEM) for TLS servers that ask for one; intermediate certificates may follow in it. Empty presents none."""

    tls_key: str = ""
    """File with the key (PEM, without a passphrase) of the client certificate; empty: it is in the file of the certificate."""

    tls_name: Annotated[str, Field(max_length=253)] = ""
    """Name to send (SNI) and to demand in the certificate, if it is not the target's; HTTP requests name it as their host, too. Empty takes the target's name."""

    tls_insecure: bool = False
    """Do not demand that a TLS server's certificate leads to a trusted authority: the check tls notes it instead, and connections with --tls verify nothing."""

    tls_fingerprint: Annotated[Words, AfterValidator(_fingerprints)] = ()
    """SHA-256 fingerprints, in hex, of the certificates that TLS servers present: any other means that TLS is intercepted. Empty accepts each."""

    tls_issuer: Annotated[str, Field(max_length=256)] = ""
    """Part of the name of the authority that issues the certificates of TLS servers: any other means that TLS is intercepted. Empty accepts each."""

    tls_min_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """Minimum number of days for which a TLS server's certificate must still be valid; the check tls fails below it."""

    expect_client_certificate: bool = False
    """Demand that TLS servers refuse clients without a certificate (mutual TLS)."""

    token: Annotated[SecretStr, Field(min_length=16, max_length=1024)] | None = None
    """Token that netduet servers may demand; it is proved, never sent. At least 16 characters; unset proves none."""

    family: Literal["any", "4", "6"] = "any"
    """Addresses to use: IPv4 only, IPv6 only, or any."""

    profile: Literal["quick", "full", "soak"] = "quick"
    """How much to check: quick takes seconds, full about two minutes, soak hours."""

    checks: Words = ()
    """Names of the checks to run; the checks that they depend on run too. Empty runs all."""

    need: Annotated[Words, AfterValidator(_known_needs)] = ()
    """What applications need of the network: tcp, udp, half-close, reset, idle=10m, rate=100M. What is listed must work, and the rest becomes notes; data that is lost or changed always fails. Without needs everything must work, except what a TCP proxy that both ends see does not promise."""

    purpose: Annotated[
        Words,
        AfterValidator(_known_purposes),
        Field(json_schema_extra={"flag": "--for"}),
    ] = ()
    """Kinds of applications, which stand for their needs: http (tcp), database (tcp; add --need idle=10m for a pool of connections), dns (tcp, udp) or everything."""

    max_loss: Annotated[Percent, Field(ge=0, lt=1)] = 0.02
    """Maximum share of packets that may be lost in either direction, or of short connections that may fail; a check fails above it."""

    idle_rungs: Durations = ()
    """Idle times to test; if empty, those of the profile."""

    expect_instances: Annotated[int, Field(ge=0, le=1000)] = 0
    """Number of instances behind the name that must respond; 0 accepts any number."""

    max_uneven: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 2.0
    """Maximum number of connections per instance, as a multiple of the other instances' average."""

    min_rate: Annotated[Rate, Field(ge=0, le=1e12)] = 0.0
    """Minimum rate in each direction for the load check, in bit/s: 10M, 2.5Gbit/s; 0 requires none."""

    max_outage: Annotated[Duration, Field(ge=0.2, le=HOUR)] = 0.5
    """Longest outage tolerated; an outage under 200ms cannot be distinguished from packet loss. `watch` reports connection failures only if they last longer than this."""

    stream_time: Annotated[Duration, Field(ge=0, le=24 * HOUR)] = 0.0
    """Duration of the stream check; 0 uses the profile's: 2 s (quick), 20 s (full) or an hour (soak)."""

    wait: Annotated[Duration, Field(ge=0, le=24 * HOUR)] = 0.0
    """How long `check` keeps trying until every target passes; 0 tries once. It first waits until each target is reached and identified, and then runs the checks."""

    resolve_timeout: Seconds = 5.0
    """Timeout for resolving a name."""

    connect_timeout: Seconds = 5.0
    """Timeout for connecting to an address."""

    answer_timeout: Seconds = 3.0
    """Timeout for a response from a server."""

    watch_neighbours: Annotated[int, Field(ge=0, le=1000)] = 8
    """Maximum number of addresses to watch per name: the same ones every time, chosen according to this client's node (or host) name; 0 watches all."""

    watch_interval: Annotated[Duration, Field(ge=0.02, le=1)] = 0.05
    """Interval between the datagrams that `watch` and the server send to each other. With every 20th, `watch` also opens a new connection; with every 10th, it sends a request on the existing one. Fewer than 8 missing datagrams in a row count as packet loss, not as an outage."""

    watch_checks_interval: Annotated[Duration, Field(ge=1, le=24 * HOUR)] = 300.0
    """Interval between the scheduled checks of a peer (identity, balance, a light load), varied by up to a fifth."""

    watch_resolve_interval: Annotated[Duration, Field(ge=1, le=HOUR)] = 5.0
    """Interval between the DNS lookups that `watch` makes; one second during the first minute of an outage."""

    watch_start_delay: Annotated[Duration, Field(ge=0, le=HOUR)] = 0.0
    """Time before the first DNS lookup of `watch`. Where servers start together with their clients, a lookup that finds none of them yet would be cached, in CoreDNS for up to 30 s."""

    watch_service_account: str = ""
    """Folder of a Kubernetes service account (token, ca.crt, namespace) that may list EndpointSlices: `watch` then takes the addresses of a headless Service from them, which is faster than DNS; where it cannot, it uses DNS. Empty: only DNS."""

    watch_history: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Maximum number of outages and departed peers that `watch` remembers individually; totals include all."""

    admin_host: Annotated[
        str, BeforeValidator(_any_service), Field(json_schema_extra={"empty": "*"})
    ] = "127.0.0.1"
    """Address on which `watch`'s admin port listens; `*` listens on all."""

    admin_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """HTTP port on which `watch` serves /livez, /readyz, /metrics and /version; 0 disables it."""

    node: Annotated[str, Field(max_length=256)] = ""
    """Name of the machine that this client runs on, shown in verdicts and logs; empty shows none."""

    zone: Annotated[str, Field(max_length=256)] = ""
    """Name of the zone that this client runs in, shown in verdicts and logs; empty shows none."""

    greeting: Annotated[str, Field(min_length=1, max_length=1024)] = "Hello, server!"
    """Text that `hello` sends, in UTF-8."""

    json_report: Annotated[bool, Field(json_schema_extra={"flag": "--json"})] = False
    """`check` prints one JSON document instead of text (schema: docs/report.schema.json); `watch` prints nothing and logs every event."""

    junit: str = ""
    """File for an additional JUnit report; empty writes none."""

    resume: str = ""
    """File in which to save the progress of the run: after an interruption, a run with the same targets and profile continues from it. Removed when the run completes; empty saves no progress."""

    color: Literal["auto", "always", "never"] = "auto"
    """Coloured output; auto colours on a terminal only and honours NO_COLOR."""

    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """Minimum level of logged events; logs go to stderr."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """Log format: json (one object per line), console (text, coloured on a terminal), or auto (console on a terminal, otherwise json)."""

    log_queue: Annotated[int, Field(ge=128, le=1_000_000)] = 8192
    """Maximum number of log lines queued for a slow reader; further lines are dropped and counted."""


def longest_silence(settings: ClientSettings) -> float:
    """Return for how many seconds connections must be idle, as needs state it."""
    return parse_requirements(settings.need, settings.purpose).idle
