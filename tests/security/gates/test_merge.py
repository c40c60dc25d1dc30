"""What two engines say of one line, as one; and where a private key begins."""

import pytest

from security.engines.tokens import ABOUT, Hit
from security.gates.secrets import made
from security.gates.secrets.heads import AFTER, Heads
from security.gates.secrets.merge import merged

BOTH, OURS, THEIRS = ("sluice", "detect-secrets"), ("sluice",), ("detect-secrets",)
VALUE = "abc" * 9


def ours(rule: str = "github-token", excuse: str = "", value: str = VALUE) -> Hit:
    return Hit(0, rule, value, excuse)


theirs = ours


@pytest.mark.parametrize(
    ("left", "right", "told"),
    [
        ([ours()], [theirs("x")], [("github-token", "", BOTH)]),
        ([ours()], [], [("github-token", "", OURS)]),
        ([], [theirs("x")], [("x", "", THEIRS)]),
        ([], [], []),
        ([ours(excuse="no crc")], [theirs("x", value=VALUE[:3])], [("github-token", "no crc", BOTH)]),
        ([ours("assigned-secret", "too plain")], [theirs("secret-keyword")], [("secret-keyword", "", THEIRS)]),
        ([ours("assigned-secret", ABOUT)], [theirs("secret-keyword")], [("secret-keyword", "", THEIRS)]),
        ([ours("assigned-secret", "too plain")], [], [("assigned-secret", "too plain", OURS)]),
        ([ours("assigned-secret", "words")], [theirs("secret-keyword")], [("assigned-secret", "words", BOTH)]),
        ([ours("assigned-secret"), ours()], [], [("github-token", "", OURS)]),
        ([ours("assigned-secret"), ours(excuse="no crc")], [], [("github-token", "no crc", OURS)]),
        ([ours()], [theirs("x", "example")], [("github-token", "", OURS)]),
        ([ours()], [theirs("x", value="other one")], [("github-token", "", OURS), ("x", "", THEIRS)]),
        ([], [theirs("private-key", value="BEGIN")], []),
        (
            [ours("url-password", "blank", VALUE[:3])],
            [theirs("secret-keyword")],
            [("url-password", "blank", OURS), ("secret-keyword", "", THEIRS)],
        ),
        (
            [ours("url-password", "blank", VALUE[:3]), ours("assigned-secret")],
            [],
            [("url-password", "blank", OURS), ("assigned-secret", "", OURS)],
        ),
        ([], [theirs("aws", value="AKIA" + "IOSFODNN7" + "EXAMPLE")], [("aws", "documented", THEIRS)]),
    ],
)
def test_what_either_finds_is_found_once(
    left: list[Hit], right: list[Hit], told: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    assert [(rule, excuse, engines) for rule, _, excuse, engines in merged(left, right)] == told


HEAD = "-----BEGIN " + "RSA PRIVATE KEY-----"
BODY = "MIIE" + "a1B2" * 15


def keys(*lines: str) -> tuple[list[tuple[int, bool]], int]:
    heads = Heads[int]()
    found = [(at, bool(body)) for number, text in enumerate(lines) for at, body in heads.take(number, text)]
    left = [(at, bool(body)) for at, body in heads.end()]
    return [*found, *(each for each in left if each[1])], sum(not each[1] for each in left)


def test_of_a_key_the_whole_body_counts() -> None:
    """Keys of OpenSSH begin alike, whoever they are of."""

    def body(*lines: str) -> list[str]:
        heads = Heads[int]()
        told = [body for number, text in enumerate((HEAD, *lines)) for _, body in heads.take(number, text)]
        return [*told, *(body for _, body in heads.end())]

    end = HEAD.replace("BEGIN", "END")
    assert body(BODY, "x" * 64, "yz==", end) == [BODY + "x" * 64 + "yz=="]
    assert body(BODY, "x" * 64) == [BODY + "x" * 64]
    assert body(BODY, "x" * 64, "w" * 9) != body(BODY, "x" * 64, "v" * 9)
    assert body(BODY, "", "x = 1", HEAD, BODY) == [BODY, BODY]


@pytest.mark.parametrize(
    "lines",
    [
        (HEAD, BODY),
        (HEAD, "Proc-Type: 4,ENCRYPTED", "", BODY),
        (HEAD, f'    "{BODY}\\n" +'),
        (HEAD, f"+{BODY}"),
        (HEAD, f"# {BODY}\r"),
        (f"{HEAD}\\n{BODY}",),
        (f"{HEAD}\\\\n{BODY}",),
        (f"{HEAD} {BODY}",),
        ("-----BEGIN " + "PGP PRIVATE KEY BLOCK-----", "", BODY),
        ("---- BEGIN " + "SSH2 ENCRYPTED PRIVATE KEY ----", "Comment: x", BODY),
    ],
)
def test_a_key_begins_at_its_head(lines: tuple[str, ...]) -> None:
    assert keys("x", *lines, "y") == ([(1, True)], 0)


def test_a_head_without_a_body_is_none() -> None:
    assert keys(HEAD) == ([], 1)
    assert keys(HEAD, *["x"] * AFTER) == ([(0, False)], 0)
    assert keys(HEAD, "return True", HEAD, BODY) == ([(0, False), (2, True)], 0)
    assert keys("-----BEGIN " + "PUBLIC KEY-----", BODY) == ([], 0)


def test_a_line_of_one_character_does_not_take_long() -> None:
    for text in ("+" * 4096 + "!", "\\" * 4096, "' " * 2048, "a" * 4096 + "!", "\\n" * 2048):
        assert keys(HEAD, text, BODY) == ([(0, True)], 0)
        keys(f"{HEAD}{text}")


def test_what_canaries_are_made_of_is_a_key() -> None:
    import random

    lines = made.pem(random.Random(1)).splitlines()
    assert keys(*lines) == ([(0, True)], 0)
