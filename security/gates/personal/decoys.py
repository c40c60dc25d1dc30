"""Known-bad rows: a few of the sample's, with a made-up person's data where the policy cannot expect it."""

import random
import string
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from security.gate import Violation
from security.gates.personal.known import modelled
from security.rows.columns import SCHEMA

MOST = 200
"""Rows of a sample that are used, at most."""
Batches = Sequence[pa.RecordBatch]
Row = dict[str, Any]


def digits(draw: random.Random, count: int) -> str:
    """Random digits, the first not 0."""
    return str(draw.randrange(10 ** (count - 1), 10**count))


def card(draw: random.Random) -> str:
    """A card number of a well-known range, with the right check digit (ISO/IEC 7812-1, Luhn)."""
    body = draw.choice(("4", "51", "52", "37"))
    body += "".join(draw.choices(string.digits, k=(14 if body == "37" else 15) - len(body)))
    total = sum(sum(divmod(int(each) * (1 + (place % 2 == 0)), 10)) for place, each in enumerate(reversed(body)))
    return body + str(-total % 10)


def iban(draw: random.Random) -> str:
    """An IBAN of the Vatican with the right check digits (ISO 13616): no part of it is a licence of another country."""
    body, check = "", 98
    while check >= 90:
        body = digits(draw, 18)
        check = 98 - int(body + "311000") % 97
    return f"VA{check:02d}{body}"


def mail(draw: random.Random) -> str:
    """An address for mail."""
    names = ["".join(draw.choices(string.ascii_lowercase, k=draw.randint(3, 8))) for _ in range(3)]
    return f"{names[0]}.{names[1]}@{names[2]}.{draw.choice(('com', 'org', 'net'))}"


MADE: tuple[Callable[[random.Random], str], ...] = (card, iban, mail)


def fresh(draw: random.Random) -> str:
    """A column that no policy knows."""
    return "zq" + "".join(draw.choices(string.ascii_lowercase, k=10))


def _rows(sample: Batches) -> list[Row]:
    held = [row for batch in sample for row in batch.slice(0, MOST).to_pylist()][:MOST]
    row = {"user_id": "u", "item_id": "i", "interaction_type": "view", "timestamp": 0, "row": 1, "file": "made up"}
    return held or [row | {"faults": 0, "beside": None}]


def _planted(change: Callable[[Row, random.Random, str], list[tuple[str, str]]]) -> Violation[Any]:
    """Makes a copy of the sample in which one row holds more than before."""

    def make(sample: Batches, draw: random.Random) -> list[pa.RecordBatch]:
        rows = _rows(sample)
        row = draw.choice(rows)
        model = modelled(sample[0]) if sample else None
        row["beside"] = [*(row["beside"] or ()), *change(row, draw, model.finds if model else "")]
        return [pa.RecordBatch.from_pylist(rows, schema=sample[0].schema if sample else SCHEMA)]

    return make


def _named(row: Row, draw: random.Random, finds: str) -> list[tuple[str, str]]:
    return [(fresh(draw), finds or "Alice Smith lives in Paris")]


def _found(row: Row, draw: random.Random, _: str) -> list[tuple[str, str]]:
    value = draw.choice(MADE)(draw)
    return [(fresh(draw), draw.choice((value, f"please write to {value} today", f"{value}, thank you")))]


def _disguised(row: Row, draw: random.Random, _: str) -> list[tuple[str, str]]:
    value = draw.choice((iban, mail))(draw)
    if "@" not in value:
        return [(fresh(draw), value.replace("VA", draw.choice(("\uff36\uff21", "\u2164\uff21"))))]
    # Behind another sign than its @ no part is an address, and with another letter in its end no part is a site's.
    end = value.rpartition(".")[2]
    hidden = value.replace("@", "\uff20").removesuffix(end) + end[0] + "\u200b" + end[1:]
    return [(fresh(draw), hidden)]


def _split(row: Row, draw: random.Random, _: str) -> list[tuple[str, str]]:
    value = draw.choice((iban, mail))(draw)
    # Cut so that no part is anything: too few digits on both sides, or no end of an address.
    cut = 13 if "@" not in value else len(value) - len(value.rpartition(".")[2]) + 1
    return [(fresh(draw), value[:cut]), (fresh(draw), value[cut:])]


VIOLATIONS: dict[str, Violation[Any]] = {
    "PII-FOUND": _planted(_found),
    "PII-NAMED": _planted(_named),
    "PII-DISGUISED": _planted(_disguised),
    "PII-SPLIT": _planted(_split),
}
