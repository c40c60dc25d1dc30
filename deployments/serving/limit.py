"""How much one identity may ask: requests a second, and how many different things in an hour.

An identity is whom a believed token speaks for; nobody without one is counted, and no address is. Requests are let
through by the generic cell rate algorithm: one number for each identity, the moment from which it would be at rest. An
identity at rest is the same as one that was never seen, so that the older of two generations can be forgotten whole.
Different users and sessions are counted exactly, in hours of the clock: whoever walks the catalogue to copy the model
gets `budget` answers of it an hour, and twice that over the turn of one.

Memory is bounded. Where it is full, whoever is not in it yet is refused: to forget somebody would be to let him begin
anew.
"""

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from deployments.serving.schema import Refusal

IDENTITIES = 100_000
"""Identities of one generation: more than one process can answer in the time that one lasts."""
THINGS = 200_000
"""Different things of all identities together, in one hour."""
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


class Limiter:
    """Counts what identities ask; `clock` is a monotonic one, in seconds."""

    def __init__(
        self,
        allowance: Allowance | None = None,
        clock: Callable[[], float] = time.monotonic,
        identities: int = IDENTITIES,
        things: int = THINGS,
    ) -> None:
        self.allowance, self.clock = allowance or Allowance(), clock
        self.identities, self.things = identities, things
        self._lasts = self.allowance.burst / self.allowance.rate
        """Seconds after which an identity that was at its limit is at rest."""
        self._new: dict[str, float] = {}
        self._old: dict[str, float] = {}
        self._turn = self._hour = clock()
        self._asked: dict[str, set[int]] = {}
        self._count = 0

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
        """Count something that is asked for; `Exceeded` where it is new, and one thing too many in this hour."""
        now = self.clock()
        if now - self._hour >= HOUR:
            self._asked, self._count, self._hour = {}, 0, now
        thing, asked = hash(what), self._asked.get(who, set())
        if thing in asked:
            return
        if len(asked) >= self.allowance.budget or self._count >= self.things:
            raise Exceeded("too many different users or sessions", HOUR - (now - self._hour))
        self._asked.setdefault(who, asked).add(thing)
        self._count += 1
