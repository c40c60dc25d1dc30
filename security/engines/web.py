"""How something is fetched over HTTP from where a person says: HTTPS, or plain HTTP on the loopback alone.

Redirects are not followed. A connection, an answer, and each next piece of one have their time; an answer has a most.
"""

import ipaddress
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from security.errors import CannotTell

if TYPE_CHECKING:
    import httpx

SECONDS = 20.0
"""How long an answer, or the next piece of one, may take; a connection a quarter of that."""


def split(url: str, what: str, cause: str) -> SplitResult:
    """The parts of a URL that may be asked; `CannotTell` with the cause for another."""
    try:
        told = urlsplit(url)
    except ValueError:
        raise CannotTell(f"{what} cannot be read; allowed: https://HOST/FOLDER", cause) from None
    try:
        host, _ = told.hostname or "", told.port
    except ValueError:
        raise CannotTell(f"{what} cannot be read; allowed: https://HOST/FOLDER", cause) from None
    if told.scheme != "https" and not (told.scheme == "http" and _loopback(host)):
        raise CannotTell(f"{what} is {told.scheme or 'of no scheme'}; allowed: https, and http on the loopback", cause)
    return told


def bare(told: SplitResult) -> str:
    """A URL without the name and password in it: what is asked, shown and kept."""
    return urlunsplit((told.scheme, told.netloc.rpartition("@")[2], told.path, "", ""))


def client(told: SplitResult | None = None, **headers: str) -> "httpx.Client":
    """Who asks, with the name and password of a URL where it has some. What is plain stays on the loopback: no proxy
    that the environment names is asked for it."""
    import httpx

    timeout = httpx.Timeout(SECONDS, connect=SECONDS / 4)
    auth = (unquote(told.username), unquote(told.password or "")) if told and told.username else None
    trusted = told is None or told.scheme == "https"
    return httpx.Client(timeout=timeout, follow_redirects=False, headers=headers, auth=auth, trust_env=trusted)


def pieces(reply: "httpx.Response", what: str, most: int, cause: str, ends: float = float("inf")) -> Iterator[bytes]:
    """An answer as it comes; `CannotTell` with the cause for one of more than so many bytes, or that goes on after a
    moment of the monotonic clock."""
    size = 0
    for piece in reply.iter_bytes():  # as it comes: to wait for more of it would be to look at no clock
        size += len(piece)
        if time.monotonic() > ends:
            raise CannotTell(f"{what}: an answer without an end", cause)
        if size > most:
            raise CannotTell(f"{what}: more than {most:,} bytes", cause)
        yield piece


@contextmanager
def ended(asks: "httpx.Client", seconds: float) -> Iterator[None]:
    """A client that is closed when its time is over, however slowly it is answered: whoever still asks hears an error
    at the next piece."""
    timer = Timer(seconds, asks.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
