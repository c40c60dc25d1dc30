"""The newest partition alone: of many days one may be another, and move nothing of all of them."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from security.gate import judge, observe
from security.gates.drift import DriftLimits, Facts, Given, newest, shown
from security.material import Material
from security.verdict import Outcome, Verdict
from tests.security.gates import test_drift
from tests.security.gates.test_drift import GATE, REFERENCE, ROWS, broken, log, put, told

PARTITIONS = 3
LIMITS: dict[str, Any] = test_drift.LIMITS | {"partitions": PARTITIONS}
LAST = ROWS // PARTITIONS


def given(older: pa.RecordBatch, last: pa.RecordBatch) -> Material[Given]:
    """Rows of earlier partitions and of the newest of three, for a look."""
    return test_drift.given(older, against=REFERENCE, newest=last, partitions=PARTITIONS)


def good() -> Material[Given]:
    """Rows of the source that the baseline is of."""
    batch = log(2)
    return given(batch.slice(0, ROWS - LAST), batch.slice(ROWS - LAST))
