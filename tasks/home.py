"""Where a Sluice keeps what it makes: one folder, its parts, and what of it is private.

    keys/        private keys of `UnsafeLocalKeys`, 0700           trust/     public keys, for anyone
    evidence/    a folder a run, and the index of runs             store/     published outputs by digest
    pointers/    what is current, by compare-and-swap              quarantine/, staging/  a folder a run, 0700
    pages/       the page of each run                              lake/, prefect/, service/  the local processes

References name places as `store:DIGEST`, `staging:NAME`, `quarantine:NAME`: no path of a machine is in the evidence.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from security.errors import StoreError


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

    def wipe(self, run: str) -> None:
        """Remove what a run kept apart while it worked. Safe to call again."""
        for scheme in ("staging", "quarantine"):
            shutil.rmtree(self.root / scheme / run, ignore_errors=True)

    def sweep(self) -> list[str]:
        """Wipe what runs left behind whose process is gone; their names."""
        swept = []
        for scheme in ("staging", "quarantine"):
            for path in sorted((self.root / scheme).glob("*")):
                if not _alive(path / ".pid"):
                    swept.append(path.name)
                    self.wipe(path.name)
        return sorted(set(swept))


def _alive(mark: Path) -> bool:
    """Whether the process that marked a folder still runs."""
    try:
        os.kill(int(mark.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True
