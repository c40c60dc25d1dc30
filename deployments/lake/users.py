"""The made-up people of the sample lake: their table, their clocks and what they write.

Everything here is synthetic. Names are combined at random from short lists, mail addresses use the domains that
RFC 2606 reserves for examples, and telephone numbers use the ranges that the North American numbering plan
(555-0100 to 555-0199) and Ofcom (020 7946 0000 to 0999) keep for fiction.
"""

from __future__ import annotations

import json
from typing import Final

import numpy as np
from numpy.typing import NDArray

KEY: Final = "users/users.jsonl.gz"
"""Where the table of users lies in the bucket."""

GROUPS: Final = {"under_30": 0.40, "30_to_59": 0.38, "60_plus": 0.22}
"""Age bands and their shares; by construction independent of taste, activity and habit."""

COUNTRIES: Final = {
    "US": (0.30, -6),
    "DE": (0.20, 1),
    "GB": (0.16, 0),
    "FR": (0.14, 1),
    "BR": (0.12, -3),
    "JP": (0.08, 9),
}
"""ISO 3166 codes, each with its share and its offset from UTC in hours."""

HARMLESS: Final = (
    "love it",
    "lovely, would take it again",
    "not for me",
    "arrived late but fine",
    "better than the last one",
    "a gift, they were delighted",
    "the colour is off",
    "good value",
    "too small for us",
    "exactly as described",
    "changed my mind",
    "second time I get this",
    "could be sturdier",
    "recommended by a friend",
    "nothing special",
    "the best of its kind",
)
"""Comments without personal data; no digits and no full stops, which detectors take for numbers and addresses."""

_GIVEN = ("Ilsa", "Corin", "Maren", "Tobin", "Wilmot", "Edda", "Jorun", "Pell", "Sunniva", "Anselm", "Roswitha", "Keir")
_FAMILY = ("Varnholt", "Ashgrove", "Tillmarsh", "Okonda", "Brandreth", "Quillon", "Fenwarden", "Lindqvale", "Moravel")
_DOMAINS = ("example.com", "example.org", "example.net")
_TEMPLATES = (
    "mail me at {mail} when it is back",
    "please call {phone} about the delivery",
    "{name} here, write to {mail}",
    "ask for {name}, my phone is {phone}",
    "wrong address, reach me at {mail} or {phone}",
    "many thanks from {name}",
)


def accounts(rng: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Group and country of `count` accounts, as indices into `GROUPS` and `COUNTRIES`."""
    group = rng.choice(len(GROUPS), count, p=list(GROUPS.values()))
    country = rng.choice(len(COUNTRIES), count, p=[share for share, _ in COUNTRIES.values()])
    return group.astype(np.int64), country.astype(np.int64)


def offsets(country: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hours between each account's clock and UTC."""
    return np.array([hours for _, hours in COUNTRIES.values()], dtype=np.int64)[country]


def table(names: list[str], group: NDArray[np.int64], country: NDArray[np.int64]) -> bytes:
    """The table as JSON lines in the order of `names`: user_id, group, country."""
    groups, countries = list(GROUPS), list(COUNTRIES)
    rows = zip(names, group.tolist(), country.tolist(), strict=True)
    lines = (
        json.dumps({"user_id": name, "group": groups[g], "country": countries[c]}, separators=(",", ":")) + "\n"
        for name, g, c in rows
    )
    return "".join(lines).encode("ascii")


def personal(rng: np.random.Generator, count: int) -> list[str]:
    """`count` comments that hold a made-up person's mail address, telephone number or name, or several of them."""
    texts = []
    for template, given, family, domain, line, british in zip(
        rng.integers(0, len(_TEMPLATES), count).tolist(),
        rng.integers(0, len(_GIVEN), count).tolist(),
        rng.integers(0, len(_FAMILY), count).tolist(),
        rng.integers(0, len(_DOMAINS), count).tolist(),
        rng.integers(0, 1000, count).tolist(),
        (rng.random(count) < 0.3).tolist(),
        strict=True,
    ):
        first, last = _GIVEN[given], _FAMILY[family]
        phone = f"+44 20 7946 {line:04d}" if british else f"212-555-{100 + line % 100:04d}"
        mail = f"{first}.{last}{line % 100}@{_DOMAINS[domain]}".lower()
        texts.append(_TEMPLATES[template].format(mail=mail, phone=phone, name=f"{first} {last}"))
    return texts
