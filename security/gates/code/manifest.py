"""The signed list of the files of a folder that is no checkout: an image's, or a tarball's.

An in-toto statement in its envelope: each file's path and SHA-256 is a subject, and the predicate says of which commit
they are and which of them run, or are links. The list names every file but itself.
"""

from collections.abc import Iterable
from typing import Any

from security.errors import KeyBroken, LogBroken
from security.gates.code.facts import FILE, LINK, MANIFEST, RUNS, Listed
from security.keys import PublicKey, Signer, seal, unseal

KIND = "urn:sluice:code-manifest/v1"


def sealed(files: Iterable[Listed], commit: str, signer: Signer) -> bytes:
    """The list of these files, signed."""
    listed = {each.path: each for each in files}
    return seal(KIND, {path: each.id for path, each in listed.items()}, predicate(listed.values(), commit), signer)


def predicate(files: Iterable[Listed], commit: str) -> dict[str, Any]:
    """What the list says besides paths and hashes."""
    modes = {each.path: each.mode for each in files}
    run, links = (sorted(path for path in modes if modes[path] == mode) for mode in (RUNS, LINK))
    return {"commit": commit, "run": run, "link": links}


def opened(envelope: bytes, keys: Iterable[bytes]) -> tuple[str, str, list[Listed]]:
    """Id of the key that signed it, commit and files. `KeyBroken` where it is signed by none of these keys."""
    why = "no key was given"
    for pem in keys:
        try:
            key = PublicKey(pem)
            return key.id, *read(unseal(envelope, key))
        except (KeyBroken, LogBroken) as error:
            why = str(error)
    raise KeyBroken(f"a list of files that cannot be believed: {why}")


def read(statement: dict[str, Any]) -> tuple[str, list[Listed]]:
    """Commit and files of a statement that was verified."""
    if statement.get("predicateType") != KIND:
        raise KeyBroken(f"a statement of another kind than {KIND}")
    try:
        told = statement["predicate"]
        run, links = set(told["run"]), set(told["link"])
        files = [
            Listed(name, RUNS if name in run else LINK if name in links else FILE, str(each["digest"]["sha256"]))
            for each in statement["subject"]
            for name in [str(each["name"])]
        ]
        commit = str(told["commit"])
    except (KeyError, TypeError):
        raise KeyBroken("a list of files in another form") from None
    paths = [each.path for each in files]
    if not paths or len({*paths}) != len(paths) or run & links or (run | links) - {*paths} or MANIFEST in paths:
        raise KeyBroken("a list of files that is empty, or names one twice, or itself")
    return commit, files
