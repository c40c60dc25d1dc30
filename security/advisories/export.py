"""Where advisories come from: an export in OSV's layout, behind a URL or in a folder on disk.

Nothing of it is believed for where it came from: what is fetched is read as advisories and held against the list of the
same export.
"""

import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from security.advisories.mirror import CAUSE
from security.engines import web
from security.errors import CannotTell

if TYPE_CHECKING:
    import httpx

LARGEST = 4 << 30
"""Bytes of one file."""


class Export(Protocol):
    """A source of advisories."""

    name: str

    def fetch(self, file: str, into: IO[bytes]) -> None:
        """Write a file of the export; `CannotTell` where it cannot be had, at once where there is no network."""


class Folder:
    """An export on disk."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, "a folder on disk"

    def fetch(self, file: str, into: IO[bytes]) -> None:
        """Copy a file of the folder."""
        try:
            with (self.path / file).open("rb") as source:
                shutil.copyfileobj(source, into)
        except OSError as why:
            raise CannotTell(f"{file}: cannot be read from {self.path} ({type(why).__name__})", CAUSE) from None


class Web:
    """An export behind a URL."""

    def __init__(self, url: str) -> None:
        self.name = url.rstrip("/")
        told = web.split(self.name, "the URL", CAUSE)
        if told.username or told.query or told.fragment or not told.hostname:
            raise CannotTell("the URL has a user, a query or no host; allowed: https://HOST/FOLDER", CAUSE)
        self.client = web.client(told)

    def fetch(self, file: str, into: IO[bytes]) -> None:
        """Get a file, in pieces."""
        import httpx

        try:
            with self.client.stream("GET", f"{self.name}/{file}") as reply:
                if reply.status_code != 200:
                    raise CannotTell(f"{self.name}/{file}: answered {reply.status_code}; allowed: 200", CAUSE)
                into.writelines(web.pieces(reply, f"{self.name}/{file}", LARGEST, CAUSE))
                _whole(reply, file)
        except httpx.HTTPError as why:
            raise CannotTell(f"{self.name} cannot be reached ({type(why).__name__})", CAUSE) from None


def _whole(reply: "httpx.Response", file: str) -> None:
    told = reply.headers.get("content-length")
    if told is None and "chunked" not in reply.headers.get("transfer-encoding", ""):
        raise CannotTell(f"{file}: came without a length; allowed: one, so that a cut is seen", CAUSE)
    if told is not None and int(told) != reply.num_bytes_downloaded:
        raise CannotTell(f"{file}: cut after {reply.num_bytes_downloaded:,} of {told} bytes", CAUSE)


def source(told: str) -> Export:
    """The export that a URL or the path of a folder names."""
    return Web(told) if "://" in told else Folder(Path(told))
