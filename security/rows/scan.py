"""One read of rows feeds many profiles.

A profile sums up rows: batches in, facts out, and no row kept. Two profiles merge, the left one's rows before the
right one's, so that rows may be cut into shards anywhere and looked at apart:
`look(a + b) == merge(look(a), look(b))`, for the facts of every profile.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Self

import pyarrow as pa

from security.errors import CannotTell
from security.rows.ahead import ended
from security.verdict import Frozen

SECRET = 32
"""Bytes of a secret."""


class Profile(ABC):
    """What is kept of rows while they pass. Profiles of one look share a secret, drawn anew for each look."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    @abstractmethod
    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of `security.rows.columns.SCHEMA`."""

    @abstractmethod
    def merge(self, other: Self) -> None:
        """Take in what another profile of the same look kept of the rows that follow."""

    @abstractmethod
    def facts(self) -> Frozen:
        """Everything that was seen; the profile can go on."""


Kinds = Mapping[str, type[Profile]]
Profiles = dict[str, Any]
"""Name -> profile."""


def begin(kinds: Kinds, secret: bytes = b"") -> Profiles:
    """Profiles that have seen nothing; of one secret, a fresh one where none is given."""
    secret = secret or secrets.token_bytes(SECRET)
    if len(secret) < SECRET:
        raise ValueError(f"a secret of {len(secret)} bytes; at least {SECRET} are needed")
    return {name: kind(secret) for name, kind in kinds.items()}


def scan(batches: Iterable[pa.RecordBatch], kinds: Kinds, secret: bytes = b"") -> Profiles:
    """The profiles of these batches, from one read of them."""
    profiles = begin(kinds, secret)
    with ended(iter(batches)) as read:
        for batch in read:
            for profile in profiles.values():
                profile.add(batch)
    return profiles


def merged(parts: Iterable[Profiles]) -> Profiles:
    """The profiles of shards, given in the order of their rows, as those of the whole. The first is changed."""
    whole: Profiles | None = None
    for part in parts:
        if whole is None:
            whole = part
        elif whole.keys() != part.keys():
            raise CannotTell(f"shards of other profiles: {', '.join(part)}; before: {', '.join(whole)}", "coverage")
        else:
            for name, profile in whole.items():
                profile.merge(part[name])
    if whole is None:
        raise CannotTell("there are no shards to merge", "coverage")
    return whole
