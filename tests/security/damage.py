"""Files as a reader finds them, and the error for one that it cannot read."""

from pathlib import Path
from typing import Any

import pytest

from security.errors import BadInput
from security.rows import read

SECRET = "jane.doe-4711"
"""What no error may tell."""


def table(path: Path) -> list[dict[str, Any]]:
    """All rows of one file, without what is beside the declared columns."""
    batches = (batch.drop_columns(["beside"]) for batch in read([path], [path.name]))
    return [row for batch in batches for row in batch.to_pylist()]


def refusal(folder: Path, body: bytes, name: str) -> BadInput:
    """The error for a file with these bytes, which must not tell the secret."""
    path = folder / name
    path.write_bytes(body)
    with pytest.raises(BadInput) as caught:
        table(path)
    assert SECRET not in str(caught.value)
    assert caught.value.file == name
    assert caught.value.allowed
    # Nothing of the row is left where a traceback would show it.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def other(line: bytes) -> bytes:
    """A signed line with one letter of its payload changed, whatever it says and whatever its signature is."""
    at = line.index(b'"payload":"') + 100
    return line[:at] + (b"B" if line[at : at + 1] != b"B" else b"C") + line[at + 1 :]
