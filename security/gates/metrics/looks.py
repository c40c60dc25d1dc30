"""Looks at a test slice: what the index of runs has of them, as the runner hands it out with the evaluation's rows.

Who trains again until a threshold is met finds a seed that suits the test, and no better model. So looks are counted,
and bounded; that of the evaluation at hand is the last.
"""

from typing import Annotated, Any, Final

from pydantic import Field, ValidationError, model_validator

from security.errors import CannotTell
from security.verdict import Frozen

KEY: Final = b"looks"
"""In the schema's metadata, where the runner puts them: whatever a task has put there is gone."""
MOST: Final = 1000
"""The largest bound."""
SHOWN: Final = 8
"""The newest looks that facts name one by one."""
Sha = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Look(Frozen):
    """A run that was about to measure, when (seconds since the epoch), and on what: the digest of the test slice."""

    run: str = Field(min_length=1)
    at: float
    data: Sha


class Looks(Frozen):
    """Those at the slice `data`, and those at another slice of the same partition, the oldest first."""

    data: Sha
    looks: tuple[Look, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _last(self) -> "Looks":
        if self.looks[-1].data != self.data:
            raise ValueError("the last look is at another slice")
        return self


class Attempts(Frozen):
    """How many looks there are at the slice `data`, this one among them, and the `newest`; and how many `beside` it, at
    other slices of the same partition."""

    data: Sha
    count: int = Field(ge=1)
    newest: tuple[Look, ...] = Field(min_length=1, max_length=SHOWN)
    beside: int = Field(ge=0)


def read(metadata: Any) -> Looks:
    """What a schema's metadata say, or `CannotTell`."""
    try:
        return Looks.model_validate_json((metadata or {})[KEY])
    except (KeyError, ValidationError):
        raise CannotTell("nothing says how often this test slice was looked at") from None


def counted(told: Looks) -> Attempts:
    """The attempts that these looks are."""
    here = [each for each in told.looks if each.data == told.data]
    return Attempts(data=told.data, count=len(here), newest=tuple(here[-SHOWN:]), beside=len(told.looks) - len(here))
