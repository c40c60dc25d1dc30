"""Our own engine: sums, placeholders, and a cost that does not depend on who wrote the line."""

import random
import re
import string
import zlib

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from security.engines import placeholder, tokens
from security.engines.checksum import DIGITS, crc, entropy, jwt, pair, summed, unpacked
from security.engines.content import WINDOW
from security.engines.tokens import BINARY, CODE, CONFIG, PROSE, Line, manifest, scan
from security.gates.secrets import made
from tests.security.gates.planted import npm

DRAW = random.Random(2)


def secrets(text: str, flavour: str = CONFIG) -> list[str]:
    return [hit.value for hit in scan([Line(flavour, text)]) if not hit.excuse]


def excuses(text: str, flavour: str = CONFIG) -> list[str]:
    return [hit.excuse for hit in scan([Line(flavour, text)])]


def test_a_token_has_the_sum_of_what_stands_before() -> None:
    for make in (made.github, npm):
        token = make(DRAW)
        assert secrets(token) == [token]
        for at in (6, -1):
            other = next(letter for letter in DIGITS if letter != token[at])
            wrong = token[:at] + other + (token[at:][1:])
            assert not summed(wrong)
            assert excuses(wrong) == ["no crc"]


@given(st.text(string.ascii_letters, min_size=1, max_size=40))
def test_a_sum_is_the_number_in_base_62(text: str) -> None:
    told = crc(text)
    assert len(told) == 6
    assert sum(DIGITS.index(digit) * 62**place for place, digit in enumerate(reversed(told))) == zlib.crc32(
        text.encode()
    )


def test_what_base64_is_of() -> None:
    assert unpacked("YTpi") == b"a:b"
    assert unpacked("?") == b""
    assert pair("bWU6c2VjcmV0")
    assert not pair("bWU=")
    assert not jwt(".".join(("eyJhIjoxfQ", "eyJhIjoxfQ", "x")))
    assert not jwt("a.b.c")
    assert (entropy(""), entropy("aaaa"), entropy("abcd")) == (0.0, 0.0, 2.0)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("${DB_PASSWORD}", "reference"),
        ("$DB_PASSWORD", "reference"),
        ("{{ secrets.TOKEN }}", "reference"),
        ("${{ secrets.TOKEN }}", "reference"),
        ("%(password)s", "reference"),
        ("env:DB_PASSWORD", "reference"),
        ("settings.password", "reference"),
        ("<your-token>", "blank"),
        ("xxxxxxxx", "blank"),
        ("********", "blank"),
        ("redacted", "blank"),
        ("changeme", "example"),
        ("change-me", "example"),
        ("your_api_key_here", "example"),
        ("my-secret-password", "example"),
        ("hunter2", ""),
        ("$ecretP4ss", ""),
        ("example-Xk93jd8s", ""),
        ("changemeXk93", ""),
        ("data-Xk93jd8s", ""),
        ("<Xk93jd8s", ""),
        ("", "blank"),
    ],
)
def test_a_placeholder_is_a_whole_value(value: str, kind: str) -> None:
    assert placeholder.placeholder(value) == kind


def test_a_value_stands_in_quotes_in_code_and_bare_elsewhere() -> None:
    value = f"Xk9{DRAW.randrange(10**6)}jd!"
    for text in (f'password = "{value}"', f"'token': '{value}'", f'secret=\\"{value}\\"', f'api_key: str = "{value}"'):
        for flavour in (CODE, CONFIG, PROSE):
            assert secrets(text, flavour) == [value], (text, flavour)
        assert secrets(text, BINARY) == []
    for text in (f"PASSWORD={value}", f"  password: {value}", f"x.secret_key = {value} # x"):
        assert secrets(text, CONFIG) == secrets(text, PROSE) == [value]
        assert secrets(text, CODE) == []


@pytest.mark.parametrize(
    "text",
    [
        "password = get_password(user)",
        "token: str | None = None",
        "def f(password: SecretStr) -> None: ...",
        'password_hash = "sha256:0123456789abcdef0123"',
        "secret_name: projects/one/secrets/two",
        "tokens = tokenizer.encode(text)",
        'raise ValueError("the password is wrong")',
        "if secret == other_secret:",
    ],
)
def test_what_only_speaks_of_secrets_holds_none(text: str) -> None:
    for flavour in (CODE, CONFIG, PROSE):
        assert secrets(text, flavour) == []


def test_the_lines_of_a_block_keep_their_numbers_and_kinds() -> None:
    tokens_ = [made.aws(DRAW) for _ in range(4)]
    kinds = [CONFIG, CODE, PROSE, BINARY]
    lines = [Line(kinds[n % 4], f"x {tokens_[n // 5]}" if n % 5 == 0 else "nothing") for n in range(20)]
    assert sorted((hit.line, hit.value) for hit in scan(lines)) == [(5 * n, token) for n, token in enumerate(tokens_)]


def test_a_pattern_crosses_no_line() -> None:
    for form in tokens.rules().formats:
        assert not re.search(r"(?<!\\)\\s(?![^\[]*\])[*+]|[^\\}\])]\*(?!\?)|\.\*|\.\+", form.pattern.pattern), form.id
    token = made.aws(DRAW)
    assert secrets(token[:9]) + secrets(token[9:]) == []
    assert [hit for hit in scan([Line(CONFIG, token[:9]), Line(CONFIG, token[9:])]) if not hit.excuse] == []


WORDS = sorted({word for form in tokens.rules().formats for word in form.words} | {*tokens._NAMES})
PARTS = ["=", ":", " ", '"', "'", "\\", "a", "A", "0", "-", "_", ".", "/", "@", "://", "{", "${", "<", "x-"]


@pytest.mark.parametrize("seed", range(6))
def test_every_line_ends(seed: int) -> None:
    """Windows made of what patterns wait for, in every mixture: one that backtracks for ever is ended with the test."""
    draw = random.Random(seed)
    for _ in range(120):
        unit = "".join(draw.choice(draw.choice((WORDS, PARTS))) for _ in range(draw.randrange(1, 5)))
        line = Line(draw.choice((CONFIG, CODE, PROSE)), (unit * WINDOW)[: WINDOW - 1] + draw.choice(("", "!", '"')))
        assert all(hit.line == 0 for hit in scan([line]))


def test_secrets_of_kubernetes_are_found_wherever_they_stand() -> None:
    value = "c2VjcmV0LVhrOTNqZDhz"
    one = {"kind": "Secret", "data": {"a": value}}
    for text in (
        yaml.safe_dump(one),
        yaml.safe_dump_all([{"kind": "Service"}, one]),
        yaml.safe_dump({"kind": "List", "items": [one]}),
        '{"kind": "Secret", "stringData": {"a": "Xk93jd8s"}}',
    ):
        assert [each for _, each in manifest(text)] in (["secret-Xk93jd8s"], ["Xk93jd8s"])
    for text in ("kind: Secret\ndata: {a: [b", "kind: Secret\ndata: {a: ''}", "kind: ConfigMap\ndata: {a: b}", ""):
        assert list(manifest(text)) == []


def test_the_rules_are_those_of_the_file() -> None:
    assert tokens.rules().sha256 == __import__("hashlib").sha256(tokens.FILE.read_bytes()).hexdigest()
    ids = [form.id for form in tokens.rules().formats]
    assert len(ids) == len(set(ids)) > 35
