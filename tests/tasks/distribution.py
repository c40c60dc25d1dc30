"""Debian's docker-registry as a process of its own, on 127.0.0.1, with its storage in a folder that can be spoiled."""

import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

NEEDED = ("docker-registry", "skopeo")


def absent() -> list[str]:
    """Which of the programs are not installed."""
    return [name for name in NEEDED if shutil.which(name) is None]


class Distribution:
    """The running registry. `address` is HOST:PORT, spoken to without TLS; `more`: further lines of its configuration,
    `deletes` whether it knows how to delete."""

    def __init__(self, folder: Path, more: str = "", *, deletes: bool = False) -> None:
        self.folder, self.more, self.deletes = folder, more, deletes
        self.storage = folder / "storage" / "docker" / "registry" / "v2"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self) -> Self:
        config = self.folder / "config.yml"
        config.write_text(
            f"version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {self.folder / 'storage'}}}\n"
            f"  delete: {{enabled: {str(self.deletes).lower()}}}\n"
            f"http: {{addr: {self.address}}}\nlog: {{level: error}}\n{self.more}"
        )
        program = shutil.which("docker-registry") or ""
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen([program, "serve", str(config)], stdout=log, stderr=log, cwd=self.folder)
        for _ in range(200):
            try:
                if httpx.get(f"http://{self.address}/v2/").status_code in (200, 401):
                    return self
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)

    def blob(self, sha: str) -> Path:
        """Where the registry keeps the bytes of a digest."""
        return self.storage / "blobs" / "sha256" / sha[:2] / sha / "data"

    def tag(self, name: str, tag: str) -> Path:
        """The file that says which manifest a tag names."""
        return self.storage / "repositories" / name / "_manifests" / "tags" / tag / "current" / "link"
