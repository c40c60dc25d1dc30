"""Fairness: precision, recall, nDCG and exposure for each group and each intersection of two, beside the whole.

Rows, one a user: `user` int32, `held` (held-out items) and `top_model` (k items, best first) as lists of int32, and
`group_<name>` as strings, null where nobody knows the group. Metadata of the schema: `items` (size of the catalogue),
`k` (of several, ascending, the last: all of a list is what a user is shown), `groups` (JSON: grouping -> `declared` or
`behavioural`), `inputs` (JSON: names of what the model is fed), `floor` and `depth` (the limits' `k` and `depth`, which
`material` adds), and where somebody has measured it `proxy` (JSON: grouping -> `auc` or `balanced_accuracy`, and
`users`). Other columns are not looked at.

Each metric is a mean over the users with held-out items. precision@k = hits / k; recall@k = hits / held items; nDCG@k
has gains of 0 and 1 and the discount 1 / log2(rank + 1) (Järvelin and Kekäläinen 2002). Exposure is how far from the
most popular the items are that a user is shown, in bits: the mean over the list, with the same discount, of the items'
self-information log2((users + 1) / (users that hold it + 1)) (Zhou et al. 2010, PNAS 107; Vargas and Castells 2011,
RecSys: novelty with a discount by rank). A group with little of it is exposed to what all hold and to nothing else.
"""

from security.gates.fairness.facts import CROSS, METRICS, POOL, Facts, Group, Moments, Proxy, Seen
from security.gates.fairness.gate import FairnessMetrics
from security.gates.fairness.limits import Limits
from security.gates.fairness.rules import RULES
from security.gates.fairness.tally import BATCH, PREFIX, Tally, Users, counted, material, tally

__all__ = [
    "BATCH",
    "CROSS",
    "METRICS",
    "POOL",
    "PREFIX",
    "RULES",
    "FairnessMetrics",
    "Facts",
    "Group",
    "Limits",
    "Moments",
    "Proxy",
    "Seen",
    "Tally",
    "Users",
    "counted",
    "material",
    "tally",
]
