"""Our own engine for secrets: a rules file of forms, and names that a secret is given to.

It looks at many lines at once, each no longer than a window, by patterns whose every repetition is bounded: what a
line costs does not depend on who wrote it. What it finds and takes for no secret, a placeholder or a token whose sum is
wrong, it tells as well, with the reason.
"""

import bisect
import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

import yaml
from pydantic import Field

from security.engines.checksum import CHECKS, entropy, unpacked
from security.engines.placeholder import placeholder, words
from security.verdict import Frozen

NAME = "sluice"
FILE = Path(__file__).parent.parent.parent / "configs" / "secrets.yaml"
CONFIG, CODE, PROSE, BINARY = "config", "code", "prose", "binary"
"""What a line is of: in code a secret stands in quotes, in bytes nothing is named."""


ABOUT = "about a secret"
"""What stands under the name of a secret's id, file or address."""


class Line(NamedTuple):
    """A line, or a window of one, and what it is of."""

    flavour: str
    text: str


class Hit(NamedTuple):
    """Which line, what it looks like, the text itself, and the reason why it is no secret, empty where it is one."""

    line: int
    rule: str
    value: str
    excuse: str = ""


class Form(Frozen):
    """A form that secrets have."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    pattern: re.Pattern[str]
    check: str = ""


class Rules(Frozen):
    """The rules file. `markers` and `settings`: what tells other scanners to look away."""

    formats: Annotated[tuple[Form, ...], Field(min_length=1)]
    documented: tuple[str, ...]
    markers: tuple[str, ...]
    settings: tuple[str, ...]
    sha256: str


@cache
def rules() -> Rules:
    """Our rules, which nothing of what is looked at can change."""
    data = FILE.read_bytes()
    told = yaml.safe_load(data)
    for each in told["formats"]:
        each["pattern"] = re.compile(each["pattern"], re.MULTILINE)
    return Rules(**told, sha256=hashlib.sha256(data).hexdigest())


_NAMES = (
    "password", "passwd", "passphrase", "pwd", "secret", "token", "apikey", "api_key", "api-key", "accesskey",
    "access_key", "access-key", "authkey", "auth_key", "privatekey", "private_key", "encryption_key", "signing_key",
    "account_key", "credential", "db_pass", "dbpass", "connectionstring",
)  # fmt: skip
_NAMED = re.compile("|".join(re.escape(name) for name in _NAMES), re.IGNORECASE)
_GIVEN = re.compile(
    r"([A-Za-z0-9_.-]{0,30})\\?[\"'`\]]{0,2}\s{0,4}(?:=>|:=|={1,3}|!={1,2}|:(?:\s{0,4}[A-Za-z]{1,12}\s{0,2}=)?)\s{0,4}"
)
_QUOTED = re.compile(r"@?[bBrRuU]{0,2}\\?([\"'`])((?:(?!\1)[^\\\s]|\\(?!\1)[^\s]){6,256}?)\\?\1")
_BARE = re.compile(
    r"(\$?\{{1,2}[^{}\n]{0,100}\}{1,2}|<[^<>\n]{1,100}>|[^\s\"'`,;(){}\[\]<>]{8,256})(?=[\s,;\"'}\])]|\\n|$)"
)
_ABOUT = re.compile(
    r"(?i)(?:^|[_.-])(?:ids?|names?|ur[li]|path|file|dir|type|kind|length|count|hash|digest|sha256|ttl|expiry|version)$"
)
_SECRET = re.compile(r"kind[\"']?\s{0,8}:\s{0,8}[\"']?Secret\b")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CALL = re.compile(r"[A-Za-z_][\w.]*[(\[]")


def scan(lines: Sequence[Line], *, named: bool = True) -> Iterator[Hit]:
    """What stands in lines. `named`: also what a telling name is given, or only what has the form of a secret."""
    for flavour in (CONFIG, CODE, PROSE, BINARY):
        kept = [(number, each.text) for number, each in enumerate(lines) if each.flavour == flavour]
        if kept:
            yield from _block(flavour, [number for number, _ in kept], "\n".join(text for _, text in kept), named)


def _block(flavour: str, numbers: list[int], text: str, named: bool) -> Iterator[Hit]:
    starts = [0]
    starts.extend(match.end() for match in re.finditer("\n", text))

    def line(at: int) -> int:
        return numbers[bisect.bisect_right(starts, at) - 1]

    known = rules()
    for form in known.formats:
        if not any(word in text for word in form.words):
            continue
        for match in form.pattern.finditer(text):
            value = match[match.lastindex or 0]
            yield Hit(line(match.start()), form.id, value, _excuse(form, value, known.documented))
    if named and flavour != BINARY:
        for match in _NAMED.finditer(text):
            name, value = _assigned(text, match.end(), flavour)
            if value:
                excuse = _generic(value) or (ABOUT if _ABOUT.search(name) else "")
                yield Hit(line(match.start()), "assigned-secret", value, excuse)


def _excuse(form: Form, value: str, documented: Sequence[str]) -> str:
    if value in documented:
        return "documented"
    if form.id in ("url-password", "netrc"):
        return placeholder(value)
    if form.check and not CHECKS[form.check](value):
        return f"no {form.check}"
    return "blank" if len(set(value[-16:])) <= 2 else ""


def _assigned(text: str, at: int, flavour: str) -> tuple[str, str]:
    """How a name goes on after `at`, and the value that is given to it, or nothing."""
    given = _GIVEN.match(text, at, at + 64)
    if not given:
        return "", ""
    start = given.end()
    quoted = _QUOTED.match(text, start, start + 264)
    if quoted:
        return given[1], quoted[2]
    if flavour == CODE or "==" in given[0] or "!=" in given[0] or _CALL.match(text, start, start + 80):
        return "", ""
    bare = _BARE.match(text, start, start + 264)
    return given[1], bare[1] if bare else ""


def _generic(value: str) -> str:
    """Why a value that has a telling name is no secret."""
    if told := placeholder(value):
        return told
    if words(value):
        return "words"
    if re.fullmatch(r"(?:sha(?:256|512|1)[:-]|md5:)[0-9A-Za-z+/=]+", value) or re.match(r"[a-z]{2,8}://[^@]*$", value):
        return "digest or address"
    if re.fullmatch(r"[\w.]+\(.*|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+|/?[\w.-]+(?:/[\w.-]+)+\.\w+", value):
        return "expression"
    kinds = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    return "" if len(value) >= 8 and kinds >= 2 and entropy(value) >= 2.75 else "too plain"


def manifest(text: str) -> Iterator[tuple[int, str]]:
    """Values of Kubernetes secrets in a text of YAML or JSON, each with the line where it stands."""
    if not _SECRET.search(text):
        return
    try:
        told = list(yaml.load_all(text, _LOADER))  # noqa: S506 - a safe one
    except (yaml.YAMLError, RecursionError, ValueError):
        return
    every = [item for each in told if isinstance(each, dict) for item in (each, *_items(each))]
    for each in every:
        if each.get("kind") != "Secret":
            continue
        for key in ("data", "stringData"):
            held = each.get(key)
            for value in held.values() if isinstance(held, dict) else ():
                if not isinstance(value, str) or not value:
                    continue
                plain = unpacked("".join(value.split())).decode("utf-8", "replace") if key == "data" else value
                if plain and not placeholder(plain) and not placeholder(value):
                    at = text.find(value.splitlines()[0])
                    yield text.count("\n", 0, max(at, 0)) + 1, plain


def _items(each: dict[object, object]) -> list[dict[object, object]]:
    held = each.get("items")
    return [item for item in held if isinstance(item, dict)] if isinstance(held, list) else []
