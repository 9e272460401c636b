"""Writes what is generated from declarations; with --check, only compares.

Each declaration is the truth, and these files show it: .env.example, the
configuration reference, the environment entries of docker-compose.yml, the page
of all checks and failures, the list of log events, the schema of the report, the
alert rules as the Prometheus operator takes them.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from netduet.cli import settings_reference
from netduet.client.checks import CHECKS
from netduet.client.checks.catalogue import CATALOGUE
from netduet.client.report.json_report import ReportDocument
from netduet.client.results.advice import Advice
from netduet.client.results.failure import Severity
from netduet.client.results.needs import PURPOSES, Need
from netduet.client.settings import ClientSettings
from netduet.runtime import logs
from netduet.server.settings import ServerSettings

ROOT = Path(__file__).parents[1]
MODELS = (ServerSettings, ClientSettings)
BEGIN, END = "      # generated: make docs\n", "      # end of what is generated\n"


ROOT_FINDING = """Of several findings a verdict explains one in full, the root; the others are listed below it.
A finding that made other checks impossible comes first, then the class that hurts applications most, then the order of the checks.

"""

COMPOSE_DEFAULTS = {
    "NETDUET_CLIENT_TARGET": "server:12345",
    "NETDUET_CLIENT_EXPECT_SERVICE": "netduet",
    "NETDUET_CLIENT_LOG_LEVEL": "info",
}
"""The pair's client checks the netduet server beside it, and logs results as JSON."""

NEED_MEANINGS = {
    Need.TCP: "connections that carry data whole",
    Need.UDP: "datagrams",
    Need.HALF_CLOSE: "an end that has closed its sending side still receives",
    Need.RESET: "a reset arrives as a reset",
    Need.IDLE: "a connection that was silent for `idle=TIME` is alive",
    Need.RATE: "`rate=RATE` in each direction",
}

MEANINGS = {
    Severity.UNREACHABLE: "nothing works: no name, no connection, not the right server",
    Severity.DATA: "data is changed, or lost with the connection that carried it",
    Severity.STALL: "data stops: an outage, a black hole, a connection that dies unnoticed",
    Severity.CONNECTIONS: "connections are not opened, kept or closed correctly",
    Severity.DATAGRAMS: "datagrams are lost, refused, reordered or duplicated",
    Severity.PERFORMANCE: "everything works, but slowly or unevenly",
    Severity.PROBE: "the client itself failed: little is known of the network",
}

RULE_HEADER = """\
# deploy/prometheus/netduet.rules.yaml for the Prometheus operator; generated: make docs
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: netduet
  namespace: netduet
  labels: {app.kubernetes.io/part-of: netduet}
spec:
"""

NEEDS = """
## What applications need

Most applications need TCP connections that carry data whole; few need UDP, half-closes, resets that arrive as resets, or an hour of silence.

- Without `--need` and `--for`, everything is needed. One thing excuses what no TCP proxy promises: that both ends have seen one. The server sees another peer than this client's socket, and a reset or a half-close arrives as an end of stream that neither end sent, which NAT and firewalls never cause. The row of a check waits until that is known; with `--checks`, only `path` and `close` together can show it. It does not excuse a port that this host itself publishes for TCP alone (`udp.tcp_alone`).
- With them, what is listed must work, and every other finding is a note: what was observed, what an application notices, the class. `tcp` is always needed. `--for` stands for needs: PURPOSES.
- `idle=TIME` adds that time to the idle check, in profile quick too; connections that die after a longer silence are a note. The check takes as long: ten minutes with `--need idle=10m`. `rate=RATE` is `--min-rate`.
- A need that was not tested is no PASS but status 3: its check was skipped, inconclusive or not chosen, the server does not hold connections for so long, or no netduet-server answers.
- Data that is lost or changed is always a failure: `size.changed`, `load.changed`, `load.cut`, `close.answer_cut`, `close.answer_changed`, and all classes that the table does not name.

"""

