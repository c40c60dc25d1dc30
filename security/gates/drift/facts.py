"""What a look for drift is given, and what it keeps: profiles of the rows, and never a row.

With every batch go the baseline (`security.drift.profile`) that the rows are counted in, and the secret under which it
was made. The secret is a member of what is handed out, so that it is in no schema, no file and no fact.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from security.drift import profile, sketch
from security.drift.cells import Role
from security.drift.held import Held
from security.drift.profile import SIZE, Reference, Spec
from security.drift.tokens import mark
from security.errors import CannotTell
from security.material import Material
from security.rows import beside as apart
from security.rows.scan import SECRET
from security.verdict import Frozen

ROLES: dict[str, Role] = {"user_id": "id", "item_id": "id", "interaction_type": "category", "timestamp": "time"}
COLUMNS = tuple(ROLES)
"""The columns that can be watched, in the order of `security.rows.columns.SCHEMA`."""
BESIDE = frozenset({"row", "file", "faults", "beside"})
"""What a batch says of its rows beyond their data."""
WIDEST = 1_000
"""Columns that nobody declared, at most."""
MOST = 3 * SIZE + 32_000
"""Bytes of the facts of one look as JSON, at most: three profiles, and twice the rows in the baseline's cells. An
observation has those of three looks."""


class Hidden:
    """A secret that is never shown, neither by `repr` nor in a traceback."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < SECRET:
            raise ValueError(f"a secret of {len(secret)} bytes; at least {SECRET} are needed")
        self._secret = secret

    def __repr__(self) -> str:
        return "Hidden()"

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")

    def show(self) -> bytes:
        """The secret."""
        return self._secret


