"""The verifier's word that a release may serve, as it is handed to a service that cannot ask the registry.

It lies in a file, in whose place somebody else puts a newer one: it is looked at again while the service answers, by
its path each time, since a cluster swaps a link. What counts is the newest lease that was ever seen here: one that is
older, or whose signer knew less of the registry, takes no newer one's place, and neither does one that cannot be
believed. When the newest has run out, or does not name the release, the service stops answering, until one does.

When it runs out says the clock of the wall, and a clock that does not go back holds it to what was left of it when it
was first seen.

What this does not show: that a process that begins anew is handed the newest one, nor, where its clock is put back at
that moment, that it has not run out.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from deployments.serving.schema import Refusal
from security.errors import KeyBroken, LogBroken, SluiceError
from security.keys import PublicKey
from security.models.lease import MOST, Lease, read

EVERY = 10.0
"""Seconds between two looks at the file."""


class Granted:
    """A lease in a file, for one release (its digest) of a pipeline (`name`) at a target, by the verifier's key.

    `clock` is a monotonic one, `wall` tells seconds since the epoch. Raises where there is no lease that is good now
    (`LogBroken`, `Refused`), or the key is the producer's (`KeyBroken`).
    """

    def __init__(
        self,
        file: Path,
        verifier: PublicKey,
        producer: PublicKey,
        *,
        name: str,
        target: str,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if verifier.id == producer.id:
            raise KeyBroken("the verifier's key is the producer's: who makes models lets none serve")
        self.file, self.verifier, self.name, self.target = file, verifier, name, target
        self.every, self.clock, self.wall = every, clock, wall
        self._seen, self.digest = b"", ""
        self._tried = clock()
        self._lease, self._ends = self._look()

    def to(self, digest: str) -> "Granted":
        """The same, for a release. `Refusal` where it is not named."""
        self.digest = digest
        self._good()
        return self

    def usable(self) -> None:
        """`Refusal` 503 where the newest lease has run out, or does not name the release."""
        now = self.clock()
        if now - self._tried >= self.every:
            self._tried = now
            try:
                lease, ends = self._look()
                if lease.follows(self._lease):
                    self._lease, self._ends = lease, ends
            except SluiceError:
                pass  # not renewed: there may be a good one before what is there has run out
        self._good()

    def left(self) -> float:
        """Seconds until the newest lease has run out, as of the last look; below 0 where it does not name the
        release."""
        if self.digest not in self._lease.models:
            return -1.0
        return min(self._lease.until - self.wall(), self._ends - self.clock())

    def _good(self) -> None:
        if self.wall() >= self._lease.until or self.clock() >= self._ends:
            raise Refusal(503, "the lease has run out")
        if self.digest not in self._lease.models:
            raise Refusal(503, "the lease does not name this release")

    def _look(self) -> tuple[Lease, float]:
        """What lies there, and the moment of `clock` at which it ends."""
        data = held(self.file)
        if data == self._seen:
            return self._lease, self._ends  # nothing was said since: what was verified is not verified again
        now, moment = self.clock(), self.wall()
        lease = read(data, self.verifier, name=self.name, target=self.target, now=moment)
        self._seen = data
        return lease, now + lease.until - moment


def held(file: Path) -> bytes:
    """The bytes of a lease, read once; `LogBroken` where there are none, or too many."""
    try:
        with open(file, "rb", buffering=0, opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as told:
            data = told.read(MOST + 1)
    except OSError as why:
        raise LogBroken(f"no lease can be read ({type(why).__name__})") from None
    if not data or len(data) > MOST:
        raise LogBroken(f"a lease of {'no' if not data else 'too many'} bytes; allowed: 1 to {MOST:,}")
    return data