# Sources: Docker's documentation (Publishing ports) and moby's cmd/docker-proxy;
# HAProxy's configuration manual (timeout client, server, tunnel; client-fin, server-fin);
# nginx.org, ngx_stream_core_module (listen udp) and ngx_stream_proxy_module
# (proxy_half_close, proxy_timeout); Envoy's documentation (tcp_proxy, udp_proxy, "How do I
# configure timeouts?"); socat(1) (-t, -T); Kubernetes' documentation (Service protocols;
# kube-proxy --conntrack-tcp-timeout-established, --conntrack-tcp-timeout-close-wait) and
# Linux, ip_vs_proto_tcp.c; AWS, "Listeners for your Network Load Balancers"; Azure, "Load
# Balancer TCP reset and idle timeout". What docker-proxy, HAProxy, nginx and socat do with
# half-closes and resets is tested: tests/containers/services/test_proxies.py
# (docker-proxy 20.10, HAProxy 3.0, nginx 1.26, socat 1.8).
MIDDLEBOXES = """
| middlebox, as it comes | UDP | half-close | reset | silence |
|---|---|---|---|---|
| docker-proxy (a published port, from the host itself) | if published: `-p PORT:PORT/udp` | passes | becomes a FIN | no limit |
| HAProxy, `mode tcp` | not carried | passes, for `timeout client` or `server` (`client-fin`, `server-fin`) | the server's becomes a FIN, the client's passes | `timeout client`, `server`, `tunnel`, as configured |
| nginx `stream` | with `listen … udp` | cut, unless `proxy_half_close on` | becomes a FIN | `proxy_timeout`: 10 min |
| Envoy `tcp_proxy` | with a `udp_proxy` listener | passes | depends on the version | `idle_timeout`: 1 h |
| socat `TCP-LISTEN` | with `UDP-LISTEN` | cut after 0.5 s (`-t`) | becomes a FIN | no limit (`-T`) |
| kube-proxy, iptables and nftables | with `protocol: UDP` | passes, for 1 h (conntrack) | passes | 24 h (conntrack) |
| kube-proxy, IPVS; Docker Swarm | as published | forgotten after 60 s | passes | 15 min, then silently dropped |
| AWS Network Load Balancer | with a UDP or TCP_UDP listener | passes | passes | 350 s, then a reset |
| Azure Load Balancer | with a UDP rule | passes | passes | 4 min, then silently dropped, or a reset if enabled |

"""

MANNERS = """
## Targets that should be blocked

`TARGET=blocked` (`db:5432=blocked`, `[2001:db8::1]:53=blocked`) passes only if the target cannot be reached; `--expect blocked` applies this to all targets, and `TARGET=open` exempts one.
For such a target only `name` and `isolation` run; `--checks` selects among the checks of the other targets.
TCP and UDP are both tried at each address, TCP for `--connect-timeout`, UDP for the longer of that and `--answer-timeout`.

| response | result |
|---|---|
| a connection, also one that is then reset, or any datagram | open: `isolation.open` |
| nothing | dropped |
| a reset instead of a connection | rejected: by a firewall, or by a host on which nothing listens; from outside the two look the same |
| ICMP: prohibited, port unreachable, host unreachable | rejected, by the sender that the kernel reports; an error from the host itself, or from a router that finds no host, does not prove that a firewall blocks it, and a note says so |
| nothing was sent: this host has no route there | no route |

The verdict is INCONCLUSIVE if the name has no address (it may be misspelt, or known only on other networks: use the address), if this client has no route to any other host or was suspended or starved of CPU while it waited, and if there was time for only one SYN.
A client without a network also sees only silence. Open targets in the same run serve as a control and are checked first; without one, a note asks for one.
A service other than netduet would not respond to netduet's datagrams, so silence proves less about UDP than about TCP.

## Several targets

Up to four targets are checked side by side, and reported one after the other; those that should be blocked follow the others, of which one is their control.
Checks that fill the path take turns, across all targets. None of them runs while `name`, `reach`, `identity`, `balance` or `flows` of another target does.

Below the verdicts come a truth table (expected and found) and a matrix (targets and checks; PASS, or the failure class without the check's name), no wider than the terminal.
The JSON report has `expected`, `found` and `how` for each target; JUnit has a suite for each target and a case for each check.

## Interrupted runs

SIGINT (Ctrl-C) and SIGTERM end a run with everything known so far, what is done and what is missing, and status 3.
`--resume FILE` saves the result of each check when it finishes: the same command continues from there, and shows those results with their time.
Checks that others depend on (`name`, `reach`, `identity`), checks without a verdict, and a check that was running are measured again.
A file from a run with other targets, or another profile, version, family, service or limit, is rejected with status 2, and so is a file that netduet did not write: neither is overwritten.
The file is removed when the run is complete, so the same command then starts from the beginning.
"""


