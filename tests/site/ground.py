"""A site as an owner sets it up: a checkout in which a person signed every file, with an environment of what is locked
alone (not even what installed it); a pipeline that runs there as a user of its own; keys under another; and an owner's
home, where policies are signed. The pipeline's home is on a volume that the kernel encrypts.

What the pipeline runs is none of this process: each command is one of its own, as a person or a scheduler starts it.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tasks.home import Home
from tests.security.engines.sealed import sealed
from tests.security.engines.test_git import commit, git, key

HERE = Path(__file__).parent.parent.parent
PROGRAM = Path("/usr/bin/python3.11")
"""Of a package, which the system knows and every user may start."""
PIPELINE, KEEPER = 64_101, 64_102
"""Users that are nobody else: the pipeline's, and that of the keys."""
LIMIT = 900
GIGABYTES = 8
"""Of the volume, of which a file has what is written."""


class Site:
    """The folder of all that, a context manager. `env`: what the pipeline's commands are told; `user`: of it."""

    user = PIPELINE

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-site-", dir="/var/tmp"))  # noqa: S108 - others must enter it
        self.folder.chmod(0o755)
        names = ("checkout", "owner", "approver")
        self.root, self.owner, self.approver = (self.folder / name for name in names)
        self._signer: subprocess.Popen[bytes] | None = None
        self.env: dict[str, str] = {}
        self._volume = ExitStack()
        try:
            volume = self._volume.enter_context(sealed(self.folder / "volume.img", self.folder / "volume", GIGABYTES))
            self.home = volume / "home"
            self._copied()
            self._installed()
            self.given(self.home)
            self.owner.mkdir(mode=0o700)
            self.approver.mkdir(mode=0o700)
            self._keys()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._end()

    def given(self, folder: Path, user: int = PIPELINE) -> Path:
        """A folder that is one user's alone."""
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, user, follow_symlinks=False)
        return folder

    def sluice(self, *arguments: str, seconds: float = LIMIT) -> subprocess.CompletedProcess[str]:
        """One command of the pipeline's user."""
        return subprocess.run(
            self.argv(*arguments), cwd=self.root, env=self._env(self.home) | self.env, user=PIPELINE, group=PIPELINE,
            extra_groups=[], capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip

    def at(self, home: Path, *arguments: str) -> str:
        """One command of a person, at a desk of their own; it must succeed."""
        ended = subprocess.run(
            self.argv(*arguments), cwd=self.root, env=self._env(home), capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def code(self) -> str:
        """The digest of the code that runs."""
        told = [str(self.root / ".venv" / "bin" / "python"), "-c", "from tasks.code import digest; print(digest())"]
        return subprocess.run(told, cwd=self.root, check=True, capture_output=True, text=True).stdout.strip()

    def argv(self, *arguments: str) -> list[str]:
        """A command of the checkout's environment."""
        return [str(self.root / ".venv" / "bin" / "sluice"), *arguments]

    def told(self, *arguments: str) -> dict[str, Any]:
        """What a run says of itself at its end."""
        ended = self.sluice("run", *arguments, "--json")
        assert ended.stdout.strip(), ended.stderr[-3000:]
        found: dict[str, Any] = json.loads(ended.stdout)
        return found

    @property
    def public(self) -> Path:
        """The producer's key, as the pipeline laid it out for anybody."""
        return self.home / "trust" / "producer.pub"

    @property
    def kept(self) -> Home:
        """The home of the pipeline."""
        return Home(self.home)

    def _env(self, home: Path) -> dict[str, str]:
        return {
            "PATH": os.defpath,
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "SLUICE_HOME": str(home),
            "SLUICE_PICTURES": "no",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def _copied(self) -> None:
        """Every file that the checkout has, in one commit that Lisa signed."""
        told = ["git", "-C", str(HERE), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(told, check=True, capture_output=True).stdout.split(b"\0")
        for name in filter(None, map(os.fsdecode, listed)):
            if (HERE / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(HERE / name, self.root / name)
        git(self.root, "init", "-q", "-b", "main")
        self.signer = key(self.folder, "lisa")
        commit(self.root, "all", self.signer)

    def _installed(self) -> None:
        env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "VIRTUAL_ENV")}
        told = ["make", "-C", str(self.root), ".venv/run", f"PYTHON={PROGRAM}"]
        bin_ = self.root / ".venv" / "bin"
        for each in (told, [str(bin_ / "uv"), "pip", "uninstall", "--python", str(bin_ / "python"), "-q", "uv"]):
            made = subprocess.run(each, env=env, capture_output=True, text=True, timeout=600, check=False)
            assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-2000:]

    def _keys(self) -> None:
        """The process that has them, which signs for the pipeline's user."""
        place = self.given(self.folder / "keeper", KEEPER)
        place.chmod(0o755)
        self.socket = place / "socket"
        told = ("signer", "--keys", str(place / "keys"), "--socket", str(self.socket), "--for", str(PIPELINE))
        self._signer = subprocess.Popen(
            self.argv(*told), cwd=self.root, env=self._env(place), user=KEEPER, group=KEEPER, extra_groups=[],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + 60
        while not self.socket.exists():
            assert time.monotonic() < end, "who signs did not begin"
            assert self._signer.poll() is None, "who signs has ended"
            time.sleep(0.05)
        self.env["SLUICE_SIGNER"] = str(self.socket)
        for name in ("PERSONAL", "DRIFT"):
            self.env[f"SLUICE_{name}_KEY"] = secrets.token_hex(24)

    def _end(self) -> None:
        if self._signer is not None:
            self._signer.send_signal(signal.SIGTERM)
            self._signer.wait(20)
        if (self.root / ".venv" / "bin" / "sluice").exists():
            self.sluice("stop")
        self._volume.close()
        shutil.rmtree(self.folder, ignore_errors=True)
