"""Chains to break: three keys and a person, and a short history of one model."""

from collections.abc import Iterable
from typing import Any

from security.keys import PublicKey, Role, UnsafeLocalKeys
from security.models import chain
from security.models.chain import Keys, Move, Revocation, Version
from security.models.standing import Standing, stands
from tests.security.models.making import DAY, NOW

Lines = list[bytes]


def keys(local: UnsafeLocalKeys, *approvers: PublicKey) -> Keys:
    """What a caller brings."""
    producer, verifier, owner = (local.public(role) for role in ("producer", "verifier", "owner"))
    return Keys((producer,), (verifier,), (owner,), {key.id: "Ada" for key in approvers})


def sha(number: int) -> str:
    return f"{number:064x}"


class History:
    """Chains that grow as they are told to, sound or not."""

    def __init__(self, local: UnsafeLocalKeys) -> None:
        self.local, self.lines, self.gone = local, Lines(), Lines()

    def version(self, version: int, role: Role = "producer", **told: Any) -> "History":
        usual = {"name": "sample", "version": version, "manifest": sha(version), "release": sha(100 + version)}
        usual |= {"run": f"run-{version}", "data": (sha(500 + version), sha(600)), "expires": NOW + 30 * DAY, "at": NOW}
        self.lines.append(chain.sealed(self.lines, self.gone, self.local.signer(role), Version, **usual | told))
        return self

    def move(self, alias: str, version: int, role: Role = "", **told: Any) -> "History":  # type: ignore[assignment]
        usual: dict[str, Any] = {"name": "sample", "alias": alias, "version": version, "manifest": sha(version)}
        usual |= {"reason": "all gates passed", "at": NOW, "log": sha(700) if alias == "production" else ""}
        signer = self.local.signer(role or ("producer" if alias == "candidate" else "verifier"))
        if role == "approver":
            usual["key"] = signer.public.pem.decode()
        self.lines.append(chain.sealed(self.lines, self.gone, signer, Move, **usual | told))
        return self

    def through(self, *versions: int) -> "History":
        """Versions that were entered and went all the way."""
        for each in versions:
            self.version(each).move("candidate", each).move("approved", each).move("production", each)
        return self

    def revoke(self, what: str, target: str, role: Role = "owner", **told: Any) -> "History":
        usual = {"what": what, "target": target, "reason": "it leaked", "at": NOW} | told
        self.gone.append(chain.sealed(self.gone, self.gone, self.local.signer(role), Revocation, **usual))
        return self

    def standing(self, with_: Keys, now: float = NOW, known: Iterable[str] = ()) -> Standing:
        return stands(self.lines, self.gone, with_, "sample", now=now, known=tuple(known))