RUNS = """
## What the server logs about clients

A run is the checks of one target, or a watch: dozens of connections, or one every few seconds for days.
The server logs one line when a run ends (`run.finished`): when none of its connections has been open, and no datagram has come, for 10 seconds, or when the server stops.
A longer run has a line after 1, 3, 7, 15 and 25 minutes, then every 10 minutes (`run.progress`), with the totals since its start.
A client names its run by a random id (`netduet.run`, which its own `verdict.reached` and `watch.started` have too; rule P-77 of [the protocol](protocol.md)); connections without an id are a run of their address.
Datagrams carry no id and count for the run of their address that was active last.

| field | meaning |
|---|---|
| `client.address` | the client's address; a run over IPv4 and IPv6 has a line for each |
| `netduet.run` | the id of the run, in hex; absent if the client names none |
| `netduet.connections` | connections that have ended, `netduet.silent` of them without a byte from the client |
| `netduet.open` | connections that are open |
| `netduet.ended_by_client`, `netduet.ended_by_server` | how many ended in which way |
| `netduet.errors` | broken rules (error codes of the protocol) and errors of the kernel |
| `netduet.refused` | connections beyond a limit of the server, of this address |
| `netduet.bytes_…`, `netduet.frames_…` | TCP bytes and frames, received and sent |
| `netduet.datagrams` | datagrams received |
| `netduet.duration_s`, `netduet.stalled_s` | seconds of the run; of them, those in which the server did not run |

Other conversations (a greeting in plain text, another protocol, an opening that fails) have a line each, `connection.closed` at level info.
So that nobody can fill the disk, an address has at most 20 lines a minute, and all together 300, runs included; beyond that, one line a minute (`logs.suppressed`) has the sum.
With the level `debug`, every connection has its `connection.closed`, without a bound.
"""


def files() -> Iterator[tuple[Path, str]]:
    """Yield each generated file with what it must hold."""
    yield ROOT / ".env.example", settings_reference.env(MODELS)
    yield ROOT / "docs/configuration.md", settings_reference.markdown(MODELS)
    yield ROOT / "docs/checks.md", checks()
    yield ROOT / "docs/logs.md", events()
    schema = json.dumps(ReportDocument.model_json_schema(), indent=2)
    yield ROOT / "docs/report.schema.json", schema + "\n"
    yield ROOT / "docker-compose.yml", compose()
    rules = (ROOT / "deploy/prometheus/netduet.rules.yaml").read_text()
    yield ROOT / "deploy/kubernetes/monitoring/rules.yaml", prometheus_rule(rules)


def checks() -> str:
    """Return the page of checks and of classes of failure."""
    parts = [
        "# Checks and what they find\n\n",
        "Generated from the declarations by `make docs`; a test checks that it is current.\n",
        "`netduet explain CLASS` prints the same about one class.\n\n",
        "| check | question | needs |\n|---|---|---|\n",
    ]
    for check in CHECKS:
        needs = ", ".join(check.needs)
        parts.append(f"| `{check.name}` | {check.question} | {needs} |\n")
    parts += ["\n## The root finding\n\n", ROOT_FINDING]
    parts.append("| order | effect on applications | classes |\n|---|---|---|\n")
    for severity in Severity:
        names = [f.name for f in CATALOGUE.values() if f.severity is severity]
        classes = ", ".join(
            f"`{name}`" for name in names if name.partition(".")[0] != "watch"
        )
        parts.append(f"| {severity.value} | {MEANINGS[severity]} | {classes} |\n")
    parts.append(needs_section())
    parts.append(MANNERS)
    for failure in CATALOGUE.values():
        parts.append(f"\n## {failure.name}\n\n**{failure.title}.** {failure.meaning}\n")
        if failure.aliases:
            names = ", ".join(f"`{alias}`" for alias in failure.aliases)
            parts.append(f"\nFormerly {names}: `netduet explain` accepts both.\n")
        if failure.consequence:
            need = f"Need `{failure.need}`: {failure.consequence}."
            parts.append(f"\n{need}\n")
        parts.append(f"\nWhere: {failure.where} ({failure.where.label}).\n")
        parts.append("\nLikeliest causes:\n\n")
        parts += [f"{n}. {each(cause)}\n" for n, cause in enumerate(failure.causes, 1)]
        parts.append("\nTry next:\n\n")
        parts += [f"{n}. {each(step)}\n" for n, step in enumerate(failure.next, 1)]
    return "".join(parts)


