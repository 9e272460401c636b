"""How this client's connections to netduet servers speak TLS, if they do.

Like the id of a run, it belongs to the task that sets it and to the tasks that this one
starts.
"""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The context of connections, and the name that certificates must have."""

    context: ssl.SSLContext
    name: str


_current: ContextVar[ClientTls | None] = ContextVar("client_tls", default=None)


def use_tls(tls: ClientTls | None) -> None:
    """Have this task, and those that it starts, speak TLS; None: not."""
    _current.set(tls)


def current_tls() -> ClientTls | None:
    """Return how this task's connections speak TLS, None if they do not."""
    return _current.get()


def make_context(
    ca: str, certificate: str, key: str, *, verify: bool = True
) -> ssl.SSLContext:
    """Return a context for connections, of TLS 1.2 or later.

    ``ca`` "" trusts the authorities of this host; ``certificate`` "" presents none.

    Raises:
        OSError: a file cannot be used (``ssl.SSLError`` is one).
    """
    context = ssl.create_default_context(cafile=ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, key or None, password=lambda: "")
    return context
