"""What a look for personal data keeps: how often what was found where; never a value."""

import re
from typing import Literal, NamedTuple, Self

from pydantic import Field, model_validator

from security.personal.shape import Shape
from security.verdict import Frozen

SHOWN = 3
"""Places that are kept of what is found."""
NAMES = "names of columns"
"""The column whose cells are the names of all others: a key of JSON may be a value."""
SPLIT = " + "
"""What stands between the names of two columns whose cells were read as one text."""
PLAIN = re.compile("[A-Za-z_][A-Za-z0-9_.-]{0,63}")
"""What a column may be called by. One that has another name, or a name that nobody knew before, has a number: a key of
JSON may be a value, and nothing of a row is told."""

Form = Literal["plain", "disguised", "split"]
"""As it is written; only once the text is read as it would be aloud, unescaped or unfolded; over two columns."""
Place = tuple[int, int]
"""Index of a file in the facts' list, and row in it."""


class Hit(NamedTuple):
    """What was found in a column: in how many cells, the highest score, where first, and what it looks like, masked."""

    column: str
    entity: str
    form: Form
    shape: Shape
    cells: int
    score: float
    first: tuple[Place, ...]
    example: str


class Column(NamedTuple):
    """A column that was looked at: cells that hold something, and those of them whose bytes are of no known encoding.

    `declared`: whether it is one that the rows must have, and that stays. `like`: of entities with a check that some of
    many ids pass, how many cells hold something that is written like one.
    """

    name: str
    declared: bool
    cells: int
    opaque: int
    like: dict[str, int] = {}


class Facts(Frozen):
    """All that was found, in which columns it was looked for, and what cannot be found at all.

    A column whose name is in no contract and no policy has a number for a name.
    """

    rows: int = Field(ge=0)
    files: tuple[str, ...]
    columns: tuple[Column, ...]
    hits: tuple[Hit, ...]
    unseen: tuple[str, ...]
    """Entities that nothing here looks for: they need a model of a language, or another one."""
    model: str = Field(pattern="^([0-9a-f]{64})?$")
    """The digest of the model that was looked with; empty where there was none."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        cells = {each.name: each.cells for each in self.columns}
        for hit in self.hits:
            if not all(0 < hit.cells <= cells.get(name, 0) for name in self.parts(hit)):
                raise ValueError("findings in more cells than were looked at")
        return self

    @staticmethod
    def parts(hit: Hit) -> list[str]:
        """The columns in which a finding is: one, or two."""
        return hit.column.split(SPLIT) if hit.form == "split" else [hit.column]

    def share(self, hit: Hit) -> float:
        """Of the cells that a finding could be in, how many have it; of two columns, those of the one with fewer."""
        return hit.cells / min(each.cells for each in self.columns if each.name in self.parts(hit))

    def like(self, hit: Hit) -> float:
        """Of the cells of its column that are written like it, how many have a finding; 0 where those are fewer."""
        (column,) = (each for each in self.columns if each.name == hit.column)
        alike = column.like.get(hit.entity, 0)
        return hit.cells / alike if alike >= hit.cells else 0.0
