"""The flags of ``netduet between``, and what they mean for the pair.

It alone of the command line knows container engines, and only once the command runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from inspect import Parameter as Slot
from typing import TYPE_CHECKING, Any, Final

from cyclopts import Group, Parameter

from netduet.cli import commands
from netduet.cli.commands import UsageError
from netduet.cli.flags import keyword, positional, short_flags, signed, slots
from netduet.config.load import Loaded, SettingsError, is_secret, load, show

if TYPE_CHECKING:
    from netduet.client.settings import ClientSettings

_PREFIX: Final = "NETDUET_BETWEEN"
_POD: Final = "pod/"
_LARGEST_PORT: Final = 65_535

_NOT_OF_A_PAIR: Final = frozenset(
    ("target", "port", "expect", "expect_service", "greeting", "resume", "node", "zone")
) | {
    "wait",
    "expect_instances",
    "watch_neighbours",
    "watch_interval",
    "watch_checks_interval",
    "watch_start_delay",
    "watch_service_account",
}
_NOT_OF_A_RUN: Final = frozenset(
    ("watch_resolve_interval", "watch_history", "admin_host", "admin_port")
) | {"log_level", "log_format", "log_queue"}
_LOCAL: Final = frozenset(("json_report", "junit", "color"))
"""Settings of the output, which is made here and not in the client's container."""


def parameters() -> Callable[..., int]:
    """Return the command as a function with one keyword per flag."""
    model = commands.client_settings()
    words = positional(
        "words",
        "CLIENT, then SERVICE or SERVICE:PORT: containers by name or id, services of "
        "Compose or Swarm, or pod/NAME.",
        "PLACE",
        many=True,
    )
    fields = set(model.model_fields) - _NOT_OF_A_PAIR - _NOT_OF_A_RUN
    return signed(
        lambda *words, **flags: run(words, flags),
        [words, *_own_flags(), *slots(model, fields)],
    )


def _own_flags() -> list[Slot]:
    group = Group.create_ordered("Pair")

    def text(name: str, names: Sequence[str], meaning: str, metavar: str) -> Slot:
        parameter = Parameter(name=names, help=meaning, metavar=metavar, group=group)
        return keyword(name, str, parameter)

    def switch(name: str, meaning: str) -> Slot:
        parameter = Parameter(
            name=f"--{name.replace('_', '-')}", help=meaning, negative="", group=group
        )
        return keyword(name, bool, parameter)

    return [
        text(
            "project", ("--project", "-p"), "Compose project of the services.", "NAME"
        ),
        switch("all", "All pairs of the Compose project."),
        text(
            "port",
            ("--port",),
            "Port of the pair's server beside SERVICE; 0 is any free one. Default: 12345, "
            "or another one if it is taken.",
            "NUMBER",
        ),
        text("server_image", ("--server-image",), "Image of the server.", "NAME"),
        text("client_image", ("--client-image",), "Image of the client.", "NAME"),
        text(
            "namespace",
            ("--namespace", "-n"),
            "Kubernetes namespace of the pods.",
            "NAME",
        ),
        switch("dry_run", "Kubernetes: print the commands instead of running them."),
    ]


def run(words: Sequence[str], flags: Mapping[str, Any]) -> int:
    """Run the pair between the places that the words name; return the exit status.

    Raises:
        SettingsError: a setting of the client cannot be used.
        UsageError: the words or flags cannot be used, or the pair cannot be run.
    """
    own = {slot.name: flags.get(slot.name) for slot in _own_flags()}
    settings = {name: value for name, value in flags.items() if name not in own}
    loaded = load(commands.client_settings(), short_flags(settings))
    in_pods = any(word.startswith(_POD) for word in words)
    _validate(words, own, in_pods=in_pods)
    from netduet.client.commands.check import unusable  # noqa: PLC0415

    problems = unusable(loaded.settings)
    if problems:
        raise SettingsError(problems)
    if find_spec("docker") is None:
        raise UsageError("'docker' is not installed: pip install 'netduet[docker]'")
    from netduet.between.command import Output, between, between_pods  # noqa: PLC0415
    from netduet.between.engine import Image  # noqa: PLC0415
    from netduet.between.errors import BetweenError  # noqa: PLC0415
    from netduet.between.options import Options  # noqa: PLC0415
    from netduet.between.pods import Kubectl  # noqa: PLC0415

    chosen = loaded.settings
    options = Options(
        Image.of("server", own["server_image"], _PREFIX),
        Image.of("client", own["client_image"], _PREFIX),
        _port(own["port"]),
        chosen.profile,
        environment=environment(loaded),
    )
    output = Output(chosen.json_report, chosen.junit, chosen.color)
    client, *services = words or [""]
    try:
        if in_pods:
            kubectl = Kubectl(own["namespace"] or "")
            dry = bool(own["dry_run"])
            return between_pods(words, kubectl, options, output, dry=dry)
        return between(client, services, own["project"] or "", options, output)
    except BetweenError as error:
        raise UsageError(str(error)) from None


def _validate(words: Sequence[str], own: Mapping[str, Any], *, in_pods: bool) -> None:
    if own["all"]:
        if words:
            raise UsageError("--all takes no containers: leave them or --all out")
        return
    if not words:
        raise UsageError(
            "no containers: name two, CLIENT and SERVICE, or use --all -p PROJECT"
        )
    if len(words) == 1:
        raise UsageError(
            f"{words[0]} and what? name two containers: netduet between {words[0]} "
            "SERVICE"
        )
    for name in ("namespace", "dry_run"):
        if own[name] and not in_pods:
            flag = name.replace("_", "-")
            raise UsageError(f"--{flag} is for pods: pod/NAME")


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_PORT):
        raise UsageError(f"--port {text}: must be a number from 0 to {_LARGEST_PORT}")
    return int(text)


def environment(loaded: Loaded[ClientSettings]) -> dict[str, str]:
    """Return the client's settings that were set here, as its variables."""
    settings = loaded.settings
    fields = type(settings).model_fields
    excluded = _NOT_OF_A_PAIR | _NOT_OF_A_RUN | _LOCAL
    shown = {
        settings.variable(field): show(fields[field], getattr(settings, field))
        for field in sorted(loaded.sources)
        if field not in excluded and not is_secret(fields[field])
    }
    return {name: value for name, value in shown.items() if value}
