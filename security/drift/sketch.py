"""One pass over rows: their profile, and how they lie in the cells of a reference."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from security.drift.categories import Categories
from security.drift.cells import coded, decoded, guessed, hashable, plain, words
from security.drift.groups import GROUPS, group
from security.drift.held import Held, Way
from security.drift.ids import Ids
from security.drift.numbers import Numbers
from security.drift.profile import LIMITS, NAME, Category, Number, Reference, Spec, most
from security.drift.times import Times
from security.drift.tokens import keyed, mark
from security.errors import CannotTell
from security.rows.hashes import Words, key
from security.rows.scan import Profile
from security.verdict import Frozen

ABSENT = "absent"
"""The type of a column that a batch does not have: all null."""


class Facts(Frozen):
    """The profile of the rows; and where a reference was given, its digest and, for each column and pair, the rows in
    its cells: `hours`, `weekdays` and `units` after a column's name and a point are those of a time."""

    profile: Reference
    against: str = ""
    held: dict[str, Held] = Field(default_factory=dict)


class Sketch(Profile):
    """What is kept of rows. The secret is the caller's own: a profile is of no use without the one that it was made
    under. Memory does not grow with rows, nor with different values (`security.drift.counts`)."""

    def __init__(self, secret: bytes, spec: Spec, reference: Reference | None = None) -> None:
        super().__init__(secret)
        if reference is not None:
            if reference.mark != mark(secret):
                raise CannotTell("the reference was made under another secret", "reference")
            if reference.spec != spec:
                raise CannotTell("the reference looks at other columns, or at them in other roles", "reference")
        self.spec, self.reference, self.key = spec, reference, key(hashlib.sha256(b"drift" + secret).digest())
        self.rows, self.others = 0, dict[str, set[str]]()
        self.columns: dict[str, Any] = {name: self._seen(name) for name in spec.roles}
        self.pairs = {paired(pair): Categories(self.key, keyed(secret, paired(pair))) for pair in spec.pairs}

    def _seen(self, name: str) -> Numbers | Categories | Ids | Times:
        role, token = self.spec.roles[name], keyed(self.secret, name)
        known = self.reference.columns.get(name) if self.reference else None
        if role == "number":
            return Numbers(known if isinstance(known, Number) else None)
        return Times() if role == "time" else (Categories if role == "category" else Ids)(self.key, token)

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in a batch of any columns; those without a role are only noted."""
        groups, given = np.zeros(batch.num_rows, np.int64), set(batch.schema.names)
        if len(given) < batch.num_columns:
            raise CannotTell("two columns of one name", "facts")
        if self.spec.user and self.spec.user in given:
            users = batch.column(self.spec.user)
            if hashable(users.type):
                groups = group(_hashes(users, self.key))
        sizes = np.bincount(groups, minlength=GROUPS)
        self.rows += batch.num_rows
        for name, seen in self.columns.items():
            array = batch.column(name) if name in given else pa.nulls(batch.num_rows)
            seen.add(array, _called(array.type) if name in given else ABSENT, groups, sizes)
        for pair in self.spec.pairs:
            one, other = (_hashes(batch.column(name), self.key) if name in given else None for name in pair)
            if one is not None and other is not None:
                self.pairs[paired(pair)].pair(one, other, groups, sizes)
        for field in batch.schema:
            if field.name not in self.columns:
                self.others.setdefault(field.name, set()).add(_called(field.type))

    def merge(self, other: "Sketch") -> None:
        """Take in what another kept, under the same secret, of the same columns and against the same reference."""
        if (self.secret, self.spec, self.reference) != (other.secret, other.spec, other.reference):
            raise ValueError("profiles under different secrets, or of different columns, cannot be merged")
        self.rows += other.rows
        for mine, theirs in ((self.columns, other.columns), (self.pairs, other.pairs)):
            for name, seen in mine.items():
                seen.merge(theirs[name])
        for name, types in other.others.items():
            self.others.setdefault(name, set()).update(types)

    def only(self, part: "Sketch") -> dict[str, int]:
        """Of each column of ids how many of those in some of these rows no other of these rows has."""
        return {name: seen.only(part.columns[name]) for name, seen in self.columns.items() if isinstance(seen, Ids)}

    def facts(self) -> Facts:
        """The profile, as fine as it may be long; and the rows in the cells of the reference."""
        _, kish, doubt = self.columns[self.spec.user].weight() if self.spec.user else (0, 1.0, 0.0)
        names = [*self.columns, *self.others]
        if long := [name for name in names if len(name.encode()) > NAME]:
            raise CannotTell(f"a column's name of {len(long[0].encode())} bytes; at most {NAME} are kept", "facts")
        for limit in LIMITS:
            way = Way(kish, limit, self.spec.least, bool(self.spec.user))
            found = self._profile(way, doubt)
            if len(found.bytes) <= most(len(names) + len(self.pairs)):
                break
        else:
            raise CannotTell(f"a profile of {len(found.bytes):,} bytes, whatever is left out of it", "facts")
        reference = self.reference
        if reference is None:
            return Facts(profile=found)
        way = Way(kish, LIMITS[0], self.spec.least, bool(self.spec.user))
        return Facts(profile=found, against=reference.digest, held=self._held(reference, way))

    def _profile(self, way: Way, doubt: float) -> Reference:
        return Reference(
            mark=mark(self.secret),
            spec=self.spec,
            rows=self.rows,
            kish=way.kish,
            doubt=doubt,
            columns={name: seen.facts(way) for name, seen in sorted(self.columns.items())},
            pairs={name: seen.facts(way) for name, seen in sorted(self.pairs.items())},
            others={name: _cut(" | ".join(sorted(types))) for name, types in sorted(self.others.items())},
        )

    def _held(self, reference: Reference, way: Way) -> dict[str, Held]:
        found = dict[str, Held]()
        for name, seen in {**self.columns, **self.pairs}.items():
            known = reference.columns.get(name) or reference.pairs.get(name)
            if isinstance(seen, Categories) and isinstance(known, Category):
                found[name] = seen.held(known, way)
            elif isinstance(seen, Numbers) and (cells := seen.held(way.kish)) is not None:
                found[name] = cells
            elif isinstance(seen, Times):
                found |= {f"{name}.{part}": cells for part, cells in seen.held(way.kish).items()}
        return found


def paired(pair: tuple[str, str]) -> str:
    """What two columns together are called."""
    return f"{pair[0]} × {pair[1]}"


def planned(schema: pa.Schema, roles: dict[str, Any], user: str = "", pairs: Any = (), least: int = 10) -> Spec:
    """What to look at in data of this schema: columns without a declared role get the one that their type speaks for,
    and those whose type speaks for none get none."""
    known = {field.name: roles.get(field.name) or guessed(field.type) for field in schema}
    given = {name: role for name, role in known.items() if role} | {name: roles[name] for name in roles}
    return Spec(roles=given, user=user, pairs=pairs, least=least)


def _called(kind: pa.DataType) -> str:
    return _cut(str(plain(kind)))


def _cut(text: str) -> str:
    return text if len(text) <= NAME else text[: NAME - 1] + "…"


def _hashes(array: pa.Array, under: tuple[int, int]) -> Words:
    """A hash for each row; 0 for a null."""
    array = decoded(array)
    if not array.null_count:
        if pa.types.is_string(array.type):
            return words(array, under)
        different, index = coded(array, under)
        return different[index]
    found: Words = np.zeros(len(array), np.uint64)
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    found[valid] = words(array.drop_null(), under)
    return found