class Given(NamedTuple):
    """A batch; the baseline's bytes, none where there is no baseline; the secret; the columns that are watched; and
    those that are texts and may be there, with their roles; which two are watched together; how much of the rows' time
    the newest partition is; and whether the batch is of that one."""

    batch: pa.RecordBatch
    baseline: bytes
    secret: Hidden
    columns: tuple[str, ...] = COLUMNS
    beside: tuple[tuple[str, Role], ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    part: float = 1.0
    newest: bool = False

    @property
    def spec(self) -> Spec:
        """What is looked at in the batches: roles are known, and rows of one user count as clustered."""
        roles = {name: ROLES[name] for name in self.columns} | dict(self.beside)
        return Spec(roles=roles, user="user_id" if "user_id" in roles else "", pairs=self.pairs)

    def of(self, batches: Iterable[pa.RecordBatch], baseline: bytes | None = None) -> list["Given"]:
        """Other batches, given as this one is, or with another baseline."""
        held = self.baseline if baseline is None else baseline
        return [self._replace(batch=batch, baseline=held) for batch in batches]


class Newest(sketch.Facts):
    """Rows of the newest partition by themselves. `fresh`: of each column of ids, how many no row before has."""

    fresh: dict[str, int]

    @model_validator(mode="after")
    def _sound(self) -> Self:
        ids = {name: each.distinct for name, each in self.profile.columns.items() if each.role == "id"}
        if self.fresh.keys() != ids.keys() or any(not 0 <= self.fresh[name] <= most for name, most in ids.items()):
            raise ValueError("fresh ids that the newest rows do not have")
        return self


class Facts(Frozen):
    """The baseline that was used, its digest, the rows in its cells, and the rows' own profile: the next baseline; and
    the rows of the newest partition once more, by themselves.

    Counts, cuts, keyed hashes and types alone. `digest` is empty, `baseline` null and `held` without an entry where
    there was no baseline; `newest` is null there, and where no row is of the newest partition.
    """

    digest: str = Field(pattern="^([0-9a-f]{64})?$")
    baseline: Reference | None
    held: dict[str, Held]
    profile: Reference
    newest: Newest | None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.baseline is None:
            if self.digest or self.held or self.newest:
                raise ValueError("rows in the cells of a baseline that is not there")
        elif self.digest != self.baseline.digest:
            raise ValueError("the digest is not that of the baseline")
        elif self.unlike and (self.held or self.newest):
            raise ValueError("rows in the cells of a baseline of other columns, or of another secret")
        elif self.newest and (
            (self.newest.against, self.newest.profile.mark) != (self.digest, self.profile.mark)
            or self.newest.profile.rows > self.profile.rows
        ):
            raise ValueError("the newest rows are not of these, or not in the cells of this baseline")
        return self

    @property
    def unlike(self) -> str:
        """Why the rows could not be counted in the cells of the baseline; empty where they could, or there is none."""
        then, now = self.baseline, self.profile
        if then is None or (then.mark, then.spec) == (now.mark, now.spec):
            return ""
        if then.mark != now.mark:
            return "the reference was made under another secret"
        return "the reference looks at other columns, or at them in other roles"

    @property
    def seen(self) -> sketch.Facts:
        """The same for the comparison."""
        return sketch.Facts(profile=self.profile, against=self.digest, held=self.held)


def material(
    rows: Material[pa.RecordBatch],
    baseline: bytes | None,
    secret: bytes,
    columns: Sequence[str] = COLUMNS,
    beside: Mapping[str, Role] | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    newest: Callable[[pa.RecordBatch], bool] = lambda _: False,
    partitions: int = 1,
) -> Material[Given]:
    """Rows for one look: batches of `security.rows.columns.SCHEMA`, the baseline's bytes (`Reference.bytes`) or None,
    and the secret, of at least 32 bytes, that the baseline was made under. `beside` are declared columns that need not
    be there, and their roles; `pairs` are watched together; `newest` says of a batch whether it is of the newest
    of so many `partitions`: each is of it, or not. `ValueError` for columns that are not ours, or a secret
    that is too short."""
    watched = tuple(name for name in COLUMNS if name in columns)
    if not watched or len(watched) != len(columns):
        raise ValueError(f"columns {', '.join(columns) or 'none'}; there are {', '.join(COLUMNS)}")
    source, hidden, given = rows.source, Hidden(secret), baseline or b""
    others, together = tuple(sorted((beside or {}).items())), tuple(sorted((min(pair), max(pair)) for pair in pairs))
    return Material(
        rows.subject,
        lambda: (
            Given(batch, given, hidden, watched, others, together, 1 / partitions, newest(batch)) for batch in source()
        ),
        expected=rows.expected,
        unit=rows.unit,
        weigh=lambda each: rows.weigh(each.batch),
        sample=rows.sample,
        basis=rows.basis,
    )


def found(items: Iterable[Given]) -> Facts:
    """The facts of rows; `CannotTell` by the cause `reference` where the baseline cannot be used."""
    first: Given | None = None
    baseline: Reference | None = None
    for each in items:
        if first is None:
            first = each
            baseline = profile.read(each.baseline) if each.baseline else None
            used = baseline if like(baseline, each) else None
            kept, last = (sketch.Sketch(each.secret.show(), each.spec, used) for _ in range(2))
        elif each[1:-1] != first[1:-1]:
            raise CannotTell("the baseline became another while rows were handed out", "reference")
        batch = data(each)
        kept.add(batch)
        if each.newest and used:
            last.add(batch)
        if len(kept.others) > WIDEST:
            raise CannotTell(f"more than {WIDEST:,} columns that nobody declared", "facts")
    if first is None:
        raise CannotTell("there are no rows to look at", "coverage")
    told, digest = kept.facts(), baseline.digest if baseline else ""
    newest = Newest(**dict(last.facts()), fresh=kept.only(last)) if last.rows else None
    return Facts(digest=digest, baseline=baseline, held=told.held, profile=told.profile, newest=newest)


def like(baseline: Reference | None, given: Given) -> bool:
    """Whether rows that are given so can be counted in the cells of a baseline."""
    return baseline is not None and (baseline.mark, baseline.spec) == (mark(given.secret.show()), given.spec)


def data(given: Given) -> pa.RecordBatch:
    """The columns of the data. One that nobody declared has a keyed hash for a name: a name may be a value."""
    kept = [name for name in given.batch.schema.names if name not in BESIDE]
    names = [name if name in COLUMNS else f"column {_hashed(name, given.secret)}" for name in kept]
    watched = [at for at, name in enumerate(names) if name in given.columns or name not in COLUMNS]
    arrays, called = [given.batch.column(kept[at]) for at in watched], [names[at] for at in watched]
    if "beside" in given.batch.schema.names:
        size, declared = given.batch.num_rows, dict(given.beside)
        for name, rows, texts in apart.beside(given.batch):
            if name in COLUMNS:  # what could not be kept in it: there it is missing
                continue
            known = declared.pop(name, None)
            arrays.append(_spread(size, rows, texts) if known else pa.nulls(size))
            called.append(name if known else f"column {_hashed(name, given.secret)}")
            if len(called) > WIDEST + len(COLUMNS):
                raise CannotTell(f"more than {WIDEST:,} columns that nobody declared", "facts")
        # One that may be missing from a row may be missing from all: its share of gaps tells, not its type.
        arrays += [pa.nulls(size, pa.string())] * len(declared)
        called += declared
    return pa.RecordBatch.from_arrays(arrays, names=called)


def _spread(size: int, rows: NDArray[np.int64], texts: pa.StringArray) -> pa.StringArray:
    """Texts of some rows as those of all: null where there is none. Of a name that a row has twice the last counts."""
    at = np.full(size, -1, np.int64)
    at[rows] = np.arange(len(rows))
    return texts.take(pa.array(at, mask=at < 0))


def _hashed(name: str, secret: Hidden) -> str:
    return hashlib.blake2b(name.encode(), key=secret.show()[:64], person=b"drift name", digest_size=6).hexdigest()
