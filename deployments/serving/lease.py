"""What the registry says of the release that is served: asked before it is loaded, and again while it answers.

The registry is a folder of chains, a folder each and an entry a file, numbered from 1. It is believed by the keys that
were given, and only as a chain that goes on from where it was before. The service holds a lease of it: whoever cannot
read the chains any more, or may not believe them, cannot know whether the release was revoked, and stops answering when
the lease has run out; a revocation stops it when it is read.

What this does not show: a release that was never entered is known by its data and its key alone, so that of a candidate
only these can be revoked.
"""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from deployments.serving.load import Card
from deployments.serving.schema import Refusal
from security.errors import LogBroken, Refused, SluiceError
from security.models.chain import Keys, Move, extends
from security.models.entries import entries
from security.models.manifest import REVOKED, named
from security.models.standing import Standing, stands

SECONDS = 60.0
"""How long the service goes on without a registry."""
EVERY = 10.0
"""Seconds between two looks at it."""


class Word(Protocol):
    """Whoever says whether the release may serve still: a registry that is asked, or a lease."""

    def usable(self) -> None:
        """`Refusal` 503 where it may not, or nobody can tell."""

    def left(self) -> float:
        """Seconds until it may not any more, if nothing new is heard; below 0 where it may not."""


def chain(folder: Path, name: str) -> list[bytes]:
    """The entries of a chain, none where the registry has none of this name; `LogBroken` where they cannot be told."""
    try:
        if name not in os.listdir(folder):
            return []
    except (FileNotFoundError, NotADirectoryError):
        raise LogBroken("there is no registry") from None
    except OSError as why:
        raise LogBroken(f"the registry cannot be read ({type(why).__name__})") from None
    return entries(folder / name, name)


class Lease:
    """The registry's word on one release, by its card, its digest and the id of the key that signed it.

    `known` has digests of entries that must be there; `clock` is a monotonic one. Raises where the registry cannot be
    believed (`LogBroken`), or where it takes the release away (`Refused`): revoked, or older than what was in
    production.
    """

    def __init__(
        self,
        folder: Path,
        keys: Keys,
        card: Card,
        digest: str,
        key: str,
        *,
        known: Collection[str] = (),
        seconds: float = SECONDS,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.keys, self.card, self.digest, self.key = folder, keys, card, digest, key
        self.known, self.seconds, self.every, self.clock = known, seconds, every, clock
        self._mine: list[bytes] = []
        self._gone: list[bytes] = []
        self._found: Standing | None = None
        self._gone_for = ""
        found = self._look()
        served = [row.claim.version for row in found.rows if any(_production(each.claim) for each in row.moves)]
        if max(served, default=0) > card.version:
            raise Refused(
                f"version {card.version} of {card.name!r} is older than {max(served)}, which was in production"
            )
        self._held = self._tried = clock()

    def usable(self) -> None:
        """`Refusal` 503 where the release was revoked, or nobody can tell any more."""
        now = self.clock()
        if now - self._tried >= self.every and not self._gone_for:
            self._tried = now
            try:
                self._look()
                self._held = now
            except Refused:
                self._gone_for = "the release was revoked"
            except SluiceError:
                pass  # not renewed: it may be whole again before the lease has run out
        if self._gone_for:
            raise Refusal(503, self._gone_for)
        if now - self._held > self.seconds:
            raise Refusal(503, "whether the release was revoked is not known any more")

    def left(self) -> float:
        """Seconds until it is not usable, if the registry cannot be asked any more; below 0 where it is not."""
        return -1.0 if self._gone_for else self._held + self.seconds - self.clock()

    def _look(self) -> Standing:
        name = named(self.card.name)
        mine, gone = chain(self.folder, name), chain(self.folder, REVOKED)
        extends(mine, self._mine, name)
        extends(gone, self._gone, REVOKED)
        if self._found is not None and (mine, gone) == (self._mine, self._gone):
            return self._found  # nothing was said since: what was verified is not verified again
        found = stands(mine, gone, self.keys, name, now=time.time(), known=self.known)
        for row in found.rows:
            if row.claim.release == self.digest and row.wrong:
                raise Refused(f"version {row.claim.version} of {name!r} {row.wrong}")
        for target in (self.card.data, self.key):
            if target in found.barred:
                raise Refused(f"{name!r}: {found.barred[target]}")
        self._mine, self._gone, self._found = mine, gone, found
        return found


def _production(claim: object) -> bool:
    return isinstance(claim, Move) and claim.alias == "production"
