"""Metric thresholds: each metric that a document names, computed again from the lists of each user, with its interval.

Rows: `user` int32, `held` (held-out items) and `seen` (items of the training part) as lists of int32, `held_from` and
`seen_until`, when the first of the one and the last of the other was taken (int64, any unit), and for each system
`top_<system>`, its k items in order. The schema's metadata are `items`, the size of the catalogue (items are 0 to
items - 1), `k`: every cut-off, ascending, as `5,10`; the last is the length of the lists; and `looks`, what the index
of runs has of looks at this test slice. What each metric is, `names` says. The control `shuffled` is the model trained
on shuffled data: where it does well too, the test is wrong.
"""

from security.bootstrap import Estimate
from security.gates.metrics.facts import Facts, Limits, Scores
from security.gates.metrics.gate import MetricThresholds
from security.gates.metrics.looks import Attempts, Look, Looks
from security.gates.metrics.names import METRICS, cuts, parsed
from security.gates.metrics.tally import BATCH, OPTIONAL, REQUIRED, Tally, material, tally

__all__ = [
    "BATCH",
    "METRICS",
    "OPTIONAL",
    "REQUIRED",
    "Attempts",
    "Estimate",
    "Facts",
    "Limits",
    "Look",
    "Looks",
    "MetricThresholds",
    "Scores",
    "Tally",
    "cuts",
    "material",
    "parsed",
    "tally",
]
