"""Judging source ports: tables of what passed from which."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from netduet.client.checks.catalogue import ALIASES, CATALOGUE
from netduet.client.checks.flows.consequences import (
    BREAKING,
    EXPLAINED_BALANCE,
    LOSSES,
    SIZES,
)
from netduet.client.checks.flows.results import (
    FirstDatagrams,
    FlowTransport,
    PortTrial,
    SourcePort,
    TransportFlows,
)
from netduet.client.results.instance import Instance
from netduet.client.results.location import Location
from tests.unit.client.checks.flows.samples import (
    FAILED,
    HOLE,
    PASSED,
    PORTS,
    failing,
    flows_of,
    found,
    good,
    held_flow,
    judged,
    number_of,
    with_packets,
)

EIGHTH = range(3, PORTS, 8)


def test_all_ports_pass() -> None:
    """The summary says from how many ports of which transport."""
    judgement = judged(flows_of((), FAILED), flows_of((), FAILED, FlowTransport.UDP))
    assert not judgement.findings
    assert judgement.summary == (
        "192.0.2.1:12345: packets pass from all 128 (TCP) and all 128 (UDP) source ports"
    )


def test_path_mtu_that_was_learnt_is_noted() -> None:
    """The first full-size packets teach the kernel, so later checks see no more of it."""
    flows = replace(flows_of((), FAILED), path_mtus=(1500, 1400))
    judgement = judged(flows)
    assert not judgement.findings
    assert "path MTU is 1,400, not 1,500" in judgement.remarks[0]
    assert not judged(replace(flows, path_mtus=(1500, 1500))).remarks


def test_dead_path_is_found_by_its_share() -> None:
    """The finding says how many ports never pass, and which share of paths that is."""
    finding = found(judged(flows_of(EIGHTH, FAILED)))
    assert finding.failure == "flows.dead"
    assert finding.seen == (
        "192.0.2.1:12345: connections from 16 of 128 source ports never pass, the others "
        "always do: about one path in 8 (one in 5 to 14)"
    )
    assert "balance.unhealthy_backend" in finding.explains


@pytest.mark.parametrize("count", [2, 4, 8, 16])
@pytest.mark.parametrize("transport", list(FlowTransport))
def test_dead_path_among_several(count: int, transport: FlowTransport) -> None:
    """One of 2 to one of 16 dead paths is found, over TCP and over UDP."""
    dead = random.Random(7).sample(range(PORTS), PORTS // count)
    flows = flows_of(dead, FAILED, transport)
    judgement = judged(flows) if transport is FlowTransport.TCP else judged(udp=flows)
    expected = "flows.dead" if transport is FlowTransport.TCP else "flows.udp_dead"
    assert found(judgement).failure == expected


def test_single_dead_port_is_enough() -> None:
    """A port that fails six times while all others pass is no chance."""
    assert found(judged(flows_of([5], FAILED))).failure == "flows.dead"


def test_port_that_fails_each_time_on_a_lossy_path_is_no_dead_one() -> None:
    """Others of the ports that failed at first fail in half of their trials."""
    half = (FAILED, PASSED, PASSED, FAILED, FAILED, PASSED)
    flows = flows_of(EIGHTH, FAILED)
    ports = [
        port if port.passed or index == EIGHTH[0] else replace(port, again=half)
        for index, port in enumerate(flows.ports)
    ]
    lossy = judged(replace(flows, ports=tuple(ports)))
    assert not lossy.findings
    dead = [*ports[:64], *(flows.ports[64:])]
    assert found(judged(replace(flows, ports=tuple(dead)))).failure == "flows.dead"


def test_range_of_ports_is_named() -> None:
    """Dead ports side by side are a range, not a share of paths."""
    finding = found(judged(flows_of(range(40, 56), FAILED)))
    assert finding.failure == "flows.port_range"
    expected = f"all from {number_of(40)} to {number_of(55)}"
    assert finding.seen.endswith(expected)


def test_port_that_passes_when_tried_again_is_not_dead() -> None:
    """Random loss: the second attempt from the same port passes."""
    flows = flows_of((), FAILED)
    lucky = replace(failing(3, FAILED), again=(FAILED, PASSED))
    ports = (*flows.ports[:3], lucky, *flows.ports[4:])
    assert not judged(replace(flows, ports=ports)).findings


def test_controls_that_fail_alike_prove_nothing() -> None:
    """If ports that passed at first fail later, too, it does not depend on the port."""
    flows = flows_of(EIGHTH, FAILED)
    later = (FAILED, PASSED, FAILED, FAILED, FAILED)
    ports = tuple(
        replace(port, again=later) if port.first.passed and port.again else port
        for port in flows.ports
    )
    assert not judged(replace(flows, ports=ports)).findings


def test_no_control_proves_nothing() -> None:
    """Without any other port that was tried again, nothing is found."""
    ports = [failing(n, FAILED) if n in EIGHTH else good(n) for n in range(PORTS)]
    flows = TransportFlows(FlowTransport.TCP, tuple(ports), PORTS)
    assert not judged(flows).findings


def test_several_instances_may_hide_a_dead_one() -> None:
    """A dead server behind the address looks the same: both are said."""
    flows = flows_of(EIGHTH, FAILED)
    names = Instance("a"), Instance("b")
    ports = tuple(
        replace(port, first=replace(port.first, instance=names[index % 2]))
        if port.passed
        else port
        for index, port in enumerate(flows.ports)
    )
    finding = found(judged(replace(flows, ports=ports)))
    assert "or a server behind the address (besides a, b)" in finding.seen
    assert not set(finding.explains) & set(EXPLAINED_BALANCE)


def test_flows_that_end_all_at_once_are_a_full_table() -> None:
    """The first ones pass, none of the later ones does, old ones still do."""
    ports = [
        good(index, is_control=index % 3 == 0) if index < 50 else failing(index, FAILED)
        for index in range(90)
    ]
    flows = TransportFlows(FlowTransport.TCP, tuple(ports), PORTS)
    finding = found(judged(flows))
    assert finding.failure == "flows.table_full"
    assert "after 50 new TCP flows, none of 40 further ones passed" in finding.seen
    assert {"churn.table_full", "stream.outage"} <= set(finding.explains)


def test_full_table_is_found_once_for_both_transports() -> None:
    """One table remembers connections and datagrams."""
    ports = tuple(good(n) if n < 50 else failing(n, FAILED) for n in range(90))
    tcp = TransportFlows(FlowTransport.TCP, ports, PORTS)
    udp = TransportFlows(FlowTransport.UDP, ports[10:], PORTS)
    finding = found(judged(tcp, udp))
    assert (
        "after 50 new TCP flows and 40 new UDP flows, none of 40 and 40 further ones"
        in finding.seen
    )
    assert finding.figures == {"passed": 90, "failed": 80}


@pytest.mark.parametrize(
    ("arrived", "where"),
    [
        (0, Location.TO_SERVER),
        (24, Location.FROM_SERVER),
        (7, Location.INTERMEDIARY),
    ],
)
def test_first_datagram_of_each_flow(arrived: int, where: Location) -> None:
    """The second one passes, and flows that are known lose none."""
    first = FirstDatagrams(24, 24, arrived, 24, 0)
    flows = replace(flows_of((), FAILED, FlowTransport.UDP), first_datagrams=first)
    finding = found(judged(udp=flows))
    assert (finding.failure, finding.where) == ("flows.udp_first_lost", where)


@pytest.mark.parametrize("first", [(24, 17, 0, 24, 0), (24, 24, 0, 24, 20)])
def test_loss_of_any_datagram_is_no_matter_of_the_first(
    first: tuple[int, int, int, int, int],
) -> None:
    """Too few of them, or those of known flows as well: an outage."""
    flows = flows_of((), FAILED, FlowTransport.UDP)
    flows = replace(flows, first_datagrams=FirstDatagrams(*first))
    assert not judged(udp=flows).findings


@pytest.mark.parametrize(
    ("arrived", "where"),
    [(False, Location.TO_SERVER), (True, Location.FROM_SERVER)],
)
def test_hole_of_some_flows(arrived: bool, where: Location) -> None:
    """Full-size packets of some ports vanish, in a known direction."""
    trial = replace(HOLE, full_arrived=arrived)
    finding = found(judged(flows_of(EIGHTH, trial)))
    assert finding.failure == "flows.black_hole"
    assert finding.where is where
    assert "16 of 128 source ports never carry full-size packets" in finding.seen


def test_hole_of_all_flows_is_no_matter_of_ports() -> None:
    """The checks size and udp judge what fails for every flow."""
    flows = flows_of(range(PORTS), HOLE)
    assert not judged(flows).findings


def test_hole_to_an_instance_names_it() -> None:
    """Behind a load balancer that spreads at random, the instance decides."""
    ports = []
    for index in range(PORTS):
        bad = index % 3 == 0
        instance = Instance("server-y" if bad else f"server-{index % 3}")
        trial = replace(HOLE if bad else PASSED, instance=instance)
        ports.append(SourcePort(number_of(index), trial))
    flows = TransportFlows(FlowTransport.TCP, tuple(ports), PORTS, full_size=1448)
    finding = found(judged(flows))
    assert finding.failure == "flows.black_hole"
    assert finding.culprit == "server-y"
    assert finding.seen.startswith("instance server-y at 192.0.2.1:12345: none of 43")


def lossy(up: int, down: int = 0, bad: int = 12) -> TransportFlows:
    """Return flows of which some lose packets, and 24 controls lose none."""
    ports = [
        with_packets(index, up, lost_down=down, suspicious=True) for index in range(bad)
    ]
    ports += [with_packets(index, 0, suspicious=False) for index in range(bad, 36)]
    ports += [good(index) for index in range(36, PORTS)]
    return TransportFlows(FlowTransport.UDP, tuple(ports), PORTS)


@pytest.mark.parametrize(
    ("flows", "where"),
    [
        (lossy(12), Location.TO_SERVER),
        (lossy(0, 12), Location.FROM_SERVER),
    ],
)
def test_lossy_path_among_several(flows: TransportFlows, where: Location) -> None:
    """A share of the ports loses a fifth, the others nothing."""
    finding = found(judged(udp=flows))
    assert finding.failure == "flows.udp_loss"
    assert finding.where is where
    assert "from about 12 of 128 source ports are lost" in finding.seen
    assert "(20%), those of the others are not (0.0%)" in finding.seen


def test_loss_within_the_limit_passes() -> None:
    """A path that loses 1.7 % is within --max-loss, even if the others lose nothing."""
    assert not judged(udp=lossy(1)).findings


def test_equal_loss_passes() -> None:
    """Suspicious ports that lose no more than the controls are due to chance."""
    generator = random.Random(3)

    def lost() -> int:
        return sum(generator.random() < 0.05 for _ in range(60))

    ports = [with_packets(index, lost(), suspicious=index < 20) for index in range(44)]
    flows = TransportFlows(FlowTransport.UDP, tuple(ports), PORTS)
    judgement = judged(udp=flows)
    assert not judgement.findings
    assert "it does not depend on the port" in judgement.remarks[-1]


def test_lossy_instance_is_named() -> None:
    """All of the losses are those of one instance."""
    ports = []
    for index in range(40):
        bad = index % 4 == 0
        port = with_packets(index, 12 if bad else 0, suspicious=bad)
        assert port.packets is not None
        instance = Instance("server-y" if bad else "server-z")
        packets = replace(port.packets, instance=instance)
        ports.append(replace(port, packets=packets))
    flows = TransportFlows(FlowTransport.TCP, tuple(ports), PORTS)
    finding = found(judged(flows))
    assert (finding.failure, finding.where) == ("flows.loss", Location.TO_SERVER)
    assert finding.seen.startswith("instance server-y at 192.0.2.1:12345: 120 of 600")


def test_no_connection_at_all_says_nothing_about_ports() -> None:
    """The check is skipped; why connections fail is for others to find."""
    judgement = judged(flows_of(tuple(range(PORTS)), FAILED))
    assert not judgement.findings
    assert judgement.skipped.endswith("was made from any of 128 source ports")
    assert judgement.doubt is not None
    assert judgement.doubt.missed_deadline is not None  # a starved end explains it


# Held connections


MOVED = (
    held_flow(1, "a", "ECONNRESET", "b", returned=True),
    held_flow(2, "b", "ECONNRESET", "a", returned=True),
    held_flow(3, "a"),
    held_flow(4, "b"),
)


def test_moved_connections() -> None:
    """Both instances still answer, and connections went from one to the other."""
    finding = found(judged(flows_of((), FAILED), held=MOVED))
    assert finding.failure == "flows.moved"
    assert "a and b answer there by turns" in finding.seen
    assert "load.cut" in finding.explains


def test_replaced_server_is_no_move() -> None:
    """The instance that had the connections answers no more: a note says so."""
    held = (
        held_flow(1, "a", "ECONNRESET", "b"),
        held_flow(2, "a", "ECONNRESET", "b"),
        held_flow(3, "b"),
    )
    judgement = judged(flows_of((), FAILED), held=held)
    assert not judgement.findings
    assert "2 of 3 connections that were held ended" in judgement.remarks[0]


INTERRUPTED = tuple(held_flow(port, "a", "ECONNRESET", "a") for port in (1, 2, 3))


def test_interrupted_connections_of_a_server_that_goes_on() -> None:
    """It answers new connections at once: something in between ended the old ones."""
    held = (*INTERRUPTED, held_flow(4, "a"))
    finding = found(judged(flows_of((), FAILED), held=held))
    assert finding.failure == "flows.interrupted"
    assert "3 of 4 connections ended" in finding.seen


def test_announced_end_is_no_interruption() -> None:
    """The server itself said why it ended them."""
    held = tuple(replace(each, announced=True) for each in INTERRUPTED)
    assert not judged(flows_of((), FAILED), held=held).findings


def test_two_interrupted_connections_may_be_chance() -> None:
    """They are a note."""
    judgement = judged(flows_of((), FAILED), held=INTERRUPTED[:2])
    assert not judgement.findings
    assert judgement.remarks


def test_single_reset_is_no_move() -> None:
    """Behind a load balancer, a connection may end, and the next one go elsewhere."""
    held = (MOVED[0], *MOVED[2:])
    assert not judged(flows_of((), FAILED), held=held).findings


def test_two_hosts_with_one_address() -> None:
    """The MAC address goes to and fro."""
    macs = ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:01")
    finding = found(judged(flows_of((), FAILED), link_addresses=macs))
    assert finding.failure == "flows.duplicate_address"
    assert "changed 2 times" in finding.seen
    assert all(mac in finding.seen for mac in macs)


def test_failover_is_no_duplicate() -> None:
    """One change of the MAC address is a failover."""
    macs = ("02:00:00:00:00:01", "02:00:00:00:00:02")
    assert not judged(flows_of((), FAILED), link_addresses=macs).findings


def test_explained_classes_exist() -> None:
    """What a finding explains is spelt as in the catalogue."""
    names = {*LOSSES, *SIZES, *BREAKING, *EXPLAINED_BALANCE}
    assert names <= set(CATALOGUE)
    assert not names & set(ALIASES)
    assert not any("changed" in name for name in names - {"close.fin_changed"})


def test_trial_without_losses_is_clean() -> None:
    """A lost packet in either direction makes a port suspicious, and so does a hole."""
    assert PASSED.is_clean
    assert not PortTrial(passed=True, lost_down=1).is_clean
    assert SourcePort(1, HOLE).is_suspicious
