"""Known-bad registries: for each rule one in which the producer may do what it must not.

Of a registry that is asked it is a double, which the same engine asks. Of a folder it is a copy in which the same
readers believe what was tried: by keys that are as fresh as the canary, or because nobody knows what was there.
"""

import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from security.engines.login import Place
from security.engines.probe import CANARY, MOVED, newest
from security.engines.trespass import trespass
from security.fresh import Fresh
from security.gate import Violation
from security.gates.authorization.double import Asks, Double, login
from security.models.chain import Claim, Move, Revocation, Version, sealed
from security.posture import Answer, amended, reply

Copy = dict[str, dict[str, Any]]
Spoil = Callable[[Copy, random.Random], object]


def _sha(draw: random.Random) -> str:
    return f"{draw.getrandbits(256):064x}"


def _asked(sample: Sequence[Answer], draw: random.Random, **ways: Any) -> list[Answer]:
    """The answers of a double in the place of the sample's registry, with tags of the same names."""
    told = reply(sample, "place")
    place = Place(
        str(told.get("address") or "registry.example/models"),
        str(told.get("name") or "sample"),
        "UnsafeHttp" if told.get("scheme") == "UnsafeHttp" else "https",
    )
    known = reply(sample, "before").get("tags")
    tags = {tag: json.dumps({"n": draw.random()}).encode() for tag in sorted(known or ()) if tag != CANARY}
    if "version" in ways.get("lets", ()) and not newest(tags):
        tags["1"] = json.dumps({"n": draw.random()}).encode()
    asks: Asks = draw.choice(("basic", "bearer"))
    double = Double(place, login(_sha(draw)), tags=tags, asks=asks, **ways)
    return sorted(trespass(place, double.login, _sha(draw), double.transport()).answers.items())


def _lets(*acts: str) -> Violation[Answer]:
    """A registry that grants some of these acts."""

    def make(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
        return _asked(sample, draw, lets=draw.sample(acts, draw.randint(1, len(acts))))

    return make


def _lies(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """A registry that refuses what it does, or in which something else changes meanwhile."""
    act = draw.choice(("overwrite", "approved", "production", "untag", "delete", "erase", ""))
    if act in ("approved", "production") and act in (reply(sample, "before").get("tags") or ()):
        act = "overwrite"  # there the same again is put, which changes nothing
    if act:
        # Half a manifest that a liar keeps would be no manifest; it is there all the same.
        return _asked(sample, draw, lies=[act])
    made = _asked(sample, draw)
    tags = dict(reply(made, "after")["tags"])
    tag = draw.choice(sorted({*tags} - {MOVED}))
    changed = {**tags, tag: _sha(draw)} if draw.random() < 0.5 else {k: v for k, v in tags.items() if k != tag}
    return amended(made, "after", tags=changed)


def _elsewhere(sample: Sequence[Answer], draw: random.Random) -> list[Answer]:
    """Another registry, or another model."""
    if reply(sample, "place").get("form") == "folder" or draw.random() < 0.5:
        return amended(sample, "place", name=f"x{draw.randrange(10**9)}")
    return amended(sample, "place", address=f"x{draw.randrange(10**9)}.example/models")


class _Keys:
    """Fresh keys in a copy: who enters versions, who decides, and who revokes."""

    def __init__(self, copy: Copy, draw: random.Random) -> None:
        self.copy, self.place = copy, copy["place"]
        self.of = {role: Fresh(draw) for role in ("producer", "verifier", "owner")}
        pems = {role: [*self.place["keys"].get(role, ()), key.public.pem.decode()] for role, key in self.of.items()}
        self.place["keys"] = pems

    def chain(self, *acts: str, manifest: str = "") -> list[str]:
        """A chain of its own: a version, and where its aliases move."""
        lines: list[bytes] = []
        at, name, version = self.place["at"], self.place["name"], self.place["version"]
        usual = {"name": name, "version": version, "manifest": manifest or self.place["manifest"], "at": at}
        for act in ("version", *acts):
            more: dict[str, Any] = {"alias": act, "reason": "a canary", "log": "0" * 64}
            kind: type[Claim] = Move
            if act == "version":
                kind, more = Version, {"release": "0" * 64, "run": "canary", "data": ("0" * 64,), "expires": 2.0**40}
            who = "producer" if act in ("version", "candidate") else "verifier"
            lines.append(sealed(lines, (), self.of[who], kind, **usual, **more))
        return [line.decode() for line in lines]


def _believed(question: str, *acts: str) -> Spoil:
    """A copy of which nothing is known, in which what was tried is signed by keys that may."""

    def spoil(copy: Copy, draw: random.Random) -> None:
        keys = _Keys(copy, draw)
        other = copy["place"]["other"] if question == "overwrite" else ""
        copy[question] = {"keep": 0, "more": keys.chain(*acts, manifest=other), "known": []}

    return spoil


def _forgotten(copy: Copy, draw: random.Random) -> None:
    """A reader that does not know what was there, or a revocation by a key that may."""
    question = draw.choice(("untag", "delete", "erase"))
    if question != "delete":
        copy[question] = {**copy[question], "known": []}
        return
    gone = [line.encode() for line in copy["before"]["gone"]]
    told = {"what": "model", "target": copy["place"]["manifest"], "name": copy["place"]["name"], "reason": "a canary"}
    told |= {"version": copy["place"]["version"], "at": copy["place"]["at"]}
    line = sealed(gone, gone, _Keys(copy, draw).of["owner"], Revocation, **told)
    copy["delete"] = {**copy["delete"], "gone": [line.decode()]}


def _changed(copy: Copy, draw: random.Random) -> None:
    """The real chains are others afterwards; where there are none, there was an entry, and it is gone."""
    which = next((name for name in ("chain", "gone") if copy["before"][name]), "")
    if not which:
        copy["before"] = {**copy["before"], "chain": ["{}"]}
        return
    lines = list(copy["after"][which])
    at = draw.randrange(len(copy["before"][which]))
    copy["after"] = {**copy["after"], which: draw.choice([lines[:at], [*lines[:at], "{}", *lines[at + 1 :]]])}


def _either(asked: Violation[Answer], spoil: Spoil) -> Violation[Answer]:
    """Known-bad material of the form that the sample has."""

    def make(sample: Sequence[Answer], draw: random.Random) -> Sequence[Answer]:
        if reply(sample, "place").get("form") != "folder":
            return asked(sample, draw)
        copy = {name: dict(answer) for name, answer in sample}
        spoil(copy, draw)
        return sorted(copy.items())

    return make


VIOLATIONS: dict[str, Violation[Any]] = {
    "RA-PLACE": _elsewhere,
    "RA-OVERWRITE": _either(_lets("overwrite", "version"), _believed("overwrite")),
    "RA-APPROVED": _either(_lets("approved"), _believed("approved", "candidate", "approved")),
    "RA-PRODUCTION": _either(_lets("production"), _believed("production", "candidate", "approved", "production")),
    "RA-DELETE": _either(_lets("untag", "delete", "erase"), _forgotten),
    "RA-KEPT": _either(_lies, _changed),
}
