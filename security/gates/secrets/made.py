"""Secrets that open nothing, made up anew each time: what engines are shown, and what canaries are made of."""

import random
import string
from base64 import b64encode
from collections.abc import Callable

from security.engines.checksum import crc

LETTERS = string.ascii_letters + string.digits
BASE32 = string.ascii_uppercase + "234567"
Maker = Callable[[random.Random], str]


def some(draw: random.Random, of: str, count: int) -> str:
    """So many characters of a set, as no blank would have them."""
    return "".join(draw.choices(of, k=count))


def github(draw: random.Random) -> str:
    """A classic token of GitHub, with its sum."""
    body = some(draw, LETTERS, 30)
    return f"gh{draw.choice('pousr')}_{body}{crc(body)}"


def aws(draw: random.Random) -> str:
    """An access key of AWS."""
    return draw.choice(("AKIA", "ASIA")) + some(draw, BASE32, 16)


def slack(draw: random.Random) -> str:
    """A bot's token of Slack."""
    return f"xoxb-{some(draw, string.digits, 11)}-{some(draw, string.digits, 12)}-{some(draw, LETTERS.lower(), 24)}"


def stripe(draw: random.Random) -> str:
    """A key of Stripe."""
    return f"sk_live_{some(draw, LETTERS, 24)}"


def sendgrid(draw: random.Random) -> str:
    """A key of SendGrid."""
    return f"SG.{some(draw, LETTERS, 22)}.{some(draw, LETTERS, 43)}"


def url(draw: random.Random) -> str:
    """A password in an address."""
    return f"postgres://app:{some(draw, LETTERS, 14)}7xQ@db.example.org/app"


KNOWN: tuple[Maker, ...] = (github, aws, slack, stripe, sendgrid, url)
"""What both engines know."""


def pem(draw: random.Random) -> str:
    """A private key in PEM's form."""
    kind = draw.choice(("RSA ", "EC ", "OPENSSH ", ""))
    body = b64encode(draw.randbytes(48 * 5)).decode()
    rows = "\n".join(body[at : at + 64] for at in range(0, len(body), 64))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{rows}\n-----END {kind}PRIVATE KEY-----\n"
