"""The commands: each loads its settings, imports its service, and runs it.

An image may have only one service: the server or the client.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from itertools import pairwise
from shutil import which
from typing import TYPE_CHECKING, Final

from netduet.config.extras import missing_module
from netduet.config.load import (
    Loaded,
    Settings,
    SettingsError,
    assigned,
    is_assignable,
    is_secret,
    load,
    show,
)

if TYPE_CHECKING:
    from netduet.client.results.target import Target
    from netduet.client.settings import ClientSettings
    from netduet.server.settings import ServerSettings

CLIENT_MODULES: Final = ("OpenSSL", "h11", "h2", "rich")
"""The modules of the extra ``client``: checks import them when they need them."""

_MODULES: Final = {"check": CLIENT_MODULES, "watch": CLIENT_MODULES}
"""The optional modules that a command needs."""

Flags = Mapping[str, object]

SERVICES: Final = {
    "serve": "server",
    "check": "client",
    "watch": "client",
    "between": "client",
    "hello": "client",
    "explain": "client",
}
"""The service that a command needs."""


class UsageError(Exception):
    """An invalid command line; the message is one line."""


def serve(flags: Flags) -> int:
    """Serve until a signal; return the exit status.

    Raises:
        SettingsError: the settings cannot be used.

    """
    loaded = load(server_settings(), flags)
    from netduet.server.app import serve as run  # noqa: PLC0415

    return run(loaded.settings, loaded.ignored)


def check(arguments: Sequence[str], flags: Flags, program: Sequence[str] = ()) -> int:
    """Check each target, or those of the settings; return the exit status.

    When all pass, the ``program`` and its arguments, if given, replace this process.

    Raises:
        SettingsError: the settings, a target or the program cannot be used.
        UsageError: a program is given together with a report on stdout.

    """
    loaded = load(client_settings(), flags)
    if program and loaded.settings.json_report:
        raise UsageError(
            "--json and a command after -- exclude each other: both write to stdout; "
            "use --junit FILE for a report"
        )
    targets = _targets(loaded.settings, arguments)
    from netduet.client.commands.check import check as run  # noqa: PLC0415
    from netduet.client.commands.check import unusable  # noqa: PLC0415

    problems = unusable(loaded.settings, targets)
    if problems:
        raise SettingsError(problems)
    if program and which(program[0]) is None:
        raise SettingsError(
            [f"command {program[0]!r}: not found, or not executable: check its path"]
        )
    status = run(loaded.settings, targets, loaded.ignored, program=bool(program))
    if status or not program:
        return status
    try:
        os.execvp(program[0], list(program))  # noqa: S606 - what the user named
    except OSError as error:
        raise SettingsError(
            [f"command {program[0]!r} cannot be run: {error.strerror}"]
        ) from None


def watch(arguments: Sequence[str], flags: Flags) -> int:
    """Watch each target until a signal; return the exit status.

    Raises:
        SettingsError: the settings or a target cannot be used.
        UsageError: a target is expected to be blocked.

    """
    loaded = load(client_settings(), flags)
    targets = _targets(loaded.settings, arguments)
    blocked = [str(target) for target in targets if target.expect.value == "blocked"]
    if blocked:
        raise UsageError(
            f"target {blocked[0]}=blocked: watch takes open targets only; use "
            "`netduet check` for targets that must be blocked"
        )
    from netduet.client.commands.tls import unusable_files  # noqa: PLC0415
    from netduet.client.commands.watch import watch as run  # noqa: PLC0415

    problems = unusable_files(loaded.settings)
    hosts = {target.host for target in targets}
    if loaded.settings.tls and len(hosts) > 1 and not loaded.settings.tls_name:
        problems.append(
            "tls: watch verifies one name, and the targets have several: name it with "
            "tls-name, or watch them apart"
        )
    if problems:
        raise SettingsError(problems)

    return run(loaded.settings, targets, loaded.ignored)


def hello(arguments: Sequence[str], flags: Flags) -> int:
    """Greet the server of a target, or of HOST PORT; return the exit status.

    Raises:
        SettingsError: the settings or the target cannot be used.
        UsageError: there are several targets, or an expectation.

    """
    loaded = load(client_settings(), flags)
    word, *further = host_and_port(arguments)
    if further:
        raise UsageError(f"unexpected {further[0]!r} (see netduet hello --help)")
    [target] = _targets(loaded.settings, [word])
    from netduet.client.results.target import public_form  # noqa: PLC0415

    shown = public_form(word)
    if "=" in shown:
        raise UsageError(f"target {shown!r}: hello takes no expectation: remove the =")
    from netduet.client.commands.hello import hello as run  # noqa: PLC0415

    return run(loaded.settings, target)


def explain(name: str | None = None) -> int:
    """Print what is known about a failure class; return the exit status."""
    from netduet.client.commands.explain import explain as run  # noqa: PLC0415

    return run(name)


def namespace(json_report: bool = False) -> int:
    """Print the listeners, interfaces and routes of this network namespace."""
    from netduet.net.namespace.read import read  # noqa: PLC0415
    from netduet.net.namespace.text import lines  # noqa: PLC0415

    snapshot = read()
    print(snapshot.model_dump_json() if json_report else "\n".join(lines(snapshot)))
    return 0


def config_show() -> int:
    """Print each setting's effective value, and where it came from."""
    for model in _models():
        loaded: Loaded[Settings] = load(model)
        lines = []
        for field, info in model.model_fields.items():
            value = show(info, getattr(loaded.settings, field))
            source = loaded.sources.get(field)
            origin = "default" if source is None else source.kind
            if source is not None and source.kind in {"file", "secret"}:
                origin = source.name
            text = f"{model.variable(field)}={assigned(value) if value else ''}"
            if is_secret(info) and value:
                text = f"# {text}"  # the mask is no value
            elif not is_assignable(value):
                text = f"# {text}"
                origin += "; a .env file cannot have this value"
            lines.append((text, origin))
            if source is not None and source.kind == "file":
                name, _, path = source.name.partition("=")
                lines.append((f"{name}={assigned(path)}", "file of the secret"))
        width = max(len(text) for text, _ in lines)
        for text, origin in lines:
            print(f"{text:<{width}}  # {origin}")
        for name in loaded.ignored:
            print(f"# {name} is ignored: Kubernetes set it")
    return 0


