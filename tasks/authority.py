"""Opens a registry for the gate over what the producer may do in it: the one that a policy names, or the home's own.

The home's own is a folder. What is tried there is signed by the producer's own key, in memory, behind a copy of the
chains, and is kept nowhere. So that nothing but who signed it can be wrong with an attempt, the steps before it are
taken by whoever may: where that is the verifier, by a key made for this look, which counts in the copy alone. Where the
one who signs for the producer does not sign an attempt at all, another such key signs it as a producer's would.
"""

import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from security.engines.login import Place
from security.engines.trespass import trespass
from security.errors import KeyBroken
from security.fresh import Fresh
from security.gates.authorization import Limits
from security.keys import Signer
from security.log import head_of
from security.models import chain
from security.models.chain import Claim, Keys, Move, Revocation, Version
from security.models.manifest import REVOKED
from security.models.standing import stands
from security.verdict import Snapshot
from tasks import chains
from tasks.credentials import login
from tasks.home import Home

DAY = 86_400.0
R = TypeVar("R")


def opened(home: Home, limits: Mapping[str, Any], keys: Keys, signer: Signer, known: Sequence[str] = ()) -> Snapshot:
    """What a registry answers to the producer. `known`: digests of entries that were there when the plan was sealed."""
    asked = Limits.model_validate(dict(limits))
    if not asked.registry:
        return copied(home, asked.name, keys, signer, known)
    place = Place(asked.registry, asked.name, asked.scheme, asked.tokens)
    return trespass(place, login(asked.credentials, f"{asked.registry}/{asked.name}"), secrets.token_hex(16))


def copied(home: Home, name: str, keys: Keys, signer: Signer, known: Sequence[str]) -> Snapshot:
    """A copy of a model's chain and of the revocations, what is tried on it, and how both lie there afterwards."""
    mine, gone, now = chains.there(home, name), chains.there(home, REVOKED), round(time.time(), 3)
    version = stands(mine, gone, keys, name, now=now).newest + 1
    verifier, spare = Fresh(random.SystemRandom()), Fresh(random.SystemRandom())
    manifest, other = secrets.token_hex(32), secrets.token_hex(32)
    trial, unsigned = _Trial(name, mine, gone, now, version), list[str]()

    def tried(attempt: str, make: Callable[[Signer], R]) -> R:
        try:
            return make(signer)
        except KeyBroken:
            unsigned.append(attempt)
            return make(spare)

    first = {"manifest": manifest, "release": secrets.token_hex(32)}
    entered = trial.grown((signer, Version, first), (signer, Move, {"alias": "candidate", "manifest": manifest}))
    say = {"manifest": manifest, "log": secrets.token_hex(32)}
    both = trial.grown((verifier, Move, say | {"alias": "approved"}), after=entered)
    done = trial.grown((verifier, Move, say | {"alias": "production"}), after=both)
    attempts = {
        "write": done,
        "overwrite": tried(
            "overwrite", lambda by: trial.grown((by, Version, first | {"manifest": other}), after=entered)
        ),
        "approved": tried("approved", lambda by: trial.grown((by, Move, say | {"alias": "approved"}), after=entered)),
        "production": tried(
            "production", lambda by: trial.grown((by, Move, say | {"alias": "production"}), after=both)
        ),
    }
    told = {"what": "model", "target": manifest, "name": name, "version": version, "at": now, "reason": "it is tried"}
    revoked = tried("delete", lambda by: chain.sealed(gone, gone, by, Revocation, **told))
    whole = {"keep": len(mine), "known": list(known)}
    producers = (*keys.producer, *([spare.public] if unsigned else []))
    by = {"producer": producers, "verifier": (*keys.verifier, verifier.public), "owner": keys.owner}
    answers: dict[str, dict[str, Any]] = {
        "place": {
            "form": "folder",
            "name": name,
            "keys": {role: [key.pem.decode() for key in each] for role, each in by.items()},
            "approvers": dict(keys.approvers),
            "at": now,
            "version": version,
            "manifest": manifest,
            "other": other,
            "unsigned": unsigned,
        },
        "before": _lying(mine, gone),
        "version": {"tag": ""},  # a folder has no tags; nor does anybody forget in it who may write
        "again": {},
        "read": {**whole, "more": []},
        **{question: {**whole, "more": _spelled(more)} for question, more in attempts.items()},
        "untag": {**whole, "more": _spelled(done[:-1]), "known": [*known, head_of(done[-1])]},
        "delete": {**whole, "more": _spelled(done), "gone": _spelled([revoked])},
        "erase": {"keep": 0, "more": [], "known": [*known, head_of(done[0])]},
        "after": _lying(chains.there(home, name), chains.there(home, REVOKED)),
    }
    return Snapshot(kind="registry", uri=f"registry:{name}", taken=now, answers=answers)


class _Trial:
    """Entries behind the copy of a chain."""

    def __init__(self, name: str, mine: list[bytes], gone: list[bytes], now: float, version: int) -> None:
        self.mine, self.gone = mine, gone
        self.usual: dict[str, Any] = {"name": name, "version": version, "at": now}

    def grown(self, *steps: tuple[Signer, type[Claim], dict[str, Any]], after: Sequence[bytes] = ()) -> list[bytes]:
        """The entries after those, with these behind them."""
        lines = list(after)
        for signer, kind, told in steps:
            more: dict[str, Any] = {"reason": "it is tried"}
            if kind is Version:
                more = {"run": "trial", "data": (secrets.token_hex(32),), "expires": self.usual["at"] + DAY}
            lines.append(chain.sealed([*self.mine, *lines], self.gone, signer, kind, **self.usual, **more, **told))
        return lines


def _lying(mine: Sequence[bytes], gone: Sequence[bytes]) -> dict[str, list[str]]:
    return {"chain": _spelled(mine), "gone": _spelled(gone)}


def _spelled(lines: Sequence[bytes]) -> list[str]:
    return [line.decode() for line in lines]
