"""What is kept of the pairs that are trained on: counts of accounts, and of items that stand out.

No account is in it, and no item by its id: items are places in the vocabulary, counted from 0.
"""

import math
from typing import Literal

from pydantic import Field

from security.gates.poisoning.chance import odds, rare
from security.verdict import Frozen

DAYS = 3
"""An account is new for so many days, and so many days of first rows are one window."""
FLOOR = 5
"""Accounts of which anything is told: fewer are chance, or friends."""
SAME, SHORT = 3, 5
"""Accounts with the same items, and items that they have, of which it is told."""
CHANCE, ODDS = -2.0, 2.0
"""What no policy looks at: log10 of the chance, over all that was tried, above; odds below."""
LISTED = 100
"""Items, and sets of items, that are listed at the most."""
Budget = Literal[1, 3, 5, 10]
BUDGETS: tuple[Budget, ...] = (1, 3, 5, 10)
"""Percent of the accounts that attacks are tried with."""
Attack = Literal[
    "burst, rare item",
    "burst that stays, rare item",
    "burst, popular item",
    "spread, rare item",
    "spread that stays, rare item",
    "copies that stay",
]
"""What is made up. `burst`: accounts new within two days; `spread`: over all days; they take the item at once and are
gone within `DAYS` days, or stay for longer. `copies` are spread, and all have the same items."""
PROBE: Attack = "burst that stays, rare item"
"""The attack that must be found at the policy's budget, or the rows are too few to tell."""
Count = Field(ge=0, strict=True)


class Burst(Frozen):
    """An item and a window: of `new` accounts `took` took it within their first `DAYS` days; of the `rest`, all others
    within theirs, `rest_took`. `pairs`, `rest_pairs`: all that they took in those days. Of `seasoned` accounts, which
    were there before and did something in these days, `seasoned_took` took it then. `since` is the window's first day.

    Both must be beyond chance: so many of the accounts, and so many of what they took. Where busy accounts came at one
    time and idle ones at another, every item was taken by more of the busy ones, and by no more of what they took."""

    item: int = Count
    since: str
    new: int = Count
    took: int = Count
    rest: int = Count
    rest_took: int = Count
    pairs: int = Count
    rest_pairs: int = Count
    seasoned: int = Count
    seasoned_took: int = Count

    def chance(self, tests: int) -> float:
        """log10 of the probability that it is chance, over so many tests: of accounts or of what they took,
        whichever is the likelier."""
        marked = self.took + self.rest_took
        of_accounts = rare(self.new + self.rest, marked, self.new, self.took)
        of_pairs = rare(self.pairs + self.rest_pairs, marked, self.pairs, self.took)
        return max(of_accounts, of_pairs) + math.log10(max(tests, 1))

    @property
    def odds(self) -> float:
        """Those of the new accounts over those of the rest, or of what they took, whichever are the lower."""
        of_accounts = odds(self.new, self.took, self.rest, self.rest_took)
        return float(min(of_accounts, odds(self.pairs, self.took, self.rest_pairs, self.rest_took)))

    @property
    def fashion(self) -> bool:
        """Whether accounts from before take it as much in these days: new ones then do what all do."""
        if self.seasoned_took < FLOOR:
            return False
        whole, marked = self.new + self.seasoned, self.took + self.seasoned_took
        return rare(whole, marked, self.new, self.took) > -2


class Brief(Frozen):
    """An item: of `accounts` that took it `brief` were there for less than `DAYS` days. In all there are `whole`, and
    `short` brief ones. Who came in the last days, or left in the first, is counted nowhere: nobody knows how long such
    accounts stay."""

    item: int = Count
    accounts: int = Count
    brief: int = Count
    whole: int = Count
    short: int = Count

    def chance(self, tests: int) -> float:
        """log10 of the probability that it is chance, over so many tests."""
        return rare(self.whole, self.short, self.accounts, self.brief) + math.log10(max(tests, 1))

    @property
    def odds(self) -> float:
        """Those that an account of the item is brief, over those of the others."""
        others, short = self.whole - self.accounts, self.short - self.brief
        return float(odds(self.accounts, self.brief, others, short))


class Copies(Frozen):
    """So many accounts that have the very same `items` items."""

    accounts: int = Count
    items: int = Count


class Trial(Frozen):
    """What a look would have seen of the item, had so many accounts attacked it so: `percent` of all, or (none) some.
    `basis` is what this is known by. `windows` are those that would have been tested."""

    attack: Attack
    accounts: int = Count
    percent: Budget | None
    windows: int = Count
    burst: Burst | None
    brief: Brief | None
    copies: Copies | None
    basis: Literal["simulated"] = "simulated"


class Facts(Frozen):
    """`pairs` of `accounts` and `items` over so many `days`; `windows` with enough new accounts to be tested.

    `support`: how many accounts took an item, by the median. `bursts`, `briefs`, `copies`: what stands out, most
    surprising first; `more`: how many beyond those listed. `fashions`: bursts that accounts from before took part in.
    """

    pairs: int = Count
    accounts: int = Count
    items: int = Count
    days: int = Count
    windows: int = Count
    support: int = Count
    bursts: tuple[Burst, ...]
    briefs: tuple[Brief, ...]
    copies: tuple[Copies, ...]
    more: dict[Literal["bursts", "briefs", "copies"], int]
    fashions: int = Count
    trials: tuple[Trial, ...]
