"""Who may sign: a file in the form of OpenSSH's allowed signers, from outside of what they sign.

A line is `principals [options] keytype key [comment]`. Of the options `namespaces`, `valid-after` and `valid-before`
are known; any other, a pattern for a principal, or a certificate authority is an error: what is not understood allows
nobody. A key stands for one principal, and a moment outside its validity is as good as no key.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from security.engines.sshsig import fingerprint
from security.errors import BadInput, KeyBroken

_TIME = re.compile(r"(\d{8})(\d{4}(\d{2})?)?(Z?)")
_KIND = re.compile(r"(sk-)?(ssh|ecdsa)-[a-z0-9@.-]+")
_WORD = re.compile(r'(?:[^\s"]|"[^"]*")+')
"""Quotes belong to the values of options, which may hold blanks."""
_PATTERN = set("*?!")
LONGEST = 1 << 20
"""Letters of the file."""


@dataclass(frozen=True)
class Signer:
    """One who may sign: the name, the key as OpenSSH encodes it, and what it counts for. Times are UTC."""

    principal: str
    key: bytes
    namespaces: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None


class Signers:
    """The list, by key."""

    def __init__(self, signers: Iterator[Signer]) -> None:
        self._known: dict[bytes, Signer] = {}
        for each in signers:
            if each.key in self._known:
                raise KeyBroken(f"the key {fingerprint(each.key)} is listed twice")
            self._known[each.key] = each
        if not self._known:
            raise KeyBroken("the list of who may sign is empty")

    @classmethod
    def read(cls, path: Path) -> "Signers":
        """The list in a file; `BadInput` with the line that cannot be read."""
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as why:
            raise BadInput(path.name, "the whole", type(why).__name__, "a list of who may sign") from None
        if len(text) > LONGEST:
            raise BadInput(path.name, "the whole", f"{len(text):,} letters", f"at most {LONGEST:,}")
        return cls(_lines(text, path.name))

    @classmethod
    def listed(cls, lines: Iterable[str]) -> "Signers":
        """The list in lines that were given; `BadInput` with the line that cannot be read."""
        return cls(_lines("\n".join(lines), "signers"))

    def who(self, key: bytes, at: datetime, namespace: str = "git") -> str:
        """The principal whose key it is. `KeyBroken` where nobody's is, or not then, or not for that."""
        found = self._known.get(key)
        if found is None:
            raise KeyBroken(f"signed by {fingerprint(key)}, which is on no list")
        if found.namespaces and namespace not in found.namespaces:
            raise KeyBroken(f"signed by {found.principal}, who may sign for {', '.join(found.namespaces)} alone")
        if (found.after and at < found.after) or (found.before and at >= found.before):
            raise KeyBroken(f"signed by {found.principal} at {at:%Y-%m-%d %H:%M}, when the key was not valid")
        return found.principal


def _lines(text: str, file: str) -> Iterator[Signer]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                yield _signer(line)
            except (ValueError, binascii.Error) as why:
                raise BadInput(file, f"line {number}", str(why), "principal [options] keytype key") from None


def _signer(line: str) -> Signer:
    words = [word.replace('"', "") for word in _WORD.findall(line)]
    place = next((at for at, word in enumerate(words) if at and _KIND.fullmatch(word)), None)
    if place is None or place > 2 or len(words) < place + 2:
        raise ValueError("no key")
    principal, key = words[0], base64.b64decode(words[place + 1], validate=True)
    if "," in principal or _PATTERN & {*principal}:
        raise ValueError("several principals, or a pattern")
    if key[4 : 4 + int.from_bytes(key[:4], "big")] != words[place].encode():
        raise ValueError("a key of another kind than it says")
    return _limited(Signer(principal, key), words[1] if place == 2 else "")


def _limited(signer: Signer, told: str) -> Signer:
    """With the options of its line. Of these only `namespaces` has commas of its own."""
    for part in re.split(r",(?=[A-Za-z-]+=|[A-Za-z]+-[A-Za-z]+(?:,|$))", told) if told else []:
        name, _, value = part.partition("=")
        if name.lower() == "namespaces" and value:
            signer = replace(signer, namespaces=tuple(value.split(",")))
        elif name.lower() == "valid-after":
            signer = replace(signer, after=_moment(value))
        elif name.lower() == "valid-before":
            signer = replace(signer, before=_moment(value))
        else:
            raise ValueError(f"an option that is not known, {name}")
    return signer


def _moment(told: str) -> datetime:
    """A day, or a time with its Z: in UTC, since a laptop's time zone should not decide."""
    found = _TIME.fullmatch(told)
    if not found or (found[2] and not found[4]):
        raise ValueError("a time of another form, or without Z")
    return datetime.strptime((found[1] + (found[2] or "")).ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
