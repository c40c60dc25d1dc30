"""Known-bad models and registries: for each rule a maker that takes a sound one and breaks that rule.

Nobody but the producer can enter a version, nor the owner revoke: where a canary needs an entry, it brings a fresh key
as one of those that are trusted. A fresh producer breaks VER-12 besides; of owners the plan names none.
"""

import itertools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

from security.fresh import Fresh
from security.gate import Violation
from security.gates.versions.facts import CARD, DECLARED, ENTRY, FILE, GONE, KEY, TOLD, Item, Said, Told, release
from security.keys import PublicKey
from security.models.chain import Revocation, Version, sealed
from security.verdict import canonical

Change = Callable[[dict[str, Any], random.Random], None]
_ORIGIN = ("data", "code", "lock", "plan")


def _entry(signer: Fresh, kind: type[Version] | type[Revocation], before: Sequence[bytes], **told: Any) -> bytes:
    """The next entry of a chain; one of versions knows no revocation."""
    return sealed(before, before if kind is Revocation else (), signer, kind, **told)


def _sha(draw: random.Random) -> str:
    return f"{draw.getrandbits(256):064x}"


def _word(draw: random.Random) -> str:
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(8, 16)))


def _told(sample: Sequence[Item], draw: random.Random) -> Told:
    """What is told of the sample's run; where it says nothing, something made up."""
    try:
        (item,) = (item for item in sample if item.kind == TOLD)
        return Told.model_validate_json(item.data)
    except ValueError:
        return Told(name=_word(draw), data=_sha(draw), plan=_sha(draw))


def _card(sample: Sequence[Item], draw: random.Random) -> dict[str, Any]:
    """What the sample's card says; where it says nothing, something made up."""
    try:
        (item,) = (item for item in sample if (item.kind, item.name) == (FILE, CARD))
        said: dict[str, Any] = _read(item.data)
        Said.model_validate({name: said[name] for name in Said.model_fields}, strict=True)
    except (ValueError, KeyError, TypeError):
        said = {"name": _word(draw), "version": 1, "run": _word(draw), "created": 1.0, "expires": 2.0**40}
        said |= {name: _sha(draw) for name in _ORIGIN}
    return said


def _with(sample: Sequence[Item], *items: Item, without: Sequence[str] = ()) -> list[Item]:
    """The sample without some kinds, and with other items in the places of those of the same kind and name."""
    placed = {(item.kind, item.name) for item in items}
    kept = [item for item in sample if item.kind not in without and (item.kind, item.name) not in placed]
    return [*kept, *items]


