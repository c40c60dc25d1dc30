"""Sentences with labelled values of seven entities, and sentences with none, made from a seed by other code than finds
them: formats as people write them, check digits worked out here."""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

Draw = random.Random


class Labelled(NamedTuple):
    """A text, and what stands in it: entity, start and end."""

    text: str
    values: frozenset[tuple[str, int, int]]


def digits(shape: str, draw: Draw) -> str:
    """A shape in which # is any digit, N one from 2 to 9, X one from 1 to 9."""
    told = {"#": "0123456789", "N": "23456789", "X": "123456789"}
    return "".join(draw.choice(told[sign]) if sign in told else sign for sign in shape.replace("A", draw.choice(AREAS)))


AREAS = ("202", "206", "212", "305", "312", "415", "503", "617", "702", "808", "416", "604")
"""Of North America: in a shape, A."""
PHONES = """
(A) NX#-#### | A-NX#-#### | A.NX#.#### | +1 A NX# #### | 1-A-NX#-#### | +1-A-NX#-#### | 020 7### ####
07400 ###### | +44 20 7### #### | +44 7400 ###### | 0161 496 #### | (0113) 496 #### | 030 2########
0171 2###### | +49 30 2####### | +49 171 2###### | 089/2####### | 0049 30 2####### | 01 4X ## ## ##
06 1# ## ## ## | +33 1 4X ## ## ## | +33 6 1# ## ## ## | 06 6### #### | 347 1## #### | +39 06 6### ####
+39 347 1## #### | +34 91 4## ## ## | +34 612 ## ## ## | +31 6 1####### | 020-6###### | 06-1#######
(02) 9### #### | 0412 ### ### | +61 2 9### #### | +61 412 ### ### | (11) 9XX##-#### | +55 11 9XX##-####
+91 98### ##### | 098### ##### | +41 44 2## ## ## | 044 2## ## ## | +43 1 5###### | +46 8 50# ### ##
070-1## ## ## | +47 22 ## ## ## | +45 32 ## ## ## | +358 40 ### #### | +48 22 6## ## ## | 03-3###-####
090-1###-#### | +81 3-3###-#### | +27 21 4## #### | 021 4## #### | +353 1 6## #### | +64 9 3## ####
+52 55 5### #### | +65 6### ####
"""
SPOKEN = (
    *("Call me at {}", "my phone is {}", "{} is my mobile", "Tel: {}", "You can reach us on {} until six"),
    *("{} is my number, thanks", "fax {}"),
)
COUNTRIES = {"DE": ("", 18), "GB": ("WEST", 14), "FR": ("", 23), "NL": ("ABNA", 10), "ES": ("", 20), "CH": ("", 17)}
COUNTRIES |= {"AT": ("", 16), "BE": ("", 12), "CZ": ("", 20), "EE": ("", 16), "LT": ("", 16), "SE": ("", 20)}
COUNTRIES |= {"PT": ("", 21), "SK": ("", 20)}
"""Of accounts: the bank's letters, and how many digits follow."""
SITES = ("example", "shop", "my-garden", "news24", "univ-lab", "photo", "bestbikes", "data.portal", "docs")
ENDS = ("com", "org", "net", "io", "co.uk", "de", "fr", "edu", "gov", "info")
CARDS = {"4": (13, 16), "51": (16,), "55": (16,), "2221": (16,), "2720": (16,), "34": (15,), "37": (15,)}
CARDS |= {"6011": (16,), "3530": (16,), "300": (14,), "62": (16,), "5018": (16,)}
"""First digits, and how many there are in all."""
NAMES = ("anna", "j.smith", "o_brien", "maria-luisa", "x99", "sales", "karl.heinz+shop", "li")


def _each(told: str) -> list[str]:
    return [each.strip() for line in told.strip().splitlines() for each in line.split("|")]


def phone(draw: Draw) -> str:
    """A telephone number as its country writes it."""
    return digits(draw.choice(_each(PHONES)), draw)


