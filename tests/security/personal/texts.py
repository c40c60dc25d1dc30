"""Texts to hold the fast way against the plain one: made to be near what recognisers look for, on either side of it."""

import random
import string
from collections.abc import Iterator

KNOWN = (
    *(
        each.strip()
        for line in """
john.doe@example.co.uk | o'neil+x_1@mail.example.org | a@b.cd | jörg@exämple.de | x@xn--80ak6aa92e.com
4111-1111-1111-1111 | 4111111111111111 | 4111_1111_1111_1111 | 5555 5555 5555 4444 | 2221.0000.0000.0009
378282246310005 | 3782 822463 10005 | 30569309025904 | 6304000000000000 | user4111111111111111 | 353011133330000
536-90-4399 | 536 90 4399 | 536904399 | 078 05 1120 | 912-70-1234 | 912701234 | 900-93-1234 | 192.168.0.1/24
::ffff:10.0.0.1 | fe80::1%eth0 | 2001:db8:0:0:0:0:0:1 | :: | Chrome/120.0.0.0 | v1.2.3.4
DE89370400440532013000 | GB82 WEST 1234 5698 7654 32 | gb82west12345698765432
FR14 2004 1010 0505 0001 3M02 606 | https://www.example.com/a?b=c | example.io | "http://x.yz" | www2.foo.it
os.system | main.py | saw.it | bit.ly/x | +1 (212) 555-0198 | +44 20 7946 0958 ext. 12
07946 0958 extension 1234 | 0049 30 123456 | (030) 901820 | 07946 0958 | 1-800-555-0199x12
Chrome/119.0.6045.105 | 2023-10-27 10:30 | 12/31/1999 | 31.12.99 | 2024-01-05T10:11:12.123+02:00 | JAN-99
01-FEB-2020 | 1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa | bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq
00:1A:2B:3C:4D:5E | 001a.2b3c.4d5e | AB1234563 | F91234563 | dea AB1234563 number | 9434765919 | 943 476 5919
550e8400-e29b-41d4-a716-446655440000 | A123456789012 | 12ABC34567 | A-Z]]123 | H12345678 | 1234567T | C03005988
1234567890123456 | 18/18 | 021000021 | /account?email=lisa@simpson.org&n=2 | _jane.doe@example.com_backup.tar.gz
john@mail.internal | a@b.com-c@d.org | BE68 5390 0754 7034 Jansen | ES91-2100-0418-4502-0005-1332
pt50 0002 0123 1234 5678 9015 4 | (212) 736-5000 ext. 12 | Mobil/0171 2345678 | 1.020 7946 0018
users/+442079460018/ | localhost/127.0.0.1:5432 | client42/10.32.7.45:51234 | postgres://user:pw@db.example.com:5432/app
//cdn.example.com/x.png | https://münchen.de/a_(b) | user.name | self.data.name | 4111+1111+1111+1111
4111 - 1111 - 1111 - 1111 | 4111  1111  1111  1111 | 12 2221 0000 0000 0009 | 2221 0000 0000 0009 1225 123
1698415391,2221000000000009,12.50 | 27.10.2023 14:03:11 | 27-10-2023 14:03 | 2001:db8::1: | std::cafe
firmware 2.14.0.7
""".strip().splitlines()
        for each in line.split(" | ")
    ),
    "\uff14" + "\uff11" * 15,
    "4111\u200b1111 1111 1111",
)
WORDS = (
    """
call | my | phone | tel: | card | visa | ssn | social security | iban | bank account | license | passport | ip
url | email | date | wallet | medical | mac | guid | nhs | the | version | order | № | é | 中文 | ( | ok.
""".strip()
    .replace("\n", " | ")
    .split(" | ")
)
ODD = (
    "0123456789-./ :+()@Aaiskbc1é中\u0660\u0661\u0669\uff10\uff19\u017f\u212a\u0130\u0131\u2013\u00a0\uff0b\uff0d"
    "\u00ad\u200b\U0001d7ce\u0967$€%\"'\n\t]["
)
ALPHABETS = (
    "0123456789-./ :+()@ABCXZabcxz_",
    "0123456789" * 3 + "- .",
    ODD,
    "0123456789abcdefABCDEF:.-/%",
    string.printable,
    "a.@-_b1",
    "wwhtps:/.coimt-2 ",
)


def mutated(text: str, draw: random.Random) -> str:
    """A text with up to three changes."""
    told = list(text)
    for _ in range(draw.randrange(4)):
        at, how = draw.randrange(len(told) + 1) if told else 0, draw.randrange(4)
        if how == 0 and told:
            told[min(at, len(told) - 1)] = draw.choice(ODD + string.ascii_letters)
        elif how == 1:
            told.insert(at, draw.choice(ODD + string.printable))
        elif how == 2 and told:
            del told[min(at, len(told) - 1)]
        elif told:
            other = draw.randrange(len(told))
            told[min(at, len(told) - 1)], told[other] = told[other], told[min(at, len(told) - 1)]
    return "".join(told)


def made(count: int, seed: int) -> Iterator[str]:
    """So many different texts: characters at random, known values changed a little, both among words."""
    draw, seen = random.Random(seed), set[str]()
    while len(seen) < count:
        way = draw.randrange(4)
        if way == 0:
            alphabet = draw.choice(ALPHABETS)
            text = "".join(draw.choice(alphabet) for _ in range(draw.randrange(1, 48)))
        elif way == 1:
            text = (
                draw.choice(["", "x ", "(", "é", "/"])
                + mutated(draw.choice(KNOWN), draw)
                + draw.choice(["", ".", " b", "中"])
            )
        else:
            parts = draw.choices(WORDS, k=draw.randrange(1, 6)) + [mutated(draw.choice(KNOWN), draw)]
            text = " ".join(parts if way == 2 else draw.sample(parts, len(parts)))
        if text not in seen:
            seen.add(text)
            yield text
