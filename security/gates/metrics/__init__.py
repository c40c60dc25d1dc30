"""Metric thresholds: precision@10, recall@10 and nDCG@10, computed again from the lists of each user.

Rows: `user` int32, `held` (held-out items) and `seen` (items of the training part) as lists of int32, and for each
system `top_<system>`, its ten items in order. The schema's metadata `items` is the size of the catalogue: items are 0
to items - 1. precision@10 = hits / 10; recall@10 = hits / held items; nDCG@10 has gains of 0 and 1 and the discount
1 / log2(rank + 1) (Järvelin and Kekäläinen 2002); all are means over the users with held-out items. A repeated item
hits once. The control `shuffled` is the model trained on shuffled data: where it does well too, the test is wrong.
"""

from security.gates.metrics.gate import Facts, Limits, MetricThresholds
from security.gates.metrics.tally import BATCH, OPTIONAL, REQUIRED, K, Tally, material, tally

__all__ = ["BATCH", "OPTIONAL", "REQUIRED", "Facts", "K", "Limits", "MetricThresholds", "Tally", "material", "tally"]
