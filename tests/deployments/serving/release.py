"""A small signed release, and the service over it as a process of its own."""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from deployments.serving.keyset import jwks
from deployments.serving.token import mint
from security.engines.prober import Mint
from security.gates.model import contents, sign
from security.gates.model import release as listed
from security.keys import Signer, UnsafeLocalKeys
from security.verdict import digest
from tasks import lock, service
from tests.deployments.serving import story

ROOT = Path(__file__).resolve().parents[3]
PATH = "/api/v1/recommendations"
ISSUER, AUDIENCE, TENANT = "https://issuer.test", "recommendations.test", "shop.test"
USERS, ITEMS, WIDTH = 30, 60, 8
NOBODY = USERS - 1
"""A user without a history."""


def card(**changes: Any) -> dict[str, Any]:
    """What `model.json` says, with changes."""
    now = time.time()
    shas = {name: letter * 64 for name, letter in (("data", "a"), ("code", "b"), ("lock", "c"), ("plan", "d"))}
    usual = {"name": story.NAME, "version": 3, "run": story.RUN, "created": now, "expires": now + 3600}
    return {**usual, **shas, "hyperparameters": {"learning_rate": 0.001}, "training": {}, **changes}


def ids() -> dict[str, list[str]]:
    """The users' and items' names."""
    return {"users": [f"u{n:03d}" for n in range(USERS)], "items": [f"i{n:03d}" for n in range(ITEMS)]}


def arrays(seed: int = 5) -> dict[str, np.ndarray[Any, Any]]:
    """Random weights, and a history of 5 to 15 items for each user but one."""
    draw = np.random.default_rng(seed)
    sizes = np.where(np.arange(USERS) == NOBODY, 0, draw.integers(5, 16, USERS))
    seen = [np.sort(draw.choice(ITEMS, size, replace=False)) for size in sizes]
    return {
        "encoder": draw.normal(size=(ITEMS, WIDTH)).astype(np.float32),
        "encoder_bias": draw.normal(size=WIDTH).astype(np.float32),
        "decoder": draw.normal(size=(WIDTH, ITEMS)).astype(np.float32),
        "decoder_bias": draw.normal(size=ITEMS).astype(np.float32),
        "seen_indptr": np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        "seen_indices": np.concatenate(seen).astype(np.int32),
    }


def write(folder: Path, by: Signer, *, tensors: Any = None, names: Any = None, says: Any = None) -> Path:
    """A release in a new folder, signed; what is given replaces what is usual."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(save(arrays() if tensors is None else tensors))
    (folder / "ids.json").write_text(json.dumps(ids() if names is None else names))
    (folder / "model.json").write_text(json.dumps(card() if says is None else says))
    sign(folder, by)
    return folder


@dataclass(frozen=True)
class Site:
    """A home with a release, keys, files and packages for the service."""

    home: Path
    keys: UnsafeLocalKeys
    release: Path
    packages: Path

    @property
    def mint(self) -> Mint:
        """The issuer's tokens for the user u001."""
        return partial(mint, self.keys.path("issuer"), iss=ISSUER, aud=AUDIENCE, tenant=TENANT, sub="u001")

    def command(self, *more: str, **changes: Path | None) -> list[str]:
        """The command line of the service; a file that is None is left out."""
        files: dict[str, Path | None] = {"release": self.release, "key": self.home / "producer.pub"}
        files |= {"jwks": self.home / "jwks.json", "log": self.home / "log"}
        files |= {"registry": self.home / "chains"}
        files |= {"verifier": self.home / "verifier.pub", "owner": self.home / "owner.pub", **changes}
        named = [word for name, path in files.items() if path for word in (f"--{name}", str(path))]
        rest = ["--issuer", ISSUER, "--audience", AUDIENCE, "--tenant", TENANT, "--path", PATH]
        rest += ["--policy", digest(story.POLICY)]
        rest += ["--ready", str(self.home / "ready.json")]
        return service.argv(ROOT, self.packages, [*named, *rest, *more])

    def refusal(self, *more: str, **changes: Path | None) -> tuple[int, str]:
        """Exit code and stderr of a service that does not come up."""
        ended = subprocess.run(
            self.command(*more, **changes), cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
        return ended.returncode, ended.stderr

    @contextmanager
    def serve(self, *more: str, into: int | None = None, **changes: Path | None) -> Iterator["Running"]:
        """The service, up; ended by SIGTERM. `into` is an open file for its access log."""
        ready = self.home / "ready.json"
        ready.unlink(missing_ok=True)
        start = time.monotonic()
        log = self.home / "access.log"
        # A file: of a pipe that nobody reads the last lines would be lost.
        with (
            log.open("w") as out,
            subprocess.Popen(
                self.command(*more, **changes), cwd=ROOT, stdout=into or out, stderr=subprocess.PIPE, text=True
            ) as process,
        ):
            try:
                while not ready.exists():
                    if process.poll() is not None or time.monotonic() - start > 20:
                        raise AssertionError(f"not up: {process.returncode}")
                    time.sleep(0.01)
                said = json.loads(ready.read_text())
                yield Running(process, said["url"], said["model"], said["pid"], time.monotonic() - start, log)
            finally:
                if process.poll() is None:
                    process.terminate()
                try:
                    process.wait(10)
                finally:
                    process.kill()


@dataclass(frozen=True)
class Running:
    """A service that listens: what it announced, how long it took, and where its access log goes."""

    process: "subprocess.Popen[str]"
    url: str
    model: str
    pid: int
    seconds: float
    log: Path


def site(home: Path) -> Site:
    """A home with everything that the service needs."""
    keys = UnsafeLocalKeys(home / "keys")
    for role in ("producer", "verifier", "owner"):
        (home / f"{role}.pub").write_bytes(keys.public(role).pem)
    (home / "chains").mkdir()
    (home / "jwks.json").write_bytes(jwks(keys.public("issuer")))
    packages = service.packages(home, hashlib.sha256(lock.SERVING.read_bytes()).hexdigest())
    return Site(home, keys, made(home, "release", keys.signer("producer")), packages)


def made(home: Path, name: str, producer: Signer, **parts: Any) -> Path:
    """A release in a folder of the home, and in `log` the log of the run that made it, in the place of another."""
    release = write(home / name, producer, **parts, says=card(plan=digest(story.plan(producer.public.id))))
    shutil.rmtree(home / "log", ignore_errors=True)
    story.alone(home / "log", producer, listed(contents(release)))
    return release
