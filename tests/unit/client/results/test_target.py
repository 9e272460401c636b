"""Targets as people type them, and errors for invalid ones."""

from __future__ import annotations

import pytest

from netduet.client.results.target import Expect, Target, parse_target

LONGEST_LABEL = "a" * 63
LONGEST_NAME = ".".join(["a" * 63] * 3 + ["a" * 61])


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("server", "server", 12345),
        ("server:80", "server", 80),
        (" server:80 ", "server", 80),
        ("server.", "server.", 12345),
        ("a-b.c_d.example", "a-b.c_d.example", 12345),
        ("bücher.example:1", "bücher.example", 1),
        ("server:65535", "server", 65535),
        ("server:00080", "server", 80),
        ("192.0.2.1", "192.0.2.1", 12345),
        ("192.0.2.1:80", "192.0.2.1", 80),
        ("::1", "::1", 12345),
        ("2001:db8::1", "2001:db8::1", 12345),
        ("[::1]", "::1", 12345),
        ("[2001:db8::1]:80", "2001:db8::1", 80),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        ("fe80::1%eth0", "fe80::1%eth0", 12345),
        (LONGEST_LABEL, LONGEST_LABEL, 12345),
        (LONGEST_NAME, LONGEST_NAME, 12345),
    ],
)
def test_target_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    """Every form gives a host, without brackets, and a port or the default."""
    assert parse_target(text, 12345) == Target(host, port)


@pytest.mark.parametrize(
    ("text", "default", "target"),
    [
        ("db:5432=blocked", Expect.OPEN, Target("db", 5432, Expect.BLOCKED)),
        ("db=blocked", Expect.OPEN, Target("db", 12345, Expect.BLOCKED)),
        ("db:5432", Expect.BLOCKED, Target("db", 5432, Expect.BLOCKED)),
        ("db=open", Expect.BLOCKED, Target("db", 12345, Expect.OPEN)),
        ("::1=blocked", Expect.OPEN, Target("::1", 12345, Expect.BLOCKED)),
        ("[::1]:53=blocked", Expect.OPEN, Target("::1", 53, Expect.BLOCKED)),
        ("[::1]=blocked", Expect.OPEN, Target("::1", 12345, Expect.BLOCKED)),
        ("[fe80::1%a=b]:53", Expect.OPEN, Target("fe80::1%a=b", 53)),
        (
            "[fe80::1%a=b]:53=blocked",
            Expect.OPEN,
            Target("fe80::1%a=b", 53, Expect.BLOCKED),
        ),
    ],
)
def test_target_may_end_with_its_expectation(
    text: str, default: Expect, target: Target
) -> None:
    """The part after the last = overrides the setting and is not in the address."""
    assert parse_target(text, 12345, default) == target
    assert "=" not in str(target).partition("]")[2]


@pytest.mark.parametrize(
    ("text", "word"), [("db:1=", ""), ("db:1=shut", "shut"), ("a=b=open", "b=open")]
)
def test_unknown_expectation_error_lists_the_valid_ones(text: str, word: str) -> None:
    """A misspelt expectation is never taken for the default."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its words are judged
        parse_target(text, 12345)
    why = f"the = must be followed by open or blocked, not {word!r}"
    assert str(caught.value) == f"target {text!r}: {why}"


FORMS = "a target is host, host:port or [v6]:port"
PORT = "the port must be a number from 1 to 65535"
NAME = "a name has at most 253 characters, with 1 to 63"
BRACKETS = "an IPv6 target is [address] or [address]:port"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", FORMS),
        ("   ", FORMS),
        (":80", FORMS),
        ("-h", FORMS),
        ("http://server", FORMS),
        ("http://server:80", FORMS),
        ("http://[::1]:80/", FORMS),
        ("user@server", FORMS),
        ("server/path", FORMS),
        ("two words", FORMS),
        ("server\x1b[31m", FORMS),
        ("ser\u202ever", FORMS),
        ("server:", "no port follows the colon"),
        ("[::1]:", "no port follows the colon"),
        ("server:0", PORT),
        ("server:65536", PORT),
        ("server:-1", PORT),
        ("server:+1", PORT),
        ("server:http", PORT),
        ("server:٨٠", PORT),
        ("server:000080", PORT),
        ("[::1", BRACKETS),
        ("[::1]80", BRACKETS),
        ("server:80:90", "is not an IPv6 address"),
        ("[server]:80", "is not an IPv6 address"),
        ("[192.0.2.1]", "is not an IPv6 address"),
        ("[]", "is not an IPv6 address"),
        ("::1::2", "is not an IPv6 address"),
        ("fe80::1%\x1b[31m", "is not an IPv6 address"),
        ("[fe80::1%two words]", "is not an IPv6 address"),
        (".", NAME),
        ("a..b", NAME),
        (".a", NAME),
        (LONGEST_LABEL + "a", NAME),
        (LONGEST_NAME + "a", NAME),
    ],
)
def test_invalid_target_error_says_why(text: str, why: str) -> None:
    """The error is one line, with the text escaped."""
    with pytest.raises(ValueError, match=r"^target ") as caught:
        parse_target(text, 12345)
    message = str(caught.value)
    assert message.startswith(f"target {text.strip()!r}: ")
    assert why in message
    assert message.isprintable()


@pytest.mark.parametrize("text", ["server:80", "[2001:db8::1]:80", "192.0.2.1:1"])
def test_target_text_round_trip(text: str) -> None:
    """What is shown can be typed again with the same meaning."""
    assert str(parse_target(text, 12345)) == text
