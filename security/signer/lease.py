"""How long models may be let serve at once: what is signed is good from now on, and for a day at most.

Whoever gets hold of a pipeline for an hour has no leases for later.
"""

import time
from typing import Any, Final

from security.errors import KeyBroken

KIND: Final = "urn:sluice:lease/v1"
LONGEST: Final = 86_400
"""Seconds that a lease may be good for."""
BEYOND: Final = 1e11
"""Seconds since the epoch that nobody's clock shows."""
LATE: Final = 60.0
"""Seconds by which clocks may differ."""


def bounded(told: Any) -> None:
    """`KeyBroken` unless what is said of a lease begins now and ends within `LONGEST`."""
    at, until, now = told["at"], told["until"], time.time()
    if not {type(at), type(until)} <= {int, float} or not all(0 <= each < BEYOND for each in (at, until)):
        raise KeyBroken(f"a lease from {type(at).__name__} to {type(until).__name__}; allowed: moments as numbers")
    if not abs(at - now) <= LATE:
        raise KeyBroken(f"a lease from {at - now:+.0f} s on; allowed: from now, within {LATE:.0f} s")
    if not 0 < until - at <= LONGEST:
        raise KeyBroken(f"a lease for {until - at:.0f} s; allowed: 1 to {LONGEST}")
