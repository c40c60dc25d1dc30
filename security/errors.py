"""What can go wrong while deciding.

SluiceError
├── PlanError        the plan cannot be made: an unknown name, an unbuilt gate, a task without a gate
├── Refused          a gate said no, or could not tell, and the plan enforces it
├── CannotTell       raised while looking: what was seen does not allow a judgement
│   └── BadInput     a file, and a row or key in it, that cannot be read as what it should be
├── LogBroken        the evidence does not verify
├── KeyBroken        a key is missing, of another kind, or found where it proves nothing
└── StoreError       an output that is not what its reference says, or a pointer that another run has moved
"""


class SluiceError(Exception):
    """Base of every error that Sluice raises on purpose. Its text is one sentence for an operator."""


class PlanError(SluiceError):
    """The plan cannot be made; nothing has run."""


class Refused(SluiceError):
    """A gate said no, or could not tell, and the plan enforces it. Ends the run."""


class CannotTell(SluiceError):
    """What was seen does not allow a judgement: the outcome is inconclusive, never pass.

    `cause` is one of the causes that the gate declares, so that a policy can name it.
    """

    def __init__(self, message: str, cause: str = "unreadable") -> None:
        super().__init__(message)
        self.cause = cause


class BadInput(CannotTell):
    """Input that cannot be read: where (file, row or key), what was found, what was allowed.

    `found` describes and never quotes: a value may be a person's.
    """

    def __init__(self, file: str, place: str, found: str, allowed: str) -> None:
        super().__init__(f"{file}, {place}: found {found}; allowed: {allowed}", cause="unreadable")
        self.file, self.place, self.found, self.allowed = file, place, found, allowed


class LogBroken(SluiceError):
    """A statement is missing, altered, out of order, untrue, or signed by a key that was not given."""


class KeyBroken(SluiceError):
    """A key that cannot be used, or must not be."""


class StoreError(SluiceError):
    """A stored thing is not what its reference says, or a pointer was moved by somebody else."""
