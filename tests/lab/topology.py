"""A client, a router and a server, each in its own network namespace.

    client eth0 —— to_client ROUTER to_server —— eth0 server

A long path has two more routers, MIDDLE and FAR, between ROUTER and server.

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
from typing import Final

from tests.lab.conditions import Condition, Role

ROLES: Final[tuple[Role, ...]] = ("client", "router", "server")
_LONG_ROLES: Final[tuple[Role, ...]] = (*ROLES, "middle", "far")

CLIENT4: Final = "198.18.1.2"
CLIENT6: Final = "2001:db8:1::2"
ROUTER4: Final = "198.18.1.1"
ROUTER6: Final = "2001:db8:1::1"
MIDDLE4: Final = "198.18.3.2"
MIDDLE6: Final = "2001:db8:3::2"
FAR4: Final = "198.18.4.2"
FAR6: Final = "2001:db8:4::2"
SERVER4: Final = "198.18.2.2"
SERVER6: Final = "2001:db8:2::2"
SECOND_RESOLVER4: Final = "198.18.2.1"
"""The router's other address, for a second name server."""
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

_LONG_ROOT: Final = """\
netns add {client}
netns add {router}
netns add {middle}
netns add {far}
netns add {server}
link add eth0 netns {client} type veth peer name to_client netns {router}
link add to_server netns {router} type veth peer name to_client netns {middle}
link add to_server netns {middle} type veth peer name to_client netns {far}
link add eth0 netns {server} type veth peer name to_server netns {far}
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
addr add {SECOND_RESOLVER4}/24 dev to_server
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

_LINKS: Final = """\
link set lo up
link set to_client up
link set to_server up
"""

_LONG_LINES: Final[dict[Role, str]] = {
    **_LINES,
    "router": f"""{_LINKS}\
addr add {ROUTER4}/24 dev to_client
addr add {ROUTER6}/64 dev to_client nodad
addr add 198.18.3.1/24 dev to_server
addr add 2001:db8:3::1/64 dev to_server nodad
route add 198.18.0.0/16 via {MIDDLE4}
route add 2001:db8::/32 via {MIDDLE6}
""",
    "middle": f"""{_LINKS}\
addr add {MIDDLE4}/24 dev to_client
addr add {MIDDLE6}/64 dev to_client nodad
addr add 198.18.4.1/24 dev to_server
addr add 2001:db8:4::1/64 dev to_server nodad
route add 198.18.1.0/24 via 198.18.3.1
route add 2001:db8:1::/64 via 2001:db8:3::1
route add 198.18.0.0/16 via {FAR4}
route add 2001:db8::/32 via {FAR6}
""",
    "far": f"""{_LINKS}\
addr add {FAR4}/24 dev to_client
addr add {FAR6}/64 dev to_client nodad
addr add 198.18.2.1/24 dev to_server
addr add 2001:db8:2::1/64 dev to_server nodad
route add default via 198.18.4.1
route add default via 2001:db8:4::1
""",
}

# Without duplicate address detection, or IPv6 would work a second late.
_PLAIN: Final = (
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
)
_ENDS: Final = frozenset({"client", "server"})
_FORWARDING: Final = ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")


@dataclass(frozen=True, slots=True)
class Namespaces:
    """The namespaces of one network."""

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
def topology(
    number: int,
    conditions: Iterable[Condition],
    resolv: str = f"nameserver {ROUTER4}\n",
) -> Iterator[Namespaces]:
    """Make the namespaces, put the conditions in force; remove all at the end.

    ``resolv`` is the client's resolv.conf.
    """
    namespaces = Namespaces(number)
    conditions = tuple(conditions)
    is_long = any(condition.long_path for condition in conditions)
    roles = _LONG_ROLES if is_long else ROLES
    lines = _LONG_LINES if is_long else _LINES
    names = {role: namespaces.namespace(role) for role in roles}
    try:
        root = _LONG_ROOT if is_long else _ROOT
        _do(["ip", "-batch", "-"], root.format(**names))
        for role in roles:
            _configure(namespaces, role, lines[role], conditions)
            _filter(namespaces, role, conditions)
        queues = [line for condition in conditions for line in condition.queues]
        if queues:
            command = ["tc", "-n", names["router"], "-batch", "-"]
            _do(command, "".join(f"{line}\n" for line in queues))
        folder = _RESOLVERS / names["client"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(resolv)
        yield namespaces
    finally:
        for name in names.values():
            if Path("/run/netns", name).exists():
                subprocess.run(
                    ["ip", "netns", "del", name], check=False, timeout=_TIMEOUT_SECONDS
                )
        shutil.rmtree(_RESOLVERS / names["client"], ignore_errors=True)


def _configure(
    namespaces: Namespaces,
    role: Role,
    own_lines: str,
    conditions: tuple[Condition, ...],
) -> None:
    namespace = namespaces.namespace(role)
    # Addresses of IPv6 before links come up would be lost; settings come first.
    settings = [*_PLAIN, *(_FORWARDING if role not in _ENDS else ())]
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
    batch = own_lines + "".join(f"{line}\n" for line in lines)
    _do(["ip", "-n", namespace, "-batch", "-"], batch)


def _filter(
    namespaces: Namespaces, role: Role, conditions: tuple[Condition, ...]
) -> None:
    """Put the rules of a role in force, one call a family."""
    for tool, rules in (
        (
            "iptables-restore",
            [
                rule
                for condition in conditions
                for rule in condition.ipv4
                if rule.at == role
            ],
        ),
        (
            "ip6tables-restore",
            [
                rule
                for condition in conditions
                for rule in condition.ipv6
                if rule.at == role
            ],
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
            _do(namespaces.command(role, tool, "--noflush"), script)


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
