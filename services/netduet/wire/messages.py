"""Control payloads: JSON objects, each declared once as a model.

Requests are strict: an unknown field is an error that names it. Answers ignore unknown
fields, because a rolling update mixes versions.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from netduet.wire.errors import Code, RemoteError
from netduet.wire.frames import VERSION, Kind
from netduet.wire.strict_json import JsonBounds, judge_bounds, parse_object
from netduet.wire.untrusted import log_safe

MAX_TEXT: Final = 1024
"""Characters of any text in a control payload."""

Hex128 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Hex256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**64 - 1)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]


class _Request(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Open(_Request):
    """The opening, which never changes; ``version`` is validated before anything else.

    On the wire ``version`` is never omitted.
    """

    version: Annotated[int, Field(ge=1, le=65535)] = VERSION
    nonce: Hex128


class Endpoint(_Answer):
    """One end of a connection, as its sender sees it."""

    address: Text
    port: Annotated[int, Field(ge=0, le=65535)]


class LimitsNotice(_Answer):
    """The limits a server announces; sizes in bytes, times in seconds."""

    max_frame: Count
    idle: Seconds
    frame: Seconds
    hold: Seconds | None = None


class Welcome(_Answer):
    """The answer to the opening.

    ``node``, ``zone`` and ``certificate`` are omitted when unknown. ``certificate`` is
    the SHA-256 (hex) of the certificate that the server presents on this connection.
    """

    version: int
    nonce: Hex128
    service: Text
    instance: Text
    boot_id: Hex128
    conn_id: Hex128
    software: Text
    features: list[Text]
    limits: LimitsNotice
    peer: Endpoint
    local: Endpoint
    node: Text = ""
    zone: Text = ""
    certificate: Text = ""

    @model_serializer(mode="wrap")
    def _sparing(self, rest: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = rest(self)
        for name in ("node", "zone", "certificate"):
            if not fields[name]:
                del fields[name]
        return fields


class ErrorMessage(_Answer):
    """The content of an ERROR frame: code, text and numbers."""

    code: Text
    message: Text
    facts: dict[Text, int | Text] = {}

    @classmethod
    def of(cls, error: RemoteError) -> ErrorMessage:
        """Return the message for this error, with texts of bounded length."""
        facts = {
            name: fact[:MAX_TEXT] if isinstance(fact, str) else fact
            for name, fact in error.facts.items()
        }
        return cls(code=error.code, message=error.message[:MAX_TEXT], facts=facts)


class ReportQuestion(_Request):
    """Asks for the server's evidence about this connection."""


class LedgerQuestion(_Request):
    """Asks for the record of a recent connection."""

    conn_id: Hex128


class LedgerEntry(_Answer):
    """One connection, as the server saw it. Times in seconds."""

    conn_id: Hex128
    peer: Endpoint
    opened_at: Seconds
    duration: Seconds
    bytes_received: Count
    bytes_sent: Count
    frames_received: Count
    frames_sent: Count
    ended: Text | None
    ended_by: Text | None


class LedgerAnswer(_Answer):
    """The entry, or None when this instance does not have it or has dropped it."""

    instance: Text
    entry: LedgerEntry | None


class TcpInfo(_Answer):
    """The kernel's view of a connection (tcp(7), TCP_INFO). Times in microseconds.

    Fields that older kernels or servers do not report are None. ``options`` are the
    bits of tcpi_options (``net.tcp_info.TcpOption``); ``snd_wscale`` is the scale of
    the windows that the peer announces, ``rcv_wscale`` of those that it announces
    itself; ``snd_wnd`` and ``rcv_wnd`` are these windows, in bytes.
    """

    state: Text
    rtt: Count
    rttvar: Count
    snd_mss: Count
    rcv_mss: Count
    advmss: Count
    pmtu: Count
    unacked: Count
    retrans: Count
    total_retrans: Count
    lost: Count
    notsent_bytes: Count
    bytes_acked: Count
    bytes_received: Count
    bytes_retrans: Count
    min_rtt: Count | None = None
    delivery_rate: Count | None = None
    busy_time: Count | None = None
    rwnd_limited: Count | None = None
    sndbuf_limited: Count | None = None
    options: Count | None = None
    snd_wscale: Count | None = None
    rcv_wscale: Count | None = None
    snd_wnd: Count | None = None
    rcv_wnd: Count | None = None
    data_segs_out: Count | None = None
    dsack_dups: Count | None = None


class TcpSettings(_Answer):
    """What a host offers in TCP handshakes; None where unknown.

    The values are those of net.ipv4.tcp_window_scaling, tcp_sack, tcp_timestamps and
    tcp_ecn (ip-sysctl.rst).
    """

    window_scaling: Count | None = None
    sack: Count | None = None
    timestamps: Count | None = None
    ecn: Count | None = None


class ListenerReport(_Answer):
    """SYNs that the listening socket dropped, and its accept queue."""

    drops: Count | None
    backlog: Count | None


class HostReport(_Answer):
    """The server's own starvation since it started, in seconds."""

    stalls: Count
    stalled: Seconds
    throttled: Seconds | None
    cpu_pressure: Seconds | None


