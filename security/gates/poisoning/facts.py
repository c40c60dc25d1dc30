"""What is kept of the pairs that are trained on: counts of accounts, and of items that stand out.

No account is in it, and no item by its id: items are places in the vocabulary, counted from 0.
"""

import math
from collections import Counter
from typing import Literal, NamedTuple, Self, get_args

from pydantic import Field, model_validator

from security.gates.poisoning.chance import odds, rare
from security.verdict import Frozen

DAYS = 3
"""An account is new for so many days, and so many days of first rows are one window."""
WARM, TENTH = 7, 0.1
"""Who is first seen in the first days may have been there before, and few are about that others can be held against: of
so many days, and of this share of the accounts, nobody is new."""
FLOOR = 5
"""Accounts of which anything is told: fewer are chance, or friends."""
SAME, SHORT = 3, 5
"""Accounts with the same items, and items that they have, of which it is told."""
CHANCE, ODDS = -2.0, 2.0
"""What no policy looks at: log10 of the chance, over all that was tried, above; odds below."""
ALIKE = {False: -2.0, True: -5.0}
"""log10 of the chance from which on down new accounts take an item more than accounts from before; and where most items
that stand out are fashions."""
NUMBER, STARTS = 10, 4
"""Accounts of the attack that is a number, and no share; times at the most that an attack is tried."""
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


class Fashions(NamedTuple):
    """So many `of` the items that stand out are fashions."""

    fashions: int
    of: int

    @property
    def common(self) -> bool:
        """Whether several are, and most."""
        return self.fashions >= FLOOR and 2 * self.fashions > self.of


class Burst(Frozen):
    """An item and a window: of `new` accounts `took` took it within their first `DAYS` days; of the `rest`, all others
    that were once new, within theirs, `rest_took`. `pairs`, `rest_pairs`: all that they took in those days. Of
    `seasoned` accounts, which were there before, did something in these days and had not taken it until then,
    `seasoned_took` took it then, of `seasoned_pairs` pairs in all; or in days near by, where that is more of them.
    `since` is the window's first day.

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
    seasoned_pairs: int = Count

    def chance(self, tests: int) -> float:
        """log10 of the probability that it is chance, over so many tests: of accounts or of what they took,
        whichever is the likelier."""
        return self._rare(self.rest, self.rest_took, self.rest_pairs) + math.log10(max(tests, 1))

    @property
    def odds(self) -> float:
        """Those of the new accounts over those of the rest, or of what they took, whichever are the lower."""
        return self._odds(self.rest, self.rest_took, self.rest_pairs)

    def fashion(self, told: "Fashions", least: float) -> bool:
        """Whether accounts from before take it in these days too, and new ones no more than by `least` times the
        odds, or by chance (`ALIKE`): new ones then do what all do. Over as many tests as items stand out at all. Where
        most of these are fashions, it is also chance how few of those from before took one."""
        if self.seasoned_took < FLOOR and not told.common:
            return False
        beside = self.seasoned, self.seasoned_took, self.seasoned_pairs
        return self._odds(*beside) < least or self._rare(*beside) + math.log10(max(told.of, 1)) > ALIKE[told.common]

    def _rare(self, others: int, took: int, pairs: int) -> float:
        marked = self.took + took
        of_pairs = rare(self.pairs + pairs, marked, self.pairs, self.took)
        return max(rare(self.new + others, marked, self.new, self.took), of_pairs)

    def _odds(self, others: int, took: int, pairs: int) -> float:
        return float(min(odds(self.new, self.took, others, took), odds(self.pairs, self.took, pairs, took)))


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
    """So many accounts that have the very same `items` items, of the `like` that have as many. `beside` accounts have
    all of these and others. `share`: log10 of the chance, at the most, that an account with as many items has just
    these, were each taken by its popularity alone (the others' choice, conditional on its size)."""

    accounts: int = Count
    items: int = Count
    like: int = Count
    beside: int = Count
    share: float = Field(le=0, allow_inf_nan=False)

    def chance(self, tests: int) -> float:
        """log10 of the probability that so many have them by chance, at the most, over so many tests."""
        ways = math.lgamma(self.like + 1) - math.lgamma(self.accounts + 1) - math.lgamma(self.like - self.accounts + 1)
        return min(0.0, ways / math.log(10) + self.accounts * self.share + math.log10(max(tests, 1)))


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
    """`pairs` of `accounts` and `items` over so many `days`; `windows` with enough new accounts to be tested. `early`
    accounts were first seen in the first days (`WARM`), and count nowhere as new.

    `support`: how many accounts took an item, by the median. `bursts`, `briefs`, `copies`: what stands out, most
    surprising first; `more`: how many beyond those listed. Of the items
    that too many new accounts took, `standing`, `fashions` were taken by accounts from before as well.
    """

    pairs: int = Count
    accounts: int = Count
    early: int = Count
    items: int = Count
    days: int = Count
    windows: int = Count
    support: int = Count
    bursts: tuple[Burst, ...]
    briefs: tuple[Brief, ...]
    copies: tuple[Copies, ...]
    more: dict[Literal["bursts", "briefs", "copies"], int]
    standing: int = Count
    fashions: int = Count
    trials: tuple[Trial, ...]

    @model_validator(mode="after")
    def _together(self) -> Self:
        """ValueError where the counts cannot be of one look."""
        if not max(self.accounts, 1) <= self.pairs <= self.accounts * self.items or self.early > self.accounts:
            raise ValueError(f"{self.pairs:,} pairs of {self.accounts:,} accounts and {self.items:,} items are none")
        if self.windows > self.days + DAYS - 1:
            raise ValueError(f"{self.windows:,} windows of {self.days:,} days; allowed: {self.days + DAYS - 1:,}")
        if set(self.more) != {"bursts", "briefs", "copies"} or min(self.more.values()) < 0:
            raise ValueError("more than are listed is said of bursts, briefs and copies, each")
        if self.fashions + len({each.item for each in self.bursts}) > self.standing:
            raise ValueError(f"{self.standing:,} items stand out, fewer than are listed")
        for each in self.bursts:
            if each.new + each.rest != self.accounts - self.early:
                raise ValueError(f"a burst of {each.new + each.rest:,} accounts that were new, not all of these")
        if max([each.item for each in self.bursts] + [each.item for each in self.briefs], default=0) >= self.items:
            raise ValueError(f"an item that is none of the {self.items:,}")
        if len({(each.whole, each.short) for each in self.briefs}) > 1 or any(
            each.whole > self.accounts for each in self.briefs
        ):
            raise ValueError("brief accounts of other accounts than these")
        self._tried()
        return self

    def _tried(self) -> None:
        tries = Counter((each.attack, each.percent, each.accounts) for each in self.trials)
        sizes = [(None, NUMBER), *((of, -(-of * self.accounts // 100)) for of in BUDGETS)]
        wanted = {(attack, *of) for attack in get_args(Attack) for of in sizes}
        if set(tries) != wanted or max(tries.values()) > STARTS:
            raise ValueError(f"other tries than one to {STARTS} of each attack at each budget of these accounts")
        for each in self.trials:
            odd = any(of and of.item >= self.items for of in (each.burst, each.brief))
            if odd or each.windows > self.days + DAYS - 1:
                raise ValueError("a try on windows or an item that are none")
            if each.burst and each.burst.new + each.burst.rest > self.accounts - self.early + each.accounts:
                raise ValueError("a try with other accounts than these and its own")

    @property
    def seen(self) -> Fashions:
        """How many of the items that stand out are fashions."""
        return Fashions(self.fashions, self.standing)
