"""The interface of a protocol: how to greet a service, and how to read its answer.

Sans-I/O: bytes in, bytes out. The transport (``client.net``) moves them. Everything that
a service sends is untrusted: texts here are raw, and are escaped where they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

MAX_ANSWER_BYTES = 64 * 1024
"""Bytes of an answer that a conversation keeps; the rest is dropped."""


class Refusal(StrEnum):
    """Why a service that answers does not serve."""

    NOT_READY = "not ready"
    """It is starting, loading or in maintenance, or what it depends on is down."""
    BUSY = "busy"
    """It has reached its own limit of connections."""
    DENIED = "denied"
    """It does not serve this client, whoever logs in: its address, or its TLS."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The certificate that a TLS server presented.

    ``names`` are its DNS names and addresses. ``problem`` says why a client that
    verifies it with this host's certificate authorities would refuse it ("" if it would
    not): ``expired``, ``not yet valid``, ``name``, ``untrusted`` or ``other``; ``detail``
    is the library's text. Times are UTC. ``fingerprint`` is the SHA-256 of the whole, in
    hex; ``has_issuer_url``: it says where its issuer's certificate can be fetched.
    """

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    self_signed: bool
    problem: str = ""
    detail: str = ""
    fingerprint: str = ""
    issuer_organization: str = ""
    has_issuer_url: bool = False


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a service has said about itself.

    ``protocol`` is the name of a ``Protocol``. ``product`` is the software and version
    ("Redis 7.0.15"), "" if it does not say. ``notes`` are facts for the reader
    ("requires a password"). ``refusal`` is set if it answers but does not serve;
    ``reason`` is then its own text.
    """

    protocol: str
    product: str = ""
    notes: tuple[str, ...] = ()
    refusal: Refusal | None = None
    reason: str = ""
    certificate: Certificate | None = None


class Conversation:
    """One connection's exchange with a service.

    Send what ``start`` returns; then, for all data received, send what ``receive``
    returns. ``recognition`` is set as soon as the service has said enough;
    ``is_foreign`` once it has said something that this protocol does not allow.
    ``answers`` counts complete answers to ``ask``. Over UDP, each bytes object is one
    datagram.
    """

    def __init__(self, host: str) -> None:
        """Prepare; ``host`` is the target as the user named it, for SNI and Host."""
        self.host = host
        self.recognition: Recognition | None = None
        self.is_foreign = False
        self.answers = 0

    def start(self) -> bytes:
        """Return the first bytes to send, b"" if the service speaks first."""
        return b""

    def receive(self, data: bytes) -> bytes:
        """Take received bytes; return bytes to send, b"" for none."""
        raise NotImplementedError

    def ask(self, size: int = 0) -> bytes:
        """Return a harmless question that can be repeated; b"" if there is none.

        With ``size`` it has at least so many bytes, or as many as the protocol allows.
        """
        del size
        return b""

    @property
    def is_answering(self) -> bool:
        """Whether ``ask`` returns b"" only until the end of an answer."""
        return False

    def end(self) -> bytes:
        """Return the protocol's farewell, b"" if it has none."""
        return b""


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol that services speak.

    ``name`` is as a user types it (``postgres``); ``aliases`` are other spellings and
    URL schemes; ``ports`` are where such a service usually listens, the first by
    default; ``alias_ports`` are the default ports of aliases that have another.
    ``converse`` starts a conversation with a host. ``recognise`` reads any first bytes of a service,
    unprompted or in answer to another protocol's greeting; None if they are not of this
    protocol. ``server_first``: the service speaks first. ``datagrams``: it is asked over
    UDP. ``max_connections`` is how many connections without a login a check may make in
    a row, and ``max_open`` how many at once, before such a service takes them for an
    attack. ``counts_silence``: a connection on which nothing is said counts as an attack;
    it must be greeted and ended in the protocol. ``login_timeout`` is after how many seconds it ends a connection without a
    login by default, and ``login_setting`` the name of that setting; None if it has no
    such limit.
    """

    name: str
    title: str
    ports: tuple[int, ...]
    converse: Callable[[str], Conversation]
    recognise: Callable[[bytes], Recognition | None]
    aliases: tuple[str, ...] = ()
    alias_ports: Mapping[str, int] = field(default_factory=dict)
    server_first: bool = False
    datagrams: bool = False
    max_connections: int = 200
    max_open: int = 32
    counts_silence: bool = False
    login_timeout: float | None = None
    login_setting: str = ""