class ServerReport(_Answer):
    """The server's evidence about this connection, its listener and itself.

    ``tcp_settings`` is omitted when unknown, as by servers of an older version.
    """

    instance: Text
    connection: TcpInfo | None
    listener: ListenerReport
    host: HostReport
    tcp_settings: TcpSettings | None = None

    @model_serializer(mode="wrap")
    def _sparing(self, rest: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = rest(self)
        if self.tcp_settings is None:
            del fields["tcp_settings"]
        return fields


class SinkAnswer(_Answer):
    """What arrived of a SINK; ``changed_at`` is the first changed offset."""

    received: Count
    changed_at: Count | None


class SourceQuestion(_Request):
    """Asks for a pattern of ``size`` bytes: see ``wire.payload_pattern``."""

    size: Count
    seed: Count


class HoldQuestion(_Request):
    """Asks to hold an idle connection; ``speak`` asks for a second answer at the end."""

    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    speak: bool


class HoldAnswer(_Answer):
    """Sent at once with ``spoke`` false, and with true when time is up."""

    spoke: bool


class CloseQuestion(_Request):
    """Asks to close the connection in some way: see ``docs/protocol.md``, section 12.

    The answer, a pattern of ``size`` bytes, comes ``delay`` seconds after the client's
    end of stream.
    """

    how: Literal["finish", "reset", "after_eof"]
    delay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    size: Count
    seed: Count


class TokenQuestion(_Request):
    """Proves the shared token: see ``wire.token``."""

    proof: Hex256


class TokenAnswer(_Answer):
    """The proof is right."""


class InspectQuestion(_Request):
    """Asks for the kernel's current view of another connection.

    ``window`` is in seconds; the server remembers the last 30.
    """

    conn_id: Hex128
    window: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Inspection(_Answer):
    """The view (None when the connection is gone), and the server's starvation.

    ``stalled`` and ``throttled`` are seconds within the last ``window`` seconds.
    ``counters`` are the kernel's of its network namespace that are not 0, by the names
    of nstat(8); None in an answer about another connection than the one that asks, and
    from a server that does not report them.
    """

    instance: Text
    connection: TcpInfo | None
    window: Seconds
    stalled: Seconds
    throttled: Seconds | None
    counters: dict[Text, Count] | None = None

    @model_serializer(mode="wrap")
    def _sparing(self, rest: SerializerFunctionWrapHandler) -> dict[str, Any]:
        fields: dict[str, Any] = rest(self)
        if fields["counters"] is None:
            del fields["counters"]
        return fields


Message = TypeVar("Message", bound=BaseModel)


def encode(message: BaseModel) -> bytes:
    """Return the message as UTF-8 JSON."""
    return message.model_dump_json().encode()


def decode(
    model: type[Message],
    payload: bytes,
    frame_id: int = 0,
    bounds: JsonBounds | None = None,
) -> Message:
    """Return the payload as a message.

    ``bounds`` are those of a question, which anybody may send: it is judged by them
    before it is parsed.

    Raises:
        RemoteError: the payload exceeds the bounds, is not a JSON object, or is not
            this message; the error names the field and the reason.
    """
    if bounds is not None:
        judge_bounds(payload, bounds, frame_id)
    fields = parse_object(payload, frame_id)
    if model in (Open, Welcome):
        _judge_version(fields, frame_id)
    if bounds is not None:
        _judge_fields(model, fields, frame_id)
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"]))
        unknown = first["type"] == "extra_forbidden"
        code = Code.UNKNOWN_FIELD if unknown else Code.BAD_MESSAGE
        reason = "unknown field" if unknown else first["msg"]
        raise _field_error(model, field, code, reason, frame_id) from None


def _judge_fields(
    model: type[BaseModel], fields: dict[str, Any], frame_id: int
) -> None:
    """Raise RemoteError for the first unknown field: pydantic makes an error of each."""
    known = model.model_fields
    for field in fields:
        if field not in known:
            code = Code.UNKNOWN_FIELD
            raise _field_error(model, field, code, "unknown field", frame_id)


def _field_error(
    model: type[BaseModel], field: str, code: Code, reason: str, frame_id: int
) -> RemoteError:
    field = log_safe(field.encode(), 64)
    message = f"{model.__name__}: {field}: {reason}"
    return RemoteError(code, message, {"field": field}, frame_id)


def _judge_version(fields: dict[str, Any], frame_id: int) -> None:
    version = fields.get("version")
    if version is None:
        message = "Open: version: Field required"
        raise RemoteError(Code.BAD_MESSAGE, message, {"field": "version"}, frame_id)
    if type(version) is int and version != VERSION:
        raise RemoteError(
            Code.UNKNOWN_VERSION,
            f"version {version} is unknown: this side speaks {VERSION}",
            {"version": version, "supported": VERSION},
            frame_id,
        )


QUESTIONS: Final[dict[int, type[BaseModel]]] = {
    Kind.OPEN: Open,
    Kind.REPORT: ReportQuestion,
    Kind.LEDGER: LedgerQuestion,
    Kind.SOURCE: SourceQuestion,
    Kind.HOLD: HoldQuestion,
    Kind.CLOSE: CloseQuestion,
    Kind.INSPECT: InspectQuestion,
    Kind.TOKEN: TokenQuestion,
}
ANSWERS: Final[dict[int, type[BaseModel]]] = {
    Kind.OPEN: Welcome,
    Kind.REPORT: ServerReport,
    Kind.LEDGER: LedgerAnswer,
    Kind.SINK: SinkAnswer,
    Kind.HOLD: HoldAnswer,
    Kind.INSPECT: Inspection,
    Kind.TOKEN: TokenAnswer,
}
