"""A client, a router and a server, each in its own network namespace.

    client eth0 —— to_client ROUTER to_server —— eth0 server

Every network has the same addresses, for none sees another: only the names of the
namespaces carry a number. They are made in a few calls of ``ip -batch`` (about
0.1 s), and removed whatever happens.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tests.lab.conditions import Condition

Role = Literal["client", "router", "server"]
ROLES: Final[tuple[Role, ...]] = ("client", "router", "server")

CLIENT4: Final = "198.18.1.2"
CLIENT6: Final = "2001:db8:1::2"
ROUTER4: Final = "198.18.1.1"
ROUTER6: Final = "2001:db8:1::1"
SERVER4: Final = "198.18.2.2"
SERVER6: Final = "2001:db8:2::2"
OTHERS4: Final = ("198.18.2.3", "198.18.2.4")
"""Further addresses of the server's end, for further servers."""
ABSENT4: Final = "198.18.2.99"
"""An address of the server's network that nothing has."""

_NOBODY: Final = "65534"
_TIMEOUT_SECONDS: Final = 10
_RESOLVERS: Final = Path("/etc/netns")

_ROOT: Final = """\
netns add {client}
netns add {router}
netns add {server}
link add eth0 netns {client} type veth peer name to_client netns {router}
link add eth0 netns {server} type veth peer name to_server netns {router}
"""

_LINES: Final[dict[Role, str]] = {
    "client": f"""\
link set lo up
link set eth0 up
addr add {CLIENT4}/24 dev eth0
addr add {CLIENT6}/64 dev eth0 nodad
route add default via {ROUTER4}
route add default via {ROUTER6}
""",
    "router": f"""\
link set lo up
link set to_client up
link set to_server up
addr add {ROUTER4}/24 dev to_client
addr add {ROUTER6}/64 dev to_client nodad
addr add 198.18.2.1/24 dev to_server
addr add 2001:db8:2::1/64 dev to_server nodad
""",
    "server": f"""\
link set lo up
link set eth0 up
addr add {SERVER4}/24 dev eth0
addr add {OTHERS4[0]}/24 dev eth0
addr add {OTHERS4[1]}/24 dev eth0
addr add {SERVER6}/64 dev eth0 nodad
route add default via 198.18.2.1
route add default via 2001:db8:2::1
""",
}

# Without duplicate address detection, or IPv6 would work a second late.
_PLAIN: Final = (
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
)
_FORWARDING: Final = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The three namespaces of one network."""

    number: int

    def namespace(self, role: Role) -> str:
        """Return the name of a role's namespace."""
        return f"{role}{self.number}"

    def path(self, role: Role) -> str:
        """Return the file that setns(2) takes."""
        return f"/run/netns/{self.namespace(role)}"

    def command(self, role: Role, *words: str) -> list[str]:
        """Return a command line that runs there, as root."""
        return ["ip", "netns", "exec", self.namespace(role), *words]

    def unprivileged_command(self, role: Role, *words: str) -> list[str]:
        """Return a command line that runs there as an ordinary user.

        Each word of it replaces the process, so that its id is the command's own.
        """
        user = ["--reuid", _NOBODY, "--regid", _NOBODY, "--clear-groups"]
        bare = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        return self.command(role, "setpriv", *user, *bare, *words)


@contextlib.contextmanager
def topology(number: int, conditions: Iterable[Condition]) -> Iterator[Namespaces]:
    """Make the namespaces, put the conditions in force; remove all at the end."""
    namespaces = Namespaces(number)
    conditions = tuple(conditions)
    names = {role: namespaces.namespace(role) for role in ROLES}
    try:
        _do(["ip", "-batch", "-"], _ROOT.format(**names))
        for role in ROLES:
            _configure(namespaces, role, conditions)
        _filter(namespaces, conditions)
        queues = [line for condition in conditions for line in condition.queues]
        if queues:
            command = ["tc", "-n", names["router"], "-batch", "-"]
            _do(command, "".join(f"{line}\n" for line in queues))
        folder = _RESOLVERS / names["client"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(f"nameserver {ROUTER4}\n")
        yield namespaces
    finally:
        for name in names.values():
            if Path("/run/netns", name).exists():
                subprocess.run(
                    ["ip", "netns", "del", name], check=False, timeout=_TIMEOUT_SECONDS
                )
        shutil.rmtree(_RESOLVERS / names["client"], ignore_errors=True)


def _configure(
    namespaces: Namespaces, role: Role, conditions: tuple[Condition, ...]
) -> None:
    namespace = namespaces.namespace(role)
    # Addresses of IPv6 before links come up would be lost; settings come first.
    settings = [*_PLAIN, *(_FORWARDING if role == "router" else ())]
    settings += [
        word
        for condition in conditions
        for at, word in condition.settings
        if at == role
    ]
    _do(namespaces.command(role, "sysctl", "-qw", *settings))
    lines = [
        line for condition in conditions for at, line in condition.links if at == role
    ]
    batch = _LINES[role] + "".join(f"{line}\n" for line in lines)
    _do(["ip", "-n", namespace, "-batch", "-"], batch)


def _filter(namespaces: Namespaces, conditions: tuple[Condition, ...]) -> None:
    """Put the router's rules in force, one call a family."""
    for tool, rules in (
        (
            "iptables-restore",
            [rule for condition in conditions for rule in condition.ipv4],
        ),
        (
            "ip6tables-restore",
            [rule for condition in conditions for rule in condition.ipv6],
        ),
    ):
        if rules:
            tables = dict.fromkeys(rule.table for rule in rules)
            script = "".join(
                f"*{table}\n"
                + "".join(f"{rule.text}\n" for rule in rules if rule.table == table)
                + "COMMIT\n"
                for table in tables
            )
            _do(namespaces.command("router", tool, "--noflush"), script)


def _do(command: list[str], script: str = "") -> None:
    done = subprocess.run(
        command,
        input=script,
        text=True,
        capture_output=True,
        timeout=_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{script}")
