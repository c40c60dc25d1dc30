"""What is done to the packages that a run works with: to the lock, what is installed, and what is known of them."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from configs import load
from flows import code
from security.advisories import mirror, update
from security.advisories.export import source
from security.engines import audit
from security.gates.dependencies import match
from security.gates.dependencies.match import FORGET_ME_NOT
from tasks import lock
from tasks.home import Home
from tasks.run import Run
from tests.attacks.attacker import Act, Ground
from tests.attacks.conftest import drift
from tests.attacks.table import AFTER, TRAIN, Attack
from tests.security.advisories import service
from tests.security.advisories.exports import against, behind, export
from tests.security.engines.test_index import Index

SAYS = r"\[dependency_scanning\] "
OLD, NEW = "2024-10-10T17:22:00Z", "2026-10-01T00:00:00Z"
VULNERABLE = "numpy"


def known(at: Ground, *more: tuple[str, str], when: str = "", less: int = 0) -> Path:
    """Advisories as `sluice advisories update` fetches them: what everybody knows, and these packages and ids."""
    when = when or mirror.stamp(datetime.now(UTC))
    folder = at.home.folder("advisories", at.prefix)
    every = [against(*each, when) for each in FORGET_ME_NOT[less:]]
    every += [against(name, metadata.version(name), id, when) for name, id in more]
    update.update(folder / "pypi.jsonl", source(str(export(folder / "export", *every))))
    return folder / "pypi.jsonl"


def knowing(*more: tuple[str, str], when: str = "", less: int = 0, torn: bool = False) -> Any:
    """The home has such advisories; `torn`: cut off in the middle."""

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        path = known(at, *more, when=when, less=less)
        if torn:
            path.write_bytes(path.read_bytes()[:-5])
        patch.setattr(Home, "advisories", path)

    return patch


def then(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The home has advisories that know of nothing that is locked, until `published`."""
    patch.setattr(Home, "advisories", known(at))


def published(run: Run, at: Ground) -> None:
    """An advisory about a package that is locked comes out."""
    known(at, (VULNERABLE, "PYSEC-2026-7"))


