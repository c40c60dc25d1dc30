"""How much one identity may ask: requests a second, and how many different things in an hour.

An identity is whom a believed token speaks for; nobody without one is counted, and no address is. Requests are let
through by the generic cell rate algorithm: one number for each identity, the moment from which it would be at rest. An
identity at rest is the same as one that was never seen, so that the older of two generations can be forgotten whole.
Different users and sessions are counted in hours of the clock: whoever walks the catalogue to copy the model gets
`budget` answers of it an hour, and twice that over the turn of one.

Memory is bounded, for each identity by itself: nobody takes up another's. Where there are too many identities, whoever
is not among them yet is refused: to forget somebody would be to let him begin anew.
"""

import math
import secrets
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from deployments.serving.schema import Refusal

IDENTITIES = 100_000
"""Identities of one generation, and those that ask for different things in one hour."""
SAMPLE = 1024
"""Things of one identity that are kept, at eight bytes each: so many are counted exactly, more to about one in twenty
(adaptive sampling: Flajolet, 1990)."""
HOUR = 3600.0


class Exceeded(Refusal):
    """429, and after how many whole seconds it is worth asking again (RFC 6585, RFC 9110)."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(429, message, {"retry-after": str(max(1, math.ceil(seconds)))})


@dataclass(frozen=True)
class Allowance:
    """What each identity has. `rate` is in requests a second, `burst` in requests at once, `budget` in different users
    and sessions an hour; its own user's recommendations are not counted against it."""

    rate: float = 20.0
    burst: int = 60
    budget: int = 1000

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("burst", self.burst), ("budget", self.budget)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{name}: found {value}; allowed: more than 0")


class Asked:
    """The different things that one identity asked for, by their hashes: all of them while they are few, then every
    second, fourth, eighth..., so that what is kept says how many there were."""

    def __init__(self) -> None:
        self._kept = array("Q")
        self._level = 0

    def __len__(self) -> int:
        return len(self._kept) << self._level

    def __contains__(self, thing: int) -> bool:
        at = bisect_left(self._kept, thing)
        return at < len(self._kept) and self._kept[at] == thing

    def add(self, thing: int) -> None:
        """Count one that is not there."""
        if thing & ((1 << self._level) - 1):
            return
        self._kept.insert(bisect_left(self._kept, thing), thing)
        while len(self._kept) > SAMPLE:
            self._level += 1
            self._kept = array("Q", (each for each in self._kept if not each & ((1 << self._level) - 1)))


class Limiter:
    """Counts what identities ask; `clock` is a monotonic one, in seconds."""

    def __init__(
        self,
        allowance: Allowance | None = None,
        clock: Callable[[], float] = time.monotonic,
        identities: int = IDENTITIES,
    ) -> None:
        if identities < 1:
            raise ValueError(f"identities: found {identities}; allowed: 1 or more")
        self.allowance, self.clock, self.identities = allowance or Allowance(), clock, identities
        self._lasts = self.allowance.burst / self.allowance.rate
        """Seconds after which an identity that was at its limit is at rest."""
        self._new: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._turn = self._hour = clock()
        self._asked: dict[str, Asked] = {}
        self._salt = secrets.randbits(64)

    def take(self, who: str) -> None:
        """Count one request; `Exceeded` where it is one too many."""
        now = self.clock()
        if now - self._turn >= self._lasts:
            # What is in the older one was last asked for before the last turn, and is at rest.
            self._old = self._new if now - self._turn < 2 * self._lasts else {}
            self._new, self._turn = {}, now
        rests = self._new.get(who)
        if rests is None:
            if len(self._new) >= self.identities:
                raise Exceeded("too many callers", self._lasts)
            rests = self._old.get(who, now)
        rests = max(rests, now)
        wait = rests + 1 / self.allowance.rate - now - self._lasts
        if wait > 1e-9:
            self._new[who] = rests
            raise Exceeded("too many requests", wait)
        self._new[who] = rests + 1 / self.allowance.rate

    def spend(self, who: str, what: Hashable) -> None:
        """Count something that is asked for; `Exceeded` where it is one thing too many in this hour. What was asked for
        before may be asked for again, as far as it is kept."""
        now = self.clock()
        if now - self._hour >= HOUR:
            self._asked, self._hour = {}, now
        # With a salt: nobody can choose things whose hashes are not counted.
        thing, asked = _spread(hash((self._salt, what))), self._asked.get(who)
        if asked is None:
            if len(self._asked) >= self.identities:
                raise Exceeded("too many callers", HOUR - (now - self._hour))
            asked = self._asked[who] = Asked()
        if thing in asked:
            return
        if len(asked) >= self.allowance.budget:
            raise Exceeded("too many different users or sessions", HOUR - (now - self._hour))
        asked.add(thing)


def _spread(number: int) -> int:
    """64 bits of a hash, the lowest of which depend on all (the finaliser of MurmurHash3): those of numbers in a row
    are not spread evenly by Python."""
    number &= (1 << 64) - 1
    number = (number ^ number >> 33) * 0xFF51AFD7ED558CCD & ((1 << 64) - 1)
    return number ^ number >> 33