def _read(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _json(said: dict[str, Any]) -> bytes:
    return json.dumps(said).encode()


def _changed(change: Change) -> Violation[Item]:
    """Makes the model with another card."""

    def make(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        said = _card(sample, draw)
        change(said, draw)
        return _with(sample, Item(FILE, CARD, _json(said)))

    return make


def _cardless(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    said = _card(sample, draw)
    del said[draw.choice(sorted(Said.model_fields))]
    return _with(sample, Item(FILE, CARD, draw.choice([b"", b"[]", draw.randbytes(9), _json(said)])))


def _times(said: dict[str, Any], draw: random.Random) -> None:
    past, later = draw.uniform(1, 1e9), draw.uniform(1e10, 1e11)
    created = said["created"]
    ways = [{"expires": past}, {"created": later, "expires": later + 1}, {"expires": created}]
    said.update(draw.choice([*ways, {"created": past, "expires": past + later}]))


def _other(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """The run took in other features than those that the card names. A card that is sound stays byte for byte, so that
    a version that was entered stays the same."""
    told = Item(TOLD, "", _told(sample, draw).model_copy(update={"data": _sha(draw)}).model_dump_json().encode())
    same = _card(sample, draw)
    cards = [item for item in sample if item.name == CARD and _read(item.data) != same]
    return _with(sample, told, *(each._replace(data=_json(same)) for each in cards), without=[TOLD])


def _free(entries: Sequence[Item]) -> str:
    """The name of one more entry: of a chain in which some are missing, their count is another's."""
    taken = {item.name for item in entries}
    return next(name for name in map(str, itertools.count(len(entries) + 1)) if name not in taken)


def _spoilt(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """A chain with an entry by somebody else, of nobody, altered, or from between others gone."""
    kind = draw.choice([ENTRY, GONE])
    mine = [item for item in sample if item.kind == kind]
    lines, told, number = [item.data for item in mine], _told(sample, draw), _free(mine)
    if kind == ENTRY:
        more = {"name": told.name, "version": 2**40, "manifest": _sha(draw), "release": _sha(draw), "run": "run"}
        forged = _entry(Fresh(draw), Version, lines, data=(_sha(draw),), expires=2.0**40, at=1.0, **more)
    else:
        forged = _entry(Fresh(draw), Revocation, lines, what="data", target=_sha(draw), reason="made up", at=1.0)
    ways = [[*mine, Item(kind, number, forged)], [*mine, Item(kind, number, draw.randbytes(40))]]
    if mine:
        at = draw.randrange(len(mine))
        data = bytearray(mine[at].data or b"\0")
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        ways.append([*mine[:at], mine[at]._replace(data=bytes(data)), *mine[at + 1 :]])
    if len(mine) > 1:
        at = draw.randrange(len(mine) - 1)
        ways.append([*mine[:at], *mine[at + 1 :]])
    return [*_with(sample, without=[kind]), *draw.choice(ways)]


def _entered(make: Callable[[random.Random], dict[str, Any]]) -> Violation[Item]:
    """Makes a registry in which a fresh producer has entered this version, and nothing else is."""

    def violate(sample: Sequence[Item], draw: random.Random) -> list[Item]:
        said, told, fresh = _card(sample, draw), _told(sample, draw), Fresh(draw)
        said["version"] = min(max(1, said["version"]), 2**40)
        card = Item(FILE, CARD, _json(said))
        usual = {"name": told.name, "version": said["version"], "manifest": _sha(draw), "release": _sha(draw)}
        usual |= {"run": "run", "data": (said["data"],), "expires": 2.0**40, "at": 1.0}
        files = {item.name: item.data for item in _with(sample, card) if item.kind == FILE}
        line = _entry(fresh, Version, (), **usual | {"release": release(files)} | make(draw))
        others = [item for item in sample if item.kind == KEY and item.name != "producer"]
        # Of the entries that the plan knew none is there: this is another registry.
        unknown = Item(TOLD, "", told.model_copy(update={"known": ()}).model_dump_json().encode())
        kept = _with(sample, card, unknown, without=[ENTRY, GONE, KEY, TOLD])
        return [Item(KEY, "producer", fresh.public.pem), *others, *kept, Item(ENTRY, "1", line)]

    return violate


def _revoked(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """What the model comes from, or the key of its producer, on the list: by a fresh owner beside those there are."""
    fresh, gone = Fresh(draw), [item for item in sample if item.kind == GONE]
    producers = [PublicKey(item.data).id for item in sample if (item.kind, item.name) == (KEY, "producer")]
    what, target = draw.choice([("data", _told(sample, draw).data), *(("key", id) for id in producers[:1])])
    reason = {"reason": f"it {_word(draw)}", "at": 1.0}
    line = _entry(fresh, Revocation, [item.data for item in gone], what=what, target=target, **reason)
    return [Item(KEY, "owner", fresh.public.pem), *sample, Item(GONE, _free(gone), line)]


def _undeclared(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """The declared card gone, cut, without a part, or with a part that says nothing."""
    try:
        ((name, held),) = ((item.name, item.data) for item in sample if item.kind == DECLARED)
        said: dict[str, Any] = dict(json.loads(held))
        part = draw.choice(sorted(said))
        less = {key: value for key, value in said.items() if key != part}
        ways = [b"", held[:-1], canonical(less), canonical(said | {part: draw.choice(["TODO", "", None, []])})]
    except (ValueError, TypeError, IndexError):
        name, ways = "card", [b"", b"{}"]
    return _with(sample, Item(DECLARED, name, draw.choice(ways)), without=[DECLARED])


def _stranger(sample: Sequence[Item], draw: random.Random) -> list[Item]:
    """One more producer, whom the plan does not know."""
    more = Item(KEY, "producer", Fresh(draw).public.pem)
    return draw.choice([[more, *sample], [*sample, more]])


VIOLATIONS: dict[str, Violation[Any]] = {
    "VER-01": _cardless,
    "VER-02": _changed(lambda said, draw: said.update(name=_word(draw))),
    "VER-03": _changed(lambda said, draw: said.update({draw.choice(["run", "code", "lock", "plan"]): _sha(draw)})),
    "VER-04": _other,
    "VER-05": _changed(lambda said, _: said.update(version=0)),
    "VER-06": _spoilt,
    "VER-07": _entered(lambda draw: {"expires": draw.uniform(1, 1e9)}),
    "VER-08": _entered(lambda draw: {"release": _sha(draw)}),
    "VER-09": _revoked,
    "VER-10": _changed(_times),
    "VER-11": _undeclared,
    "VER-12": _stranger,
}