def blind(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The engine says of every package that it is clean."""
    real = audit.audit

    def clean(text: str, url: str) -> audit.Report:
        report = real(text, url)
        return audit.Report(audited=tuple(each.model_copy(update={"known": ()}) for each in report.audited), skipped={})

    patch.setattr(Home, "advisories", known(at))
    patch.setattr(match, "audit", clean)


def altered(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The lock is another one by the time it is looked at."""
    path = at.home.folder("locks", at.prefix) / "requirements.lock"
    path.write_text(lock.PIPELINE.read_text().replace(f"\n{VULNERABLE}==", f"\nevil-{VULNERABLE}=="))
    patch.setattr(lock, "PIPELINE", path)


def extended(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The locks lie where somebody can write; what he installs he will lock beside, once the plan is sealed."""
    writable(patch, at)
    installed("stowaway", "1.0")(patch, at)


def writable(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The locks lie where somebody can write."""
    folder = at.home.folder("locks", at.prefix)
    for name in ("requirements.lock", "requirements-dev.lock", "requirements-serving.lock", "tools.lock"):
        shutil.copy(lock.PIPELINE.parent / name, folder / name)
    for module in (lock, code):
        patch.setattr(module, "PIPELINE", folder / "requirements.lock")
    patch.setattr(lock, "SERVING", folder / "requirements-serving.lock")


def more(run: Run | None, at: Ground) -> None:
    """The service's lock has a package that the pipeline's has not."""
    with lock.SERVING.open("a") as file:
        file.write(f"stowaway==1.0 --hash=sha256:{'a' * 64}\n")


def served(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """The service's lock had more than the pipeline's before the plan was sealed."""
    writable(patch, at)
    more(None, at)


def locked(run: Run, at: Ground) -> None:
    """A lock that the policy lets be installed too has one package more."""
    with (lock.PIPELINE.parent / "tools.lock").open("a") as file:
        file.write(f"stowaway==1.0 --hash=sha256:{'a' * 64}\n")


def installed(name: str, version: str, **more: str) -> Callable[[pytest.MonkeyPatch, Ground], None]:
    """A package lies on the path, as its metadata says."""

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        where = at.home.folder("site", at.prefix)
        folder = where / f"{name}-{version}.dist-info"
        folder.mkdir(exist_ok=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n")
        for file, text in more.items():
            (folder / f"{file}.json").write_text(text)
        patch.syspath_prepend(str(where))

    return patch


def unknown(patch: pytest.MonkeyPatch, at: Ground) -> None:
    """An index that has never heard of what is locked."""
    patch.setenv("SLUICE_INDEX", f"{at.ends.enter_context(behind(Index))}/simple")


def living(ill: str, *more: tuple[str, str]) -> Any:
    """A live service that knows of these packages and ids, and is ill; `half` is one that breaks off in the middle."""

    def patch(patch: pytest.MonkeyPatch, at: Ground) -> None:
        every = [against(*each, NEW) for each in FORGET_ME_NOT]
        every += [against(name, metadata.version(name), id, NEW) for name, id in more]
        patch.setenv(lock.SERVICE, at.ends.enter_context(service.living(*every, ill=ill, sick=VULNERABLE)))

    return patch


_DEPLOYED: dict[str, Act] = {"deploy gate 4": published}
_LIMITS = load.text(load.find("local", "policies"))["gates"]["dependency_scanning"]["limits"]
_LIVE = {"dependency_scanning": {"service": "live"}}

PACKAGES = {
    "vulnerable-package": Attack(
        "train",
        rf"{SAYS}fail: DEP-04 {VULNERABLE} [\d.]+: PYSEC-2026-7: high .*allowed: nothing that is high or worse",
        parameters=TRAIN,
        patch=knowing((VULNERABLE, "PYSEC-2026-7")),
    ),
    "malicious-package": Attack(
        "train",
        rf"{SAYS}fail: DEP-04 rich [\d.]+: MAL-2026-1: critical",
        parameters=TRAIN,
        patch=knowing(("rich", "MAL-2026-1")),
    ),
    "vulnerability-published-before-deploy": Attack(
        "deploy", rf"{SAYS}fail: DEP-04 {VULNERABLE}", _DEPLOYED, parameters=AFTER, patch=then
    ),
    "old-advisories": Attack(
        "train", rf"{SAYS}fail: DEP-07 advisories: .*allowed: 30 days", parameters=TRAIN, patch=knowing(when=OLD)
    ),
    "advisories-that-forget": Attack(
        "train", rf"{SAYS}fail: DEP-07 {FORGET_ME_NOT[0][2]}", parameters=TRAIN, patch=knowing(less=1)
    ),
    "advisories-cut-off": Attack(
        "train", rf"{SAYS}inconclusive: .*fetch them anew", parameters=TRAIN, patch=knowing(torn=True)
    ),
    "engine-that-finds-nothing": Attack("train", rf"{SAYS}fail: DEP-07 PYSEC", parameters=TRAIN, patch=blind),
    "lock-altered-after-the-plan": Attack(
        "train", rf"{SAYS}inconclusive: requirements\.lock, the whole: found SHA-256", parameters=TRAIN, patch=altered
    ),
    "lock-beside-it-altered-after-the-plan": Attack(
        "train",
        rf"{SAYS}fail: DEP-02 tools\.lock: found SHA-256 \w+; allowed: SHA-256 \w+, as the plan has it",
        {"train gate 1": locked},
        parameters=TRAIN,
        patch=extended,
    ),
    "service-lock-that-has-more": Attack(
        "train",
        rf"{SAYS}fail: DEP-05 requirements-serving\.lock: line \d+, stowaway 1\.0: is not in the lock",
        parameters=TRAIN,
        patch=served,
    ),
    "service-lock-altered-after-the-plan": Attack(
        "deploy",
        rf"{SAYS}fail: DEP-01 requirements-serving\.lock: found SHA-256 \w+; allowed: SHA-256 \w+, as the plan has it",
        {"deploy gate 4": more},
        parameters=AFTER,
        patch=writable,
    ),
    "service-lock-altered-once-it-was-looked-at": Attack(
        "deploy",
        r"requirements-serving\.lock: found SHA-256 \w+; allowed: SHA-256 \w+, as the plan has it",
        {"deploy gate 8": more},
        parameters=AFTER,
        patch=writable,
    ),
    "service-lock-that-no-policy-has-looked-at": Attack(
        "deploy",
        r"requirements-serving\.lock: found SHA-256 \w+; allowed: one that the policy names, in `within`",
        changes={"dependency_scanning": {"within": []}},
    ),
    "package-beside-the-lock": Attack(
        "train",
        rf"{SAYS}fail: DEP-02 stowaway: installed 1\.0, locked nowhere",
        parameters=TRAIN,
        patch=installed("stowaway", "1.0"),
    ),
    "package-at-two-versions": Attack(
        "train", rf"{SAYS}fail: DEP-02 {VULNERABLE}: ", parameters=TRAIN, patch=installed(VULNERABLE, "0.1")
    ),
    "package-from-a-folder": Attack(
        "train",
        rf"{SAYS}fail: DEP-03 stowaway: installed from a URL or a folder",
        parameters=TRAIN,
        patch=installed("stowaway", "1.0", direct_url="{}"),
    ),
    "names-that-the-index-does-not-know": Attack(
        "train", rf"{SAYS}fail: DEP-06 absl-py: the index does not know it", parameters=TRAIN, patch=unknown
    ),
    "live-service-that-answers-half": Attack(
        "train",
        rf"{SAYS}inconclusive: the live service, {VULNERABLE}( [\d.]+)?: answered 503; allowed: 200; 2 of",
        changes=_LIVE,
        patch=living("busy"),
    ),
    "live-service-whose-pages-go-round": Attack(
        "train",
        rf"{SAYS}inconclusive: the live service, {VULNERABLE}( [\d.]+)?: page 2 names one that was read",
        changes=_LIVE,
        patch=living("loop"),
    ),
    "live-service-that-hides-a-vulnerability": Attack(
        "train",
        rf"{SAYS}fail: DEP-09 {VULNERABLE} [\d.]+: PYSEC-2026-7: known to the advisories here, and pip-audit",
        changes=_LIVE,
        patch=living("blind", (VULNERABLE, "PYSEC-2026-7")),
    ),
    "live-service-that-nobody-named": Attack(
        "train", rf"{SAYS}inconclusive: SLUICE_OSV names no live service", changes=_LIVE
    ),
    "name-that-nobody-allowed": Attack(
        "train",
        rf"{SAYS}fail: DEP-06 absl-py: found absl-py; allowed: the 1 names",
        changes={"dependency_scanning": {"allowed": ["numpy"]}},
    ),
    "licence-that-nobody-allowed": Attack(
        "train",
        rf"{SAYS}fail: DEP-10 \S+: found MIT; allowed: Apache-2\.0",
        changes={"dependency_scanning": {"licences": ["Apache-2.0"]}},
    ),
    "no-advisories-where-they-must-be": Attack(
        "train",
        rf"{SAYS}inconclusive: no advisories are here",
        changes={"terms": drift() | {"dependency_scanning": {"limits": _LIMITS}}},
    ),
}
