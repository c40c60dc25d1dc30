"""Where a Sluice keeps what it makes: one folder, its parts, and what of it is private.

    keys/        private keys of `UnsafeLocalKeys`, 0700           trust/     public keys, for anyone
    evidence/    a folder a run, and the index of runs             store/     published outputs by digest
    pointers/    what is current, by compare-and-swap              quarantine/, staging/  a folder a run, 0700
    baselines/   profiles of rows, signed, by digest, 0700         history/   scores of drift, and metrics, by pipeline
    pages/       the page of each run                              lake/, prefect/, service/  the local processes
    advisories/  known vulnerabilities of packages, a file each   waivers/   findings that were let go, by digest
    training/    states of trainings that were broken off, 0700
    models/      the registry's models, an OCI layout, 0700        chains/    its versions, aliases, revocations
    scanners/    what other scanners know, a folder each           vex/       OpenVEX documents, in envelopes
    bases/       approved bases of images, an OCI layout each      images/    those that runs have built, likewise, 0700
    candidates/  runs whose candidate may serve in a cluster while it is looked at, by target and pipeline

Rows that were not published are only in quarantine/, wiped when the stage ends, in staging/, wiped when the run ends,
and for a moment in a copy in store/ that has no name yet. What a killed process left there is swept by the next.

References name places as `store:DIGEST`, `staging:NAME`, `quarantine:NAME`: no path of a machine is in the evidence.
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from security.errors import StoreError

APART = ("staging", "quarantine")
COPY = ".copy-"
OLD = 7 * 86_400.0
"""Seconds after which nobody goes on with a training that was broken off."""


@dataclass(frozen=True)
class Home:
    """The folder of one Sluice."""

    root: Path

    @classmethod
    def here(cls) -> "Home":
        """`SLUICE_HOME`, or `.sluice` in the working folder."""
        return cls(Path(os.environ.get("SLUICE_HOME") or ".sluice").resolve())

    def folder(self, *parts: str, private: bool = False) -> Path:
        """A folder of the home, made where it is not there."""
        path = self.root.joinpath(*parts)
        path.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o755)
        if private:
            path.chmod(0o700)
        return path

    def evidence(self, run: str) -> Path:
        """The evidence of a run."""
        return self.root / "evidence" / run

    @property
    def index(self) -> Path:
        """The index of runs."""
        return self.root / "evidence" / "index.jsonl"

    @property
    def advisories(self) -> Path:
        """Known vulnerabilities of packages."""
        return self.root / "advisories" / "pypi.jsonl"

    @property
    def systems(self) -> Path:
        """Known vulnerabilities of a system's packages."""
        return self.root / "advisories" / "debian.jsonl"

    def secret(self) -> list[Path]:
        """The private keys that lie here: what the code that trains must not reach."""
        return sorted(path for path in (self.root / "keys").glob("*") if path.is_file())

    def path(self, uri: str, run: str) -> Path:
        """Where a reference's bytes lie."""
        scheme, _, name = uri.partition(":")
        if not name or "/" in name or name.startswith("."):
            raise StoreError(f"{uri!r} is not a place of this home")
        if scheme == "store":
            return self.root / "store" / name
        if scheme in ("staging", "quarantine"):
            return self.folder(scheme, run, private=True) / name
        raise StoreError(f"{uri!r}: no scheme {scheme!r}; there are store, staging, quarantine")

    def mark(self, run: str) -> None:
        """Say that this process works on a run."""
        for scheme in APART:
            (self.folder(scheme, run, private=True) / ".pid").write_text(mine())

    def working(self, run: str) -> bool:
        """Whether the process that marked a run still works."""
        try:
            return lives((self.root / "staging" / run / ".pid").read_text().split())
        except (OSError, UnicodeDecodeError):
            return False

    def wipe(self, run: str, *schemes: str) -> None:
        """Remove what a run kept apart, all of it or that of some places; again is safe. `StoreError` if any stays."""
        for scheme in schemes or APART:
            path = self.root / scheme / run
            shutil.rmtree(path, ignore_errors=True)
            if path.exists():
                raise StoreError(f"{scheme}/{run} cannot be wiped: rows may be left in it")

    def sweep(self) -> list[str]:
        """Wipe what was left behind by those whose process is gone; the names of runs."""
        left = {path.name for scheme in APART for path in (self.root / scheme).glob("*") if path.is_dir()}
        swept = sorted(run for run in left if not self.working(run))
        for run in swept:
            self.wipe(run)
        for copy in (self.root / "store").glob(f"{COPY}*"):
            if not lives(copy.name.removeprefix(COPY).split("-")[:2]):
                shutil.rmtree(copy, ignore_errors=True)
        for state in (self.root / "training").glob("*/*"):
            with suppress(FileNotFoundError):  # another's, who was done with it
                if time.time() - state.stat().st_mtime > OLD:
                    state.unlink()
        return swept

    def copying(self) -> Path:
        """A fresh private folder in the store, known to be this process's, for what has no name there yet."""
        prefix = f"{COPY}{os.getpid()}-{born(os.getpid())}-"
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self.folder("store", private=True)))


def mine() -> str:
    """The mark of this process."""
    return f"{os.getpid()} {born(os.getpid())}"


def lives(mark: list[str]) -> bool:
    """Whether the process of a mark (its pid, and when it started) still runs."""
    try:
        pid, start = map(int, mark)
    except ValueError:
        return False
    return start != 0 and born(pid) == start


def born(pid: int) -> int:
    """When a process started, in clock ticks since boot (field 22 of `/proc/PID/stat`); 0 if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])
