"""The targets: what takes input from strangers, and what must hold for any input."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import random
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import structlog
from pydantic import BaseModel

from netduet.client.net.resolver_config import asks_dns, parse_resolv_conf
from netduet.client.protocols import PROTOCOLS, dns_lookup, recognise
from netduet.client.protocols.schemes import SCHEMES
from netduet.client.results import target as results
from netduet.client.results.target import parse_target
from netduet.client.settings import ClientSettings
from netduet.config.load import from_values, load, show
from netduet.config.sources import Settings, SettingsError, SourcePaths
from netduet.server.app import Server
from netduet.server.settings import ServerSettings
from netduet.server.udp_endpoint import UdpEndpoint
from netduet.server.udp_flow_counters import UdpFlowCounters
from netduet.wire import datagram, messages, udp_count, udp_stream, untrusted
from netduet.wire.errors import RemoteError
from netduet.wire.frames import HEADER_SIZE, MAX_CONTROL
from netduet.wire.messages import ANSWERS, QUESTIONS
from netduet.wire.state_machine import Limits, Role, State
from tests.unit.wire.vectors import VectorPeer

CORPUS: Final = Path(__file__).parent / "corpus"

_LIMITS: Final = Limits(
    max_frame=600, max_questions=9, linger_bytes=80, max_text=9, plain_linger_bytes=80
)
_MAX_ANSWER_BYTES: Final = 4096
"""What a peer of the vectors answers to one question at most, here."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that takes bytes; ``check`` raises when a promise is broken."""

    name: str
    check: Callable[[bytes], None]
    text: bool = False
    """Whether its seeds are text, and not bytes in hex."""

    def seeds(self) -> list[bytes]:
        """Return the seeds of its corpus file, a line each."""
        path = CORPUS / f"{self.name}.{'txt' if self.text else 'hex'}"
        lines = path.read_text(encoding="utf-8").splitlines()
        if self.text:
            return [line.replace("\\n", "\n").encode() for line in lines]
        return [bytes.fromhex(line) for line in lines if not line.startswith("#")]


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut the data somewhere; the same data is always cut the same way."""
    chance = random.Random(data)
    count = chance.randrange(6)
    marks = sorted(chance.randrange(len(data) + 1) for _ in range(count))
    for start, end in itertools.pairwise((0, *marks, len(data))):
        yield data[start:end]


# Connections


def _connection(role: Role, data: bytes) -> None:
    """Expect the same for any split, no exception, bounds on everything, an end."""
    whole, cut = VectorPeer(role, _LIMITS), VectorPeer(role, _LIMITS)
    whole.feed(data)
    for piece in _pieces(data):
        cut.feed(piece)
        connection = cut.connection
        assert len(connection.incomplete) <= HEADER_SIZE + MAX_CONTROL + len(piece)
        assert len(connection.text) <= _LIMITS.max_text + 1
    assert cut.outcome == whole.outcome
    questions = data.count(b"{") + len(data) // HEADER_SIZE + 1
    assert len(whole.sent) <= len(data) + _MAX_ANSWER_BYTES * questions
    _end(whole)


def _end(peer: VectorPeer) -> None:
    """Expect that an end of stream and time lead any connection to its end."""
    peer.eof(1.0)
    for turn in range(4):
        if peer.connection.state is not State.CLOSED:
            peer.expire(1e6 * (turn + 1))
    assert peer.connection.state is State.CLOSED, peer.connection.state


def _server_connection(data: bytes) -> None:
    _connection(Role.SERVER, data)


def _client_connection(data: bytes) -> None:
    _connection(Role.CLIENT, data)


# Datagrams


def _datagram(data: bytes) -> None:
    """Expect a frame or a refusal, never larger than its question."""
    for parse in (datagram.parse, datagram.parse_question):
        try:
            parse(data)
        except RemoteError as error:
            answer = datagram.failure(error, len(data))
            assert answer is None or len(answer) <= len(data)


@functools.cache
def _endpoint() -> UdpEndpoint:
    """Return the endpoint of a server that does not run: its methods are called."""
    log = structlog.wrap_logger(None, processors=[_drop])
    server = Server(ServerSettings(), "fuzz", log, lambda _: None)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    context, flows = server._context, UdpFlowCounters()
    return UdpEndpoint(
        sock,
        context.handlers,
        context.counters,
        flows,
        server._streams,
        context=context,
    )


def _drop(*_: object) -> NoReturn:
    raise structlog.DropEvent


def _server_datagram(data: bytes) -> None:
    """Expect an answer that is not larger than the datagram, or none."""
    endpoint, peer = _endpoint(), ("192.0.2.1", 40000)
    for answer in (
        endpoint._answer(data, peer, ("192.0.2.2", 12345)),
        endpoint._stream(data, peer, []),
    ):
        assert answer is None or len(answer) <= len(data)
    assert len(endpoint._streams) == 0, "a stream without a cookie"


def _udp_payload(data: bytes) -> None:
    """Expect payloads of COUNT and STREAM to be the same after a round trip."""
    for parse in (udp_count.parse_question, udp_stream.parse_question):
        with contextlib.suppress(RemoteError):
            question = parse(data, 1)
            serialized = question.serialize()
            padded = serialized.ljust(len(data), b"\0")
            assert parse(padded, 1) == question
    for read in (udp_count.parse_answer, udp_stream.parse_answer):
        answer = read(data)
        if answer is not None:
            assert read(answer.serialize().ljust(len(data), b"\0")) == answer


# Control messages

_MODELS: Final = tuple(dict.fromkeys([*QUESTIONS.values(), *ANSWERS.values()]))


def _message(data: bytes) -> None:
    """Expect a RemoteError, or a message that is the same after a round trip."""
    models: tuple[type[BaseModel], ...] = (*_MODELS, messages.ErrorMessage)
    for model in models:
        try:
            message = messages.decode(model, data)
        except RemoteError as error:
            _judge_error(error)
            continue
        assert messages.decode(model, messages.encode(message)) == message


def _judge_error(error: RemoteError) -> None:
    notice = messages.ErrorMessage.of(error)
    encoded = messages.encode(notice)
    assert len(encoded) <= MAX_CONTROL
    assert messages.decode(messages.ErrorMessage, encoded) == notice


def _untrusted(data: bytes) -> None:
    """Expect that what is shown is printable and bounded."""
    shown = untrusted.log_safe(data, 64)
    assert shown.isprintable()
    assert len(shown) <= 64 * 10 + 1
    untrusted.recognise(data)


# Settings and targets


def _settings(data: bytes) -> None:
    """Take lines ``name=value``: clear errors, or values accepted again."""
    text = data.decode("utf-8", "replace")
    pairs = [line.partition("=") for line in text.splitlines() if "=" in line]
    values = {name: value for name, _, value in pairs}
    for model in (ServerSettings, ClientSettings):
        known = {name: value for name, value in values.items() if value}
        known = {name: known[name] for name in known if name in model.model_fields}
        try:
            settings = from_values(model, known)
        except SettingsError as error:
            _judge_lines(error)
            continue
        _judge_round_trip(model, settings)


def _judge_round_trip(model: type[Settings], settings: Settings) -> None:
    shown = {
        name: show(info, getattr(settings, name))
        for name, info in model.model_fields.items()
    }
    again = from_values(model, {name: text for name, text in shown.items() if text})
    assert again == settings, shown


def _dotenv(data: bytes) -> None:
    """Take a .env file: settings, or clear lines about what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, ".env")
        path.write_bytes(data)
        for model in (ServerSettings, ClientSettings):
            try:
                load(model, {}, SourcePaths(path, Path(folder, "secrets")))
            except SettingsError as error:
                _judge_lines(error)


