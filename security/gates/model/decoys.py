"""Known-bad models: for each rule a maker that takes a sound one and breaks that rule."""

import base64
import hashlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from security.fresh import Fresh
from security.gate import Violation
from security.gates.model.facts import Card, Entry, found, unpack
from security.gates.model.signature import CARD, PREDICATE, SIGNATURE, bundle, shas
from security.keys import STATEMENT
from security.verdict import canonical


def resigned(files: Mapping[str, bytes], draw: random.Random, body: bytes = b"") -> tuple[bytes, dict[str, bytes]]:
    """A fresh key in PEM, and the files signed by it: `body` if given, else a statement that lists them as they are."""
    fresh = Fresh(draw)
    read = sorted(shas(files).items())
    root = hashlib.sha256(bytes.fromhex("".join(sha for _, sha in read))).hexdigest()
    form_of = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE]}
    listing = [{"name": name, "algorithm": "sha256", "digest": sha} for name, sha in read]
    body = body or canonical(
        {
            "_type": STATEMENT,
            "subject": [{"name": "model", "digest": {"sha256": root}}],
            "predicateType": PREDICATE,
            "predicate": {"serialization": form_of, "resources": listing},
        }
    )
    return fresh.public.pem, {**files, SIGNATURE: bundle(body, fresh)}


def _sound(sample: Sequence[Entry], draw: random.Random) -> tuple[bytes, dict[str, bytes]]:
    """The trusted key in PEM and the files; of a model that is not sound, a sound one made from it."""
    facts, (key, files) = found(sample), unpack(sample)
    if facts.card and facts.files == facts.listed:
        return key.pem, files
    origin = dict.fromkeys(("data", "code", "lock", "plan"), hashlib.sha256(draw.randbytes(8)).hexdigest())
    card = Card(name="model", version=1, run="run", created=1.0, expires=2.0**40, **origin)
    return resigned({**files, CARD: card.model_dump_json().encode()}, draw)


Change = Callable[[dict[str, bytes], random.Random], None]


def _changed(change: Change, *, again: bool = False) -> Violation[Entry]:
    """Makes a sound model with one change, signed `again` afterwards or not.

    Nobody but the producer can sign a changed card, so such a canary brings a fresh key as the trusted one: it breaks
    SIG-KEY besides its own rule, and is counted as caught by its own alone.
    """

    def make(sample: Sequence[Entry], draw: random.Random) -> list[Entry]:
        pem, files = _sound(sample, draw)
        change(files, draw)
        if again:
            pem, files = resigned(files, draw)
        return [Entry("", pem), *(Entry(name, data) for name, data in files.items())]

    return make


def _drawn(files: Mapping[str, bytes], draw: random.Random) -> str:
    return draw.choice(sorted(set(files) - {SIGNATURE}))


def _word(draw: random.Random) -> str:
    return "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(8, 16)))


def _unsigned(files: dict[str, bytes], draw: random.Random) -> None:
    junk = draw.choice([None, b"", draw.randbytes(40), files[SIGNATURE].replace(b"bundle.v0.3", b"bundle.v0.1")])
    if junk is None:
        del files[SIGNATURE]
    else:
        files[SIGNATURE] = junk


def _foreign(files: dict[str, bytes], draw: random.Random) -> None:
    body = base64.b64decode(json.loads(files[SIGNATURE])["dsseEnvelope"]["payload"])
    files.update(resigned(files, draw, body)[1])


def _alter(files: dict[str, bytes], draw: random.Random) -> None:
    name = _drawn(files, draw)
    data = bytearray(files[name] or b"\0")
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    files[name] = bytes(data)


def _add(files: dict[str, bytes], draw: random.Random) -> None:
    files[draw.choice(["", "assets/"]) + _word(draw) + draw.choice([".py", ".so", ".bin"])] = draw.randbytes(9)


def _remove(files: dict[str, bytes], draw: random.Random) -> None:
    del files[_drawn(files, draw)]


def _cardless(files: dict[str, bytes], draw: random.Random) -> None:
    said = json.loads(files[CARD])
    del said[draw.choice(sorted(Card.model_fields))]
    files[CARD] = draw.choice([b"", b"[]", draw.randbytes(9), json.dumps(said).encode()])


def _card(make: Callable[[random.Random], dict[str, Any]]) -> Change:
    def change(files: dict[str, bytes], draw: random.Random) -> None:
        files[CARD] = json.dumps(json.loads(files[CARD]) | make(draw)).encode()

    return change


VIOLATIONS: dict[str, Violation[Any]] = {
    "SIG-NONE": _changed(_unsigned),
    "SIG-KEY": _changed(_foreign),
    "SIG-ALTERED": _changed(_alter),
    "SIG-EXTRA": _changed(_add),
    "SIG-MISSING": _changed(_remove),
    "SIG-CARD": _changed(_cardless, again=True),
    "SIG-EXPIRED": _changed(_card(lambda draw: {"expires": draw.uniform(0, 1e9)}), again=True),
    "SIG-NAME": _changed(_card(lambda draw: {"name": _word(draw)}), again=True),
    "SIG-VERSION": _changed(_card(lambda _: {"version": 0}), again=True),
}
