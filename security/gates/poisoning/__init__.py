"""Coordinated accounts in the pairs that are trained on: profiles made up to push an item, or to bury others.

Three rules, each by what was seen of accounts, none by what they are said to be:

- a burst: of the accounts that came within three days so many took one item at once that by the other accounts it is
  no chance, and so much of what they took (after Zhang, Chakrabarti, Ford and Makedon 2006, KDD; Bhaumik, Williams,
  Mobasher and Burke 2006, ITWP). What accounts from before take as much in the same days is a fashion, and no finding;
  who is first seen in the first days is not new;
- brief accounts: of those that took one item so many were there for less than three days that by the share of brief
  accounts in all it is no chance, whenever they came;
- copies: accounts with the very same items, beyond what popularity explains, which hardly anybody has with others
  besides.

Chance is exact (hypergeometric), over all items and windows that were tried. Of many accounts a difference without
meaning is beyond chance too: so odds must be passed as well.

Mobasher, Burke, Bhaumik and Williams (2007, ACM TOIT) list attacks, and statistics of profiles that give them away
(RDMA and its kin, mean popularity, degree of similarity). None is used here: whoever has a rare taste has such a
profile, and so have all who share it. On the clean sample lake 42 of the 50 accounts with the least popular items have
one item in common, which is no chance either.

**That nothing is found does not say that rows are clean.** Accounts that come slowly, stay, and have items of their own
are found by none of these rules. So each look makes attacks up on the very rows that it is given, and the facts say
which it would have found and which not (`report.rows`, known by simulation). Where a burst of the policy's budget would
not be found, the rows are too few to tell.
"""

from security.gates.poisoning.facts import BUDGETS, DAYS, PROBE, Brief, Burst, Copies, Facts, Trial
from security.gates.poisoning.gate import DataPoisoning
from security.gates.poisoning.limits import Limits
from security.gates.poisoning.report import Row, reached, rows
from security.gates.poisoning.rules import RULES
from security.gates.poisoning.tally import COLUMNS, Tally, material

__all__ = [
    "BUDGETS",
    "COLUMNS",
    "DAYS",
    "PROBE",
    "RULES",
    "Brief",
    "Burst",
    "Copies",
    "DataPoisoning",
    "Facts",
    "Limits",
    "Row",
    "Tally",
    "Trial",
    "material",
    "reached",
    "rows",
]