def card(draw: Draw) -> str:
    """A card's number with its check digit (Luhn), in one piece or in groups."""
    first = draw.choice(sorted(CARDS))
    body = first + digits("#" * (draw.choice(CARDS[first]) - len(first) - 1), draw)
    total = sum(sum(divmod(int(each) * (2 - n % 2), 10)) for n, each in enumerate(reversed(body)))
    whole, mark = body + str(-total % 10), draw.choice(["", "", " ", "-", "\t", "  ", " - ", "+"])
    sizes = (4, 6, 5) if len(whole) == 15 else (4, 6, 4) if len(whole) == 14 else (4,) * (len(whole) // 4)
    if not mark or sum(sizes) != len(whole) or (mark not in (" ", "-") and len(sizes) != 4):
        return whole
    parts, at = [], 0
    for size in sizes:
        parts.append(whole[at : at + size])
        at += size
    return mark.join(parts)


def account(country: str, draw: Draw) -> str:
    """An account of this country with its check digits (ISO 13616)."""
    bank, size = COUNTRIES[country]
    body = bank + digits("#" * size, draw)
    number = int("".join(str(int(each, 36)) for each in body + country + "00"))
    return f"{country}{98 - number % 97:02d}{body}"


def iban(draw: Draw) -> str:
    """An account, in one piece or in fours."""
    whole = account(draw.choice(sorted(COUNTRIES)), draw)
    return whole if draw.random() < 0.5 else " ".join(whole[at : at + 4] for at in range(0, len(whole), 4))


def ssn(draw: Draw) -> str:
    """A number of the Social Security Administration that may have been given out."""
    area = draw.choice([*range(1, 666), *range(667, 900)])
    mark = draw.choice(["-", "-", " "])
    return f"{area:03d}{mark}{draw.randrange(1, 100):02d}{mark}{draw.randrange(1, 10_000):04d}"


def address(draw: Draw) -> str:
    """An address of IP version 4, or of 6, whole or shortened."""
    if draw.random() < 0.7:
        return ".".join(str(draw.randrange(1, 255)) for _ in range(4))
    words = [f"{draw.randrange(1, 1 << 16):x}" for _ in range(8)]
    return ":".join(words) if draw.random() < 0.5 else ":".join(words[:3]) + "::" + words[7]


def email(draw: Draw) -> str:
    """An address of a person or an office."""
    return f"{draw.choice(NAMES)}@{draw.choice(SITES)}.{draw.choice(ENDS)}"


def link(draw: Draw) -> str:
    """A page, a site, or a site's name alone."""
    host = f"{draw.choice(['', 'www.', 'blog.'])}{draw.choice(SITES)}.{draw.choice(ENDS)}"
    path = draw.choice(["", "", "/", "/a/b", "/p?id=7", "/index.html", "/a_(b)"])
    return draw.choice(["https://", "http://", "ftp://", "wss://u:p@", "//", "", "", ""]) + host + path


VALUES: dict[str, tuple[Callable[[Draw], str], tuple[str, ...]]] = {
    "PHONE_NUMBER": (phone, SPOKEN),
    "CREDIT_CARD": (card, ("my card {} was charged twice", "Visa {}", "{}", "paid with {} today", "number: {}")),
    "IBAN_CODE": (
        iban,
        ("Please pay to {} by Friday", "IBAN {}", "{}", "account {} at the bank", "refund to {} Jansen", "{} gracias"),
    ),
    "US_SSN": (ssn, ("my ssn is {}", "SSN: {}", "social security {} please", "{} is on the form")),
    "IP_ADDRESS": (
        address,
        ("blocked from {} again", "peer {}: handshake failed", "server {} is down", "{}", "from {} to the gateway"),
    ),
    "EMAIL_ADDRESS": (
        email,
        (
            "write to {} please",
            "{}",
            "mail {}, not me",
            "contact: <{}>",
            "/users/{}/orders",
            "GET /a?m={}&n=2",
            "s3://bucket/{}/2024.csv",
        ),
    ),
    "URL": (link, ("see {} for more", "I found it on {} yesterday", "{}", "(via {} )", "({})")),
}
NOTHING = """
order N######### shipped | row 1698###### of 1698###### | tracking NN########## | lat 5X.######, lon 1X.######
code 400638X###### | X.###.###,## euro | at 10:1#:2#.###### sharp | sha 3f2504e0#f#e#1d39a0c | rooms N##-N##
N#####-N##### of it | 1,2##,### views | order #### ### shipped in N days | room N## at #:##
total NN.## for N items | version N.#.# is out | chapter X.X, page N## | model XR-#### and part ####-##
batch N####X | Chrome/1N#.0.#### and Safari/537.36 | v2.#.##.# of main.py | os.path in utils.sh
ISBN 978-3-16-14####-0 | on 2023-0X-1X it rained | between 10:## and 11:## | 1X/0X/2023 was fine
5#% off, N# left, size N# | score N#.###, rank ###,### | it was late.so we left | great quality.it works
at 1X.0X.20## 14:0#:## | of 1#-0X-20## 14:0# | firmware N.1#.#.# | section 4.N.X.# | abc::def in std::cafe
user.name is null | self.data.name | order.date of u.name | N## x N## px | 0.####### and -#.##e-0X | README.md
"""


def made(count: int, seed: int) -> Iterator[Labelled]:
    """So many texts: two in three with a value or two, the others without."""
    draw = Draw(seed)
    for _ in range(count):
        text, found = "", set()
        for _ in range(draw.choice([0, 1, 1, 2])):
            entity = draw.choice(sorted(VALUES))
            value, frames = VALUES[entity]
            told, frame = value(draw), draw.choice(frames)
            start = len(text) + frame.index("{}")
            found.add((entity, start, start + len(told)))
            text += frame.format(told) + draw.choice(["\n", ". ", ", "])
        if not found or draw.random() < 0.3:
            text += digits(draw.choice(_each(NOTHING)), draw)
        yield Labelled(text, frozenset(found))