def _judge_lines(error: SettingsError) -> None:
    assert error.lines
    assert all("\n" not in line for line in error.lines), error.lines


def _target(data: bytes) -> None:
    """Expect a target whose text form is the same place, or a ValueError."""
    text = data.decode("utf-8", "replace")
    for schemes in (dict, lambda: SCHEMES):
        with contextlib.suppress(ValueError):
            target = parse_target(text, 12345, schemes=schemes)
            _judge_target(target, parse_target(str(target), 12345))


def _judge_target(target: results.Target, again: results.Target) -> None:
    assert (again.host, again.port) == (target.host, target.port), (again, target)


# What services, name servers and files say


def _protocols(data: bytes) -> None:
    """Expect no exception, whoever answers, and bounds on what is sent in return."""
    recognise(data)
    for protocol in PROTOCOLS:
        conversation = protocol.converse("host.test")
        sent = len(conversation.start())
        for piece in _pieces(data):
            sent += len(conversation.receive(piece))
        sent += len(conversation.ask()) + len(conversation.ask(100))
        sent += len(conversation.receive(data)) + len(conversation.end())
        assert sent <= 32 * 1024 + 40 * len(data), protocol.name
        assert conversation.answers <= 2 * len(data) + 2


def _dns_reply(data: bytes) -> None:
    """Expect the reply of a name server, or nothing."""
    number = int.from_bytes(data[:2])
    for record in dns_lookup.RecordType:
        dns_lookup.parse_reply(data, number, "host.test", record)


def _resolver_files(data: bytes) -> None:
    """Expect no exception for any text in files of /etc."""
    text = data.decode("utf-8", "replace")
    config = parse_resolv_conf(text, text[:20])
    for host in ("host", "host.test", "host.test."):
        config.candidates(host)
        asks_dns(host, text, text)


TARGETS: Final = {
    target.name: target
    for target in (
        Target("server-connection", _server_connection),
        Target("client-connection", _client_connection),
        Target("datagram", _datagram),
        Target("server-datagram", _server_datagram),
        Target("udp-payload", _udp_payload),
        Target("message", _message, text=True),
        Target("untrusted", _untrusted),
        Target("settings", _settings, text=True),
        Target("dotenv", _dotenv, text=True),
        Target("target", _target, text=True),
        Target("protocols", _protocols),
        Target("dns-reply", _dns_reply),
        Target("resolver-files", _resolver_files, text=True),
    )
}


def without_settings() -> list[str]:
    """Return the variables of the environment that a target would read as settings."""
    return [name for name in os.environ if name.upper().startswith("NETDUET_")]
