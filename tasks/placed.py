"""What lies where a release was placed: its objects, and what is said of it."""

import json
from pathlib import Path

from security.errors import StoreError
from security.verdict import canonical

OBJECTS, TOLD = "objects", "placed.json"


def objects(folder: Path) -> Path:
    """The folder of its objects."""
    return folder / OBJECTS


def tell(folder: Path, **said: str) -> None:
    """Say it of a release."""
    (folder / TOLD).write_bytes(canonical(said))


def told(folder: Path) -> dict[str, str]:
    """What is said of a release; `StoreError` where it cannot be read."""
    try:
        said = json.loads((folder / TOLD).read_bytes())
        return {str(key): str(value) for key, value in said.items()}
    except (OSError, ValueError, AttributeError) as why:
        raise StoreError(f"{TOLD} of what was placed cannot be read ({type(why).__name__})") from None
