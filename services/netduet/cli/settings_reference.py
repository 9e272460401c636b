"""The reference of all settings, generated from their declarations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic.fields import FieldInfo

from netduet.config.load import (
    BETWEEN,
    DOTENV,
    PREFIX,
    TESTING,
    TOOLING,
    Settings,
    SettingsError,
    dotenv,
    flag,
    load,
    nearest,
    show,
    unit,
)

Models = Sequence[type[Settings]]

_INTRODUCTION = """\
# Configuration

Generated from the declarations by `make docs`; a test checks that it is current.

Values are taken from, in order of precedence: the command-line flag, the environment variable, the file `.env`, a file secret `/run/secrets/<variable in lower case>`, the default.
An empty variable counts as unset.
For a secret, the variable with `_FILE` appended names a file that holds it, as in `NETDUET_SERVER_TOKEN_FILE=/run/secrets/token`; a line end at its end does not count. Setting both is an error. Secrets are never shown.
Write times as `500ms`, `30s` or `2m`, and sizes as `4096`, `64KiB` or `1MiB`. A time without a unit is in seconds, for flags and variables alike.
A variable with one of these prefixes that matches no setting is an error; the message suggests the closest name.
The variables that Kubernetes writes for a Service named `netduet-server` or `netduet-client` are recognised, ignored and logged.
`netduet config show` prints the effective values and where they come from; `netduet config check` validates them.
"""

_ENV_INTRODUCTION = """\
# Copy to .env and change what you need. Generated from the declarations by `make docs`.
# Every line shows a default; docs/configuration.md explains more.
"""


def markdown(models: Models) -> str:
    """Return docs/configuration.md."""
    parts = [_INTRODUCTION]
    for model in models:
        parts.append(f"\n## {model.prefix()}…\n\n{model.__doc__}\n\n")
        parts.append("| variable | flag | type | default | meaning |\n")
        parts.append("|---|---|---|---|---|\n")
        for field, info in model.model_fields.items():
            default = show(info, info.default)
            parts.append(
                f"| `{model.variable(field)}` | `{flag(model, field)}` "
                f"| {kind(info)} | {f'`{default}`' if default else ''} "
                f"| {info.description} |\n"
            )
    parts.append("\n## Compose and make\n\n| variable | meaning |\n|---|---|\n")
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in TOOLING.items()]
    parts.append("\n## Between containers\n\nEnvironment variables or flags of ")
    parts.append(
        "[netduet between](between.md).\n\n| variable | meaning |\n|---|---|\n"
    )
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in BETWEEN.items()]
    parts.append("\n## In tests\n\nEnvironment variables only, for [netduet.testing]")
    parts.append("(testing.md).\n\n| variable | meaning |\n|---|---|\n")
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in TESTING.items()]
    return "".join(parts)


def env(models: Models) -> str:
    """Return .env.example."""
    parts = [_ENV_INTRODUCTION]
    for model in models:
        for field, info in model.model_fields.items():
            default = show(info, info.default)
            parts.append(f"\n# {info.description}\n")
            parts.append(f"# {model.variable(field)}={default}\n")
    parts.append("\n# Read by compose and make alone:\n")
    parts += [f"# {name}=  ({meaning})\n" for name, meaning in TOOLING.items()]
    return "".join(parts)


def compose(models: Models) -> str:
    """Return the environment entries of docker-compose.yml, service by service."""
    parts = []
    for model in models:
        parts.append(f"# {model.prefix()}\n")
        for field in model.model_fields:
            name = model.variable(field)
            parts.append(f"{name}: ${{{name}:-}}\n")
    return "".join(parts)


RENDERERS: Final[dict[str, Callable[[Models], str]]] = {
    "markdown": markdown,
    "env": env,
    "compose": compose,
}


def kind(info: FieldInfo) -> str:
    """Describe the valid values of a field."""
    special = {
        "time": "time",
        "times": "list of times",
        "size": "size",
        "share": "share",
        "rate": "rate",
        "list": "list of words",
    }
    annotation = info.annotation
    choices = get_args(annotation)
    if get_origin(annotation) is Literal:
        words = " or ".join(f"`{choice}`" for choice in choices)
    elif annotation is bool:
        words = "`true` or `false`"
    else:
        plain = int if annotation is int or int in choices else str
        words = special.get(unit(info) or "", "number" if plain is int else "text")
    bounds = ", ".join(_bounds(info))
    return f"{words}, {bounds}" if bounds else words


def _bounds(info: FieldInfo) -> Iterator[str]:
    for bound in info.metadata:
        match bound:
            case Ge(ge=least):
                yield f"at least {show(info, least)}"
            case Gt(gt=least):
                yield f"more than {show(info, least)}"
            case Lt(lt=most):
                yield f"less than {show(info, most)}"
            case Le(le=most):
                yield f"at most {show(info, most)}"
            case MaxLen(max_length=most):
                yield f"at most {most} characters"
            case MinLen():
                yield "not empty"


def judge(models: Models) -> list[str]:
    """Return a line for each problem of the effective settings.

    That includes names with our prefix that nothing reads.
    """
    problems = []
    known = {*TOOLING, *BETWEEN, *TESTING}
    for model in models:
        known |= {model.variable(field) for field in model.model_fields}
        try:
            load(model)
        except SettingsError as error:
            problems += error.lines
    prefixes = tuple(model.prefix() for model in models)
    services = ("NETDUET_SERVER_", "NETDUET_CLIENT_")
    for where, names in (("", os.environ), (f"{DOTENV}: ", dotenv(DOTENV))):
        for name in sorted(names):
            foreign = name.startswith(PREFIX) and not name.startswith(
                prefixes + services
            )
            if foreign and name not in known:
                problems.append(
                    f"{where}{name}: nothing reads this name{nearest(name, known)}"
                )
    return problems
