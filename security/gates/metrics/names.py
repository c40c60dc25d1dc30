"""What a document may ask for: a metric and its cut-off, as `precision@10`.

All are over the whole catalogue with the items of the training part left out, and of gains 0 and 1. Of the k items of
a list, those that the user has among the held-out ones are hits; an item that is repeated hits once.

- precision@k: hits / k. recall@k: hits / held-out items. hit@k: 1 where there is a hit.
- ndcg@k: the gain of the hits, discounted by 1 / log2(rank + 1), as a share of the best possible (Jarvelin and
  Kekalainen 2002). map@k: the precision at each hit, summed, / held-out items (as trec_eval's `map_cut`).
- lift@k, a threshold only: precision@k as a multiple of that of popularity.
- coverage@k: the share of the catalogue that is in any list. novelty@k: how rare what is listed is, as the mean of
  -log2 of the share of users who have the item in their training part, one user at least (Zhou et al. 2010).

The first five are means over users, and have intervals; coverage and novelty are of all lists together, have none, and
are no thresholds.
"""

import re
from typing import Annotated, Final

from pydantic import Field

AVERAGED: Final = ("precision", "recall", "ndcg", "map", "hit")
OVERALL: Final = ("coverage", "novelty")
METRICS: Final = (*AVERAGED, *OVERALL)
LIFT: Final = "lift"
THRESHOLDS: Final = (*AVERAGED, LIFT)
MOST: Final = 100
"""The largest k."""
_CUT = r"@([1-9][0-9]?|100)"
Metric = Annotated[str, Field(pattern=rf"^({'|'.join(METRICS)}){_CUT}$")]
Threshold = Annotated[str, Field(pattern=rf"^({'|'.join(THRESHOLDS)}){_CUT}$")]
_NAME = re.compile(rf"({'|'.join((*METRICS, LIFT))}){_CUT}")


def parsed(name: str) -> tuple[str, int]:
    """The metric and its k; `ValueError` for what is none."""
    if not (found := _NAME.fullmatch(name)):
        raise ValueError(f"{name!r}: allowed: {', '.join((*METRICS, LIFT))}, each with @k, k from 1 to {MOST}")
    return found[1], int(found[2])


def cuts(*names: str) -> tuple[int, ...]:
    """Every k of these names, ascending, each once."""
    return tuple(sorted({parsed(name)[1] for name in names}))
