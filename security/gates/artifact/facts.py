"""What a look at a model's folder shows: what each file is, what does not belong in it, and what it is made of."""

import hashlib
import re
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, ValidationInfo, field_validator, model_validator

from security.engines.finite import WIDTHS
from security.gates.artifact.known import NEVER
from security.material import Material
from security.verdict import Frozen, Subject

SIGNATURE = "model.sig"
"""The signature's name. It may lie in any model: another gate looks at what it says."""
PATH = re.compile(r"(?!.*\.\.)[\w][\w.+=,@-]*(/[\w][\w.+=,@-]*)*", re.ASCII)
Format = Literal["safetensors", "json", "parquet", "keras", "savedmodel"]
MOST = 10_000
"""Entries of a folder that are looked at, whatever a policy says."""
LAYER = r"keras\.(layers|initializers|regularizers|constraints|optimizers)\.[A-Z]\w*"
DIMENSION = r"^[a-z][a-z_]*(\+[1-9])?$"
Size = Annotated[int, Field(ge=1, le=64 << 30)]


class Item(NamedTuple):
    """One entry of the folder: its path, what it is, how many bytes it has, and these, or none of them where it is no
    file or has more than the policy takes."""

    name: str
    kind: Literal["file", "link", "other"]
    size: int
    data: bytes | None


def spot(source: str) -> str:
    """What facts call a key or column of a manifest (`file#key`) by."""
    return hashlib.sha256(source.encode()).hexdigest()[:32]


class File(Frozen):
    """An entry: `format` by its name, empty where no format has such a name; `read`: whether its bytes were looked at;
    `proper`: whether a model's file may have such a name."""

    name: str
    kind: Literal["file", "link", "other"]
    format: str
    size: int
    read: bool
    proper: bool


class Fault(Frozen):
    """What ended the reading of a file, or a part of it that does not belong there."""

    file: str
    what: Literal["form", "size", "outside", "name", "twice", "code", "key", "part"]
    place: str
    found: str
    allowed: str


class Weight(Frozen):
    """A tensor: `odd` of its numbers are not finite. Of a row of whole numbers: the first, the last, the least and the
    greatest, and whether each is no less than the one before."""

    file: str
    name: str
    kind: str
    shape: tuple[int, ...]
    odd: int
    span: tuple[int, int, int, int] | None = None
    rises: bool = False


class Made(Frozen):
    """What an artefact is made of: a class of Keras, or an operation of a graph, how often, and where: of an operation
    `graph`, `function`, `attribute` or `list`. `saver`: it is the saver's own."""

    file: str
    kind: Literal["layer", "op"]
    name: str
    where: str
    saver: bool
    times: int


class Count(Frozen):
    """A number that a manifest tells, or how long a list or column of it is, and whether each is there once."""

    count: int
    once: bool


class Facts(Frozen):
    """Everything that a look shows. `counts`: by `spot`, since a key may be somebody's id."""

    files: tuple[File, ...]
    faults: tuple[Fault, ...]
    weights: tuple[Weight, ...]
    made: tuple[Made, ...]
    counts: dict[str, Count]


class Wanted(Frozen):
    """What a tensor must be: its shape, in numbers or names of dimensions (`users`, `users+1`), and its type."""

    shape: tuple[Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=DIMENSION)], ...]
    kinds: tuple[str, ...] = Field(default=("F32",), min_length=1)

    @field_validator("kinds")
    @classmethod
    def _known(cls, told: tuple[str, ...]) -> tuple[str, ...]:
        if odd := sorted({*told} - WIDTHS.keys()):
            raise ValueError(f"{odd[0]} is no type of number; there are {', '.join(sorted(WIDTHS))}")
        return told


class Sparse(Frozen):
    """Two tensors that are a matrix by rows (CSR): where each row begins, and its columns; of how many columns."""

    pointers: str
    indices: str
    columns: str = Field(pattern=DIMENSION)


class Limits(Frozen):
    """What a policy allows.

    `formats`: what the files may be; Keras and SavedModel only where they are named here. `files`: the names that
    there must be, all of them and no other, `model.sig` aside; any where it is not given. `tensors`: what the tensors
    of safetensors must be, all of them and no other; of Keras and SavedModel the shapes are their own. `counts`:
    dimension -> what tells it, a key of JSON or a column of Parquet (`ids.json#users`). `layers`, `ops`: names that
    are allowed besides. `largest`, `total`, `most`: bytes of a file, bytes of all, number of files.
    """

    formats: tuple[Format, ...] = Field(default=("safetensors", "json", "parquet"), min_length=1)
    files: tuple[str, ...] | None = Field(default=None, min_length=1)
    tensors: dict[str, Wanted] | None = Field(default=None, min_length=1)
    counts: dict[str, Annotated[str, Field(pattern=r"^[^#]+#[\w.]+$")]] = {}
    sparse: tuple[Sparse, ...] = ()
    layers: tuple[str, ...] = ()
    ops: tuple[str, ...] = ()
    largest: Size = 1 << 30
    total: Size = 2 << 30
    most: Annotated[int, Field(ge=1, le=MOST)] = 64

    @model_validator(mode="after")
    def _used(self) -> "Limits":
        named = self.tensors or {}
        if missing := sorted({each for pair in self.sparse for each in (pair.pointers, pair.indices)} - named.keys()):
            raise ValueError(f"{missing[0]} is to be half of a matrix, and is no tensor that is named")
        said = {str(each).partition("+")[0] for wanted in named.values() for each in wanted.shape}
        if unused := sorted({*self.counts, *(pair.columns.partition("+")[0] for pair in self.sparse)} - said):
            raise ValueError(f"{unused[0]} is no dimension of a tensor that is named")
        return self

    @field_validator("layers", "ops")
    @classmethod
    def _harmless(cls, told: tuple[str, ...], about: ValidationInfo) -> tuple[str, ...]:
        form = LAYER if about.field_name == "layers" else r"[A-Z]\w*"
        for each in told:
            if NEVER.fullmatch(each) or not re.fullmatch(form, each):
                raise ValueError(f"{each} is of no class of numbers alone, or no such name: no policy can allow it")
        return told

    @field_validator("counts")
    @classmethod
    def _dimensions(cls, told: dict[str, str]) -> dict[str, str]:
        for each in told:
            if not re.fullmatch(r"[a-z][a-z_]*", each):
                raise ValueError(f"{each} is no name of a dimension")
        return told


def material(subject: Subject, source: Callable[[], Iterable[Item]], expected: int) -> Material[Item]:
    """A model's folder for one look. `expected`: how many files there are, as somebody else counted them."""
    return Material(subject, source, expected=expected, unit="files", sample=MOST)
