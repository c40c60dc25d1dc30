"""Silence on stderr for what a library prints there before its own settings apply.

TensorFlow's native code logs a few lines while it is imported, whatever TF_CPP_MIN_LOG_LEVEL says. They go to the file
descriptor, past `sys.stderr`. Only lines that are known to be harmless are dropped; everything else is passed on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

HARMLESS: Final = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|I0000 [\d:. ]+\d+ cudart_stub\.cc:\d+\] Could not find cuda drivers on your machine, GPU will not be used\."
)


@contextmanager
def quiet() -> Iterator[None]:
    """A block whose harmless lines on descriptor 2 are dropped; the others appear when it ends, also by an error."""
    kept = os.dup(2)
    # No file on a disk: who trains may write to none.
    with os.fdopen(os.memfd_create("stderr"), "w+b") as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            caught.seek(0)
            for line in caught:
                if not HARMLESS.fullmatch(line.rstrip(b"\n")):
                    os.write(2, line)