def config_check() -> int:
    """Validate the settings in the environment and in .env, without running anything."""
    from netduet.cli.settings_reference import judge  # noqa: PLC0415

    problems = judge(_models())
    if problems:
        raise SettingsError(problems)
    print("settings are valid")
    return 0


def config_reference(form: str) -> int:
    """Print a reference of all settings, as a documentation page, an .env.example file, or a Compose environment section."""
    from netduet.cli import settings_reference  # noqa: PLC0415

    print(settings_reference.RENDERERS[form](_models()), end="")
    return 0


def require(command: str) -> None:
    """Check that the service and the modules that a command needs are installed.

    Raises:
        UsageError: they are not.
    """
    service = SERVICES.get(command)
    if service is not None and not holds(service):
        other = "client" if service == "server" else "server"
        raise UsageError(
            f"this image contains only the {other}; `{command}` needs the "
            f"netduet-{service} image"
        )
    missing = missing_module(*_MODULES.get(command, ()))
    if missing is not None:
        raise UsageError(missing)


def holds(service: str) -> bool:
    """Whether this image has a service."""
    return find_spec(f"netduet.{service}") is not None


def server_settings() -> type[ServerSettings]:
    """Return the server's settings model."""
    from netduet.server.settings import ServerSettings  # noqa: PLC0415

    return ServerSettings


def client_settings() -> type[ClientSettings]:
    """Return the client's settings model."""
    from netduet.client.settings import ClientSettings  # noqa: PLC0415

    return ClientSettings


def _models() -> list[type[Settings]]:
    """Return the settings models of the services in this image."""
    models: list[type[Settings]] = []
    if holds("server"):
        models.append(server_settings())
    if holds("client"):
        models.append(client_settings())
    return models


def _targets(settings: ClientSettings, arguments: Sequence[str]) -> tuple[Target, ...]:
    from netduet.client.results.target import Expect, parse_target  # noqa: PLC0415
    from netduet.client.settings import schemes  # noqa: PLC0415

    expect = Expect(settings.expect)
    problems, targets = [], []
    for word in host_and_port(arguments) or settings.target:
        try:
            targets.append(parse_target(word, settings.port, expect, schemes))
        except ValueError as error:
            problems.append(str(error))
    if not targets and not problems:
        variable = settings.variable("target")
        problems.append(f"no target: name one (host:port), or set {variable}")
    if problems:
        raise SettingsError(problems)
    return tuple(targets)


def host_and_port(arguments: Sequence[str]) -> Sequence[str]:
    """Return the targets, with HOST PORT, as nc and telnet have it, as HOST:PORT.

    Raises:
        UsageError: a port stands where it belongs to no host, or to several.
    """
    from netduet.client.results.target import join  # noqa: PLC0415

    for word, port in pairwise(arguments):
        if not (port.isascii() and port.isdigit()) or word.isdigit():
            continue
        host = word[1:-1] if word[:1] + word[-1:] == "[]" else word
        is_host = not set(host) & set("[]/=@") and host.count(":") != 1
        if is_host and len(arguments) == len((word, port)):
            return (join(host, port),)
        meant = join(host, port) if is_host else f"HOST:{port}"
        raise UsageError(f"{port!r} is no target: did you mean {meant}?")
    return arguments
