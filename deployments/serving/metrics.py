"""What the service tells of itself: counts in the text format of Prometheus (0.0.4), and a line for each answer in the
access log; never whom it answered, or what.

Labels are the names of routes and statuses, which are few: no caller can make more of them.
"""

from bisect import bisect_left
from collections import Counter

import msgspec

TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the buckets, in seconds."""


class Line(msgspec.Struct, frozen=True):
    """One line of the access log: seconds since the epoch, how long in microseconds, the id of the key that signed the
    token. No user, no query, no address."""

    time: float
    method: str
    route: str
    status: int
    micros: int
    key: str


class Metrics:
    """Counts of answers, by route and status, and how long they took, by route."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.took: dict[str, list[int]] = {}
        self.micros: Counter[str] = Counter()
        self.unlogged = 0
        """Lines of the access log that nobody took."""

    def observe(self, route: str, status: int, micros: int) -> None:
        """Count one answer, which took so many microseconds."""
        self.answers[route, status] += 1
        self.micros[route] += micros
        buckets = self.took.get(route)
        if buckets is None:
            buckets = self.took[route] = [0] * (len(BOUNDS) + 1)
        buckets[bisect_left(BOUNDS, micros / 1e6)] += 1

    def text(self, expires: float, now: float, left: float | None = None) -> bytes:
        """All counts, and the seconds that the release may still be used, and until whoever says so must be heard again
        (`left`; None where nobody is)."""
        lines = ["# HELP sluice_requests_total Answers.", "# TYPE sluice_requests_total counter"]
        for (route, status), count in sorted(self.answers.items()):
            lines.append(f'sluice_requests_total{{route="{route}",status="{status}"}} {count}')
        lines += ["# HELP sluice_request_seconds How long answers took.", "# TYPE sluice_request_seconds histogram"]
        for route, buckets in sorted(self.took.items()):
            below = 0
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), buckets, strict=True):
                below += count
                lines.append(f'sluice_request_seconds_bucket{{route="{route}",le="{bound}"}} {below}')
            lines.append(f'sluice_request_seconds_sum{{route="{route}"}} {self.micros[route] / 1e6:.6f}')
            lines.append(f'sluice_request_seconds_count{{route="{route}"}} {below}')
        lines += ["# HELP sluice_unlogged_total Lines of the access log that were lost."]
        lines += ["# TYPE sluice_unlogged_total counter", f"sluice_unlogged_total {self.unlogged}"]
        lines += ["# HELP sluice_release_seconds How long the release may still be used."]
        lines += ["# TYPE sluice_release_seconds gauge", f"sluice_release_seconds {max(expires - now, 0.0):.0f}"]
        if left is not None:
            lines += ["# HELP sluice_lease_seconds How long it answers if nobody says anew that it may."]
            lines += ["# TYPE sluice_lease_seconds gauge", f"sluice_lease_seconds {max(left, 0.0):.0f}"]
        return ("\n".join(lines) + "\n").encode()
