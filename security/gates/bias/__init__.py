"""Bias to the popular: which items are shown, beside how many there are, how wanted they are, and users' own tastes.

Rows, one a user: `user` int32, `held` (held-out items), `seen` (items of the training part) and `top_model` (k items,
best first) as lists of int32; other systems' `top_<system>` are told of beside it. Metadata of the schema: `items`
(size of the catalogue), `k` (every cut-off, ascending; the last is the length of lists), and what `material` adds:
`popularity`, uint32 of each item, how many users have it in `seen`, which a look counts again; and where items were
grouped by somebody `groupings` (JSON: grouping -> kind and names of groups) with `of_<grouping>`, uint8 of each item.

An item's exposure is what lists give it by 1 / log2(rank + 1), each list 1 in all (Singh and Joachims 2018, KDD). Of
each group of items: exposure in those of its share of the catalogue, and of its share of what users went on to take
(exposure proportional to relevance: the same, and Biega et al. 2018, SIGIR). One is even; each user counts the same.

Popularity lift is the mean popularity of lists over that of the same users' own items, less 1; both are means over
users of the mean over items (Abdollahpouri et al. 2020, RecSys: group average popularity, here of all users as one
group). It is no mean of each user's ratio, which one user with one rare item would decide.

Popularity makes a grouping without anybody's word, so it is labelled behavioural: `head` are the most popular items
that hold the first fifth of the interactions, `tail` the least popular that hold the last, `middle` the others
(Abdollahpouri et al. 2021, UMAP; the long tail after Celma 2010). Items that are equally popular are never parted, so a
group may hold more than its fifth; the facts say how much. The tail's exposure is the long-tail share.

Miscalibration is Steck's (2018, RecSys): the mean over users of KL(p || q'), with p the shares of groups among a user's
own items, q those of the list by the same discount, and q' = 0.99 q + 0.01 p. A list has few places, so it is never 0.

Popularity is that among the users of the evaluation. It and the groups that it makes are taken as they are: intervals
say how other users' lists might have been, not which items other users might have made popular. With few interactions
for an item some are rare by chance, and what is then called the tail is shown more than the tail that more users would
make: its exposure says too little of a bias. By relevance it does not, as what users went on to take has the same tail.

Gini is of exposures over the whole catalogue, items that nobody is shown with it (0 even, near 1 all to one). With few
places in lists for an item it is high whatever the lists are: `random` beside it shows how high.
"""

from security.gates.bias.facts import POPULARITY, Beside, Facts, Group, Grouped
from security.gates.bias.gate import BiasDetection
from security.gates.bias.items import UNKNOWN
from security.gates.bias.limits import Bounds, Limits
from security.gates.bias.report import Row, rows
from security.gates.bias.rules import RULES
from security.gates.bias.tally import BATCH, Declared, Tally, counted, material

__all__ = [
    "BATCH",
    "POPULARITY",
    "RULES",
    "UNKNOWN",
    "Beside",
    "BiasDetection",
    "Bounds",
    "Declared",
    "Facts",
    "Group",
    "Grouped",
    "Limits",
    "Row",
    "Tally",
    "counted",
    "material",
    "rows",
]
