"""What a policy may say of coordinated accounts: how surprising they may be, and which attack must be in reach.

No limit can be set so high that nothing would be found: a known-bad copy is always beyond it.
"""

from pydantic import Field

from security.gates.poisoning.facts import FLOOR, ODDS, SHORT, Budget
from security.verdict import Frozen


class Limits(Frozen):
    """`chance`: log10 of the probability, over all items and windows that were tried (Bonferroni), from which on down
    something is no chance; at -5 nothing of MovieLens latest-small or of the sample lake stands out. `odds`: how many
    times the odds of other accounts must be passed too: of many accounts a small difference is beyond chance and means
    nothing. `least` accounts must have taken part.

    `copies`: accounts that may not have the very same items, of `items` or more. `budget`: percent of the accounts
    whose burst must be found where it is tried on the rows, in a share of `power` of the tries, or they are too few."""

    chance: float = Field(default=-5, ge=-12, le=-2)
    odds: float = Field(default=4, ge=ODDS, le=20)
    least: int = Field(default=FLOOR, ge=FLOOR, le=20)
    copies: int = Field(default=5, ge=3, le=20)
    items: int = Field(default=10, ge=SHORT, le=12)
    budget: Budget = 5
    power: float = Field(default=0.75, ge=0.5, le=1)
