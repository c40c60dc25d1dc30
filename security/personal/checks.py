"""Check digits, a column at a time: whether a text that holds one run of digits can be a card's or a patient's number.

In such a text each expression of the two recognisers takes all of the run or nothing (there is no digit elsewhere to
go on with, and none of them ends inside of it), and what it takes is held against its check digit. So where that is
wrong they find nothing, whatever words stand beside it.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

ALONE = r"\A[\x00-/:-\x7f]*(?P<run>[0-9]{10,19})[\x00-/:-\x7f]*\z"
"""Of RE2: a text of ASCII with one run of digits, and that run."""
Digits = NDArray[np.int64]
"""Rows of digits, one number a row."""
Check = Callable[[Digits], NDArray[np.bool_]]


def luhn(digits: Digits) -> NDArray[np.bool_]:
    """Luhn's check, of ISO/IEC 7812-1: every second digit from the right but the last counts twice."""
    held = digits.copy()
    held[:, -2::-2] *= 2
    held[held > 9] -= 9
    return np.asarray(held.sum(axis=1) % 10 == 0)


def eleven(digits: Digits) -> NDArray[np.bool_]:
    """The check of NHS numbers: ten digits, weighed with 10 to 1, are a multiple of 11."""
    if digits.shape[1] != 10:
        return np.zeros(len(digits), bool)
    return np.asarray(digits @ np.arange(10, 0, -1) % 11 == 0)


def failed(texts: pa.StringArray, check: Check) -> NDArray[np.bool_]:
    """Which of these texts, none of them null, hold one run of digits that does not pass a check."""
    runs = pc.struct_field(pc.extract_regex(texts, ALONE), [0]).cast(pa.binary())
    sizes = pc.fill_null(pc.binary_length(runs), 0).to_numpy()
    wrong = np.zeros(len(texts), bool)
    for size in np.unique(sizes[sizes > 0]).tolist():
        at = np.flatnonzero(sizes == size)
        held = b"".join(runs.take(pa.array(at)).to_pylist())
        digits = np.frombuffer(held, np.uint8).reshape(-1, size).astype(np.int64) - ord("0")
        wrong[at] = ~check(digits)
    return wrong