def each(advice: str) -> str:
    """Return a cause or step with what replaces it in a container and in a pod."""
    if not isinstance(advice, Advice):
        return advice
    parts = [str(advice)]
    for place, text in (("container", advice.container), ("pod", advice.pod)):
        if text != advice:
            parts.append(f"In a {place}: {text or 'does not apply'}")
    return "<br>".join(parts)


def needs_section() -> str:
    """Return the section on what applications need, and which middlebox lacks it."""
    purposes = "; ".join(
        f"`{purpose}` ({', '.join(requirements.words)})"
        for purpose, requirements in PURPOSES.items()
    )
    parts = [NEEDS.replace("PURPOSES", purposes)]
    parts.append("| need | check | meaning | classes; * a TCP proxy excuses it |\n")
    parts.append("|---|---|---|---|\n")
    for need in Need:
        classes = ", ".join(
            f"`{failure.name}`{'*' * failure.by_proxy}"
            for failure in CATALOGUE.values()
            if failure.need == need
        )
        parts.append(
            f"| `{need}` | `{need.check}` | {NEED_MEANINGS[need]} | "
            f"{classes or 'all that no other row names'} |\n"
        )
    parts.append(MIDDLEBOXES)
    return "".join(parts)


def events() -> str:
    """Return the page of log events."""
    parts = [
        "# Log events\n\n",
        "Generated from the declarations by `make docs`; a test checks that it is current.\n\n",
        "One JSON object a line: `timestamp` (UTC, RFC 3339), `level`, `event`, then\n",
        "fields named after OpenTelemetry's semantic conventions, and our own under\n",
        "`netduet.`.\nThe server logs to stdout from level info on; the client to stderr from\n",
        "level warning on, in `docker-compose.yml` from info on.\n\n",
        "| event | meaning |\n|---|---|\n",
    ]
    parts += [f"| `{name}` | {meaning} |\n" for name, meaning in logs.EVENTS.items()]
    parts.append(RUNS)
    return "".join(parts)


def prometheus_rule(rules: str) -> str:
    """Return a file of alert rules as an object of the Prometheus operator."""
    groups = rules[rules.index("groups:") :]
    return RULE_HEADER + textwrap.indent(groups, "  ")


def compose() -> str:
    """Return docker-compose.yml with each half's environment entries renewed."""
    parts = (ROOT / "docker-compose.yml").read_text().split(BEGIN)
    halves = [parts[0]]
    for part, model in zip(parts[1:], MODELS, strict=True):
        _, _, rest = part.partition(END)
        halves.append(f"{entries(model)}{END}{rest}")
    return BEGIN.join(halves)


def entries(model: type[ServerSettings | ClientSettings]) -> str:
    """Return the entries of a service."""
    lines = []
    for field in model.model_fields:
        name = model.variable(field)
        default = COMPOSE_DEFAULTS.get(name, "")
        # The port inside is the one that compose publishes and the client asks.
        value = "" if name == "NETDUET_SERVER_PORT" else f"${{{name}:-{default}}}"
        lines.append(f'      {name}: "{value}"\n')
    return "".join(lines)


def main() -> int:
    """Write or compare; return the exit status."""
    stale = []
    for path, text in files():
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if "--check" not in sys.argv:
            path.write_text(text)
    for name in stale:
        print(f"{name}: {'differs: make docs' if '--check' in sys.argv else 'written'}")
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
