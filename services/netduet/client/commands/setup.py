"""What the client's commands share: logs, options, and the client's identity."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final

from netduet import __version__
from netduet.client.checks.base import CheckContext, CheckOptions
from netduet.client.net.shared_token import use_token
from netduet.client.net.timeouts import Timeouts
from netduet.client.report import text
from netduet.client.results.instance import instance_named
from netduet.client.results.needs import Requirements, parse_requirements
from netduet.client.results.target import Expect
from netduet.runtime import logs

if TYPE_CHECKING:
    from netduet.client.results.instance import Instance
    from netduet.client.results.target import Target
    from netduet.client.settings import ClientSettings


FAMILIES: Final = {
    "any": socket.AF_UNSPEC,
    "4": socket.AF_INET,
    "6": socket.AF_INET6,
}

INTERRUPTED: Final = 3
"""Exit status of a command that a signal stopped before it had a result."""

UNUSABLE: Final = 2
"""Exit status when a setting cannot be used."""

WriteLines = Callable[[Iterable[text.Line]], None]
"""Writes lines of text to the terminal."""


def no_output(_: Iterable[text.Line]) -> None:
    """Write nothing, because the report is a single document at the end."""


def start_logs(settings: ClientSettings, *, verbose: bool = False) -> logs.LogWriter:
    """Start to log; ``verbose`` sets at least the level info."""
    quiet = settings.log_level in {"warning", "error"}
    return logs.start(
        sys.stderr.fileno(),
        level="info" if verbose and quiet else settings.log_level,
        style=settings.log_format,
        queue=settings.log_queue,
        fields={
            "service.name": "netduet-client",
            "service.instance.id": socket.gethostname(),
            "service.version": __version__,
            **logs.node_and_zone(settings.node, settings.zone),
        },
    )


def prove_token(settings: ClientSettings) -> None:
    """Prove the token of the settings, if any, to servers that demand one."""
    if settings.token is not None:
        use_token(settings.token.get_secret_value())


def log_ignored(ignored: tuple[str, ...]) -> None:
    """Log the variables that look like settings but are set by Kubernetes."""
    if ignored:
        logs.logger().warning("settings.ignored", **{"netduet.names": list(ignored)})


def check_context(
    settings: ClientSettings, target: Target, control: str
) -> CheckContext:
    """Return the inputs of a target's checks.

    A target that must be blocked has no requirements.
    """
    requirements = parse_requirements(settings.need, settings.purpose)
    options = CheckOptions(
        **{field.name: getattr(settings, field.name) for field in fields(CheckOptions)}
    )
    return CheckContext(
        target,
        FAMILIES[settings.family],
        settings.expect_service,
        timeouts(settings),
        settings.profile,
        replace(options, min_rate=max(options.min_rate, requirements.rate)),
        control=control,
        expect_protocol=settings.expect_protocol,
        server_name=settings.tls_name,
        requirements=(requirements if target.expect is Expect.OPEN else Requirements()),
    )


def client_instance(settings: ClientSettings) -> Instance:
    """Return the name and location of this client."""
    return instance_named(socket.gethostname(), settings.node, settings.zone)


def timeouts(settings: ClientSettings) -> Timeouts:
    """Return the timeouts of this client."""
    return Timeouts(
        settings.resolve_timeout, settings.connect_timeout, settings.answer_timeout
    )
