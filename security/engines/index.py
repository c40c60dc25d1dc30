"""Asks a package index about pinned packages: is the name known, are the files there, were they withdrawn.

The index is one in the simple form (PEP 691, JSON), behind a URL that is given.
A name that it does not know (404) is an answer; anything else but a page of its own form is none, and then nobody can
tell. A file is known by its SHA-256, not by its name: a pinned package is withdrawn (PEP 592) where each file of it
that the lock would take is.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from security.engines import web
from security.errors import CannotTell
from security.verdict import Frozen

if TYPE_CHECKING:
    import httpx

CAUSE = "index"
"""Why nobody can tell: the index was not asked, or gave no answer."""
FORM = "application/vnd.pypi.simple.v1+json"
LARGEST = 64 << 20
"""Bytes of a page."""
AT_ONCE = 8
SECONDS = 120.0
"""How long the whole may take."""
PATIENCE = 3
"""After so many names without an answer no more are asked."""
KNOWN = "pip"
"""A name that every index has: one that does not know it is none."""


class Wanted(Frozen):
    """A pinned package: its canonical name, its version, and the SHA-256 of files that may be taken."""

    name: str
    version: str
    hashes: tuple[str, ...]


class Listing(Frozen):
    """What the index says of it. `strange`: how many of its hashes the index does not have; `yanked`: why those files
    were withdrawn, all of them; `status`: of the project (PEP 792), `active` where none is said."""

    name: str
    version: str
    known: bool
    strange: int = 0
    yanked: str | None = None
    status: str = "active"


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore")

    hashes: dict[str, str]
    yanked: bool | str = False


class _Status(BaseModel):
    status: str = "active"


class _Page(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    name: str
    files: list[_File]
    state: _Status = Field(default=_Status(), alias="project-status")


def shown(url: str) -> str:
    """A URL without the name and password in it."""
    return web.bare(web.split(url, "the URL of the index", CAUSE))


def ask(url: str, wanted: Sequence[Wanted]) -> list[Listing | str]:
    """The index's word on each, in their order, or why it has none on that one: an answer that fails takes nothing from
    those that were given. `CannotTell` where the URL is none, or what is behind it no index of packages."""
    parts = web.split(url, "the URL of the index", CAUSE)
    ends, failed = time.monotonic() + SECONDS, list[str]()

    def one(each: Wanted) -> Listing | str:
        if len(failed) >= PATIENCE:
            return failed[0]
        try:
            return _listing(client, base, each, ends)
        except CannotTell as why:
            failed.append(str(why))
            return str(why)

    base = web.bare(parts).rstrip("/")
    with web.client(parts, Accept=FORM) as client, ThreadPoolExecutor(AT_ONCE) as pool:
        if _page(client, f"{base}/{KNOWN}/", KNOWN, ends) is None:
            raise CannotTell(f"the index does not know {KNOWN}: what is behind its URL is none", CAUSE)
        return list(pool.map(one, wanted))


def _listing(client: "httpx.Client", url: str, wanted: Wanted, ends: float) -> Listing:
    page = _page(client, f"{url}/{wanted.name}/", wanted.name, ends)
    if page is None:
        return Listing(name=wanted.name, version=wanted.version, known=False, strange=len(wanted.hashes))
    if canonicalize_name(page.name) != wanted.name:
        raise CannotTell(f"the index: asked for {wanted.name}, it answered about {page.name}", CAUSE)
    yanked = {each.hashes.get("sha256", ""): each.yanked for each in page.files}
    mine = [yanked[sha] for sha in wanted.hashes if sha in yanked]
    reasons = [each for each in mine if each is not False]
    return Listing(
        name=wanted.name,
        version=wanted.version,
        known=True,
        strange=len(wanted.hashes) - len(mine),
        yanked=(next((each for each in reasons if isinstance(each, str) and each), "no reason given"))
        if mine and len(reasons) == len(mine)
        else None,
        status=page.state.status,
    )


def _page(client: "httpx.Client", url: str, name: str, ends: float) -> _Page | None:
    import httpx

    try:
        if time.monotonic() > ends:
            raise CannotTell(f"the index, {name}: not asked within {SECONDS:g} s", CAUSE)
        with client.stream("GET", url) as reply:
            if reply.status_code == 404:
                return None
            form = reply.headers.get("content-type", "").partition(";")[0].strip()
            if reply.status_code != 200 or form != FORM:
                raise CannotTell(f"the index, {name}: answered {reply.status_code} {form}; allowed: {FORM}", CAUSE)
            return _Page.model_validate_json(b"".join(web.pieces(reply, f"the index, {name}", LARGEST, CAUSE, ends)))
    except httpx.HTTPError as why:
        raise CannotTell(f"the index cannot be asked about {name} ({type(why).__name__})", CAUSE) from None
    except ValidationError as why:
        raise CannotTell(f"the index, {name}: {why.errors()[0]['type']}; allowed: a page of PEP 691", CAUSE) from None
