"""The run's side of the process that trains: it is started once, asked what it can reach, and given work."""

import atexit
import hashlib
import json
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from security.errors import CannotTell
from tasks import process
from tasks.recommender.fold import Weights
from tasks.recommender.histories import Histories
from tasks.recommender.shape import Progress, Settings, Trained
from tasks.trainer import form, kept

LARGEST: Final = 1 << 20
"""Bytes that an answer of weights may have besides the weights themselves."""
TRAINS: Final = "tasks.recommender.autoencoder"
"""The module without which nothing was trained."""
BEGIN: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from tasks.trainer.process import main; "
    "main(sys.argv[3:], confined=sys.argv[2] == 'confined')"
)
"""What it runs, from the folder that is named."""
SECONDS: Final = 120.0
"""For the process to begin, or to say what it can reach: it may be importing TensorFlow."""
EVERY: Final = 10.0
"""Seconds between two states that are kept of a training."""
_KEPT: Final = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS")
_SET: Final = {
    "HOME": os.devnull,  # packages read their settings there
    "KERAS_HOME": os.devnull,
    "JOBLIB_MULTIPROCESSING": "0",
    "OPENBLAS_NUM_THREADS": "1",  # the same bytes, whatever number of processors there is
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


@dataclass(frozen=True)
class Isolation:
    """What keeps the code that trains from keys and network. `level`: `training` where it was seen to hold, or `none`;
    `layers`: what holds it; `why`: why it does not."""

    level: str
    layers: tuple[str, ...] = ()
    why: str = ""


@dataclass
class Trainer:
    """The process that trains, of one pipeline's code. `root` is where that code lies. One training at a time."""

    root: Path = process.ROOT
    confined: bool = True
    layers: tuple[str, ...] = ()
    why: str = ""
    _process: "subprocess.Popen[bytes] | None" = None
    _control: socket.socket | None = None
    _seen: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def _started(self) -> socket.socket:
        if self._process is not None and self._process.poll() is None and self._control is not None:
            return self._control
        self.close()
        self._start()
        if self.confined and not self.layers and not self._seen:  # part of it may hold: one that can work is begun
            self.close()
            self.confined, why = False, self.why
            self._start()
            self.why = why
        self._seen = True
        assert self._control is not None  # noqa: S101
        return self._control

    def _start(self) -> None:
        own, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            env = {name: os.environ[name] for name in _KEPT if name in os.environ} | _SET
            how = "confined" if self.confined else "unconfined"
            unseen = subprocess.DEVNULL  # the run's own is a person's screen, and could be read
            self._process = process.bare(BEGIN, self.root, how, env=env, stdin=its.fileno(), stderr=unseen)
        own.settimeout(SECONDS)
        self._control = own
        told = self._answer()
        self.layers, self.why = tuple(map(str, told["layers"])), str(told["why"])

    def _answer(self, message: bytes = b"") -> dict[str, Any]:
        assert self._control is not None  # noqa: S101
        try:
            if message:
                self._control.sendall(message)
            told: dict[str, Any] = json.loads(self._control.recv(1 << 20))
            return told
        except (OSError, ValueError):
            self.close()
            raise CannotTell("the process that trains did not begin, or has ended", cause="isolation") from None

    def close(self) -> None:
        """End the process."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            process.end(self._process)
        self._process = self._control = None

    def soon(self) -> None:
        """Have what takes long imported: it is to train."""
        with self._lock, suppress(OSError, CannotTell):  # who asks it for something is told
            self._started().sendall(_question(()))

    def isolation(self, secret: Sequence[Path], *, soon: bool = False) -> Isolation:
        """What keeps the process from the files `secret` and from the network, seen by its trying before any code that
        trains is in it. `soon`: whether it is to train after that."""
        if not secret:
            raise CannotTell("isolation: no key was named to try", cause="isolation")
        with self._lock:
            self._started()
            if not self.layers:
                return Isolation("none", why=self.why)
            told = self._answer(_question(secret, soon=soon))
            reached = ", ".join(map(str, told["reached"]))
            return Isolation("none", why=f"it reached {reached}") if reached else Isolation("training", self.layers)

    def train(
        self,
        histories: Histories,
        start: Weights,
        settings: Settings,
        *,
        validation: Histories | None,
        watch: Callable[[Progress], None],
        secret: Sequence[Path],
        isolated: bool,
        apart: Path | None = None,
        state: Path | None = None,
        seconds: float = EVERY,
    ) -> tuple[Trained, Mapping[str, str]]:
        """Train there; the model, and what was imported for it: name -> file. `isolated`: whether it must be.

        `apart` is a private folder for what is handed over; `state` a private folder for the states of trainings that
        are broken off, by what they are given, one at most every so many `seconds`.

        `CannotTell` where it is not isolated, before it is given anything; where the training breaks off, and where it
        says what no training says.
        """
        with self._lock:
            if isolated and (found := self.isolation(secret)).level == "none":
                why = found.why or "nothing confines it"
                raise CannotTell(f"the plan says that who trains is isolated: {why}", cause="isolation")
            control = self._started()
            told = form.given(histories, validation, start, settings)
            own = state / kept.name(told) if state else None
            before, past = kept.begun(own) if own else (None, ())
            with (
                tempfile.TemporaryFile(dir=apart) as given,
                tempfile.TemporaryFile(dir=apart) as weights,
                tempfile.TemporaryFile(dir=apart) as stands,
            ):
                for file, data in ((given, told), (stands, before or b"")):
                    file.write(data)
                    file.flush()
                    file.seek(0)

                def keep(line: form.Kept) -> None:
                    data = os.pread(stands.fileno(), line.size, 0) if line.size <= most else b""
                    if own and hashlib.sha256(data).hexdigest() == line.sha256:
                        with suppress(OSError):  # a full disk takes the way back, and not the training
                            kept.keep(own, data)

                most = 5 * sum(value.nbytes for value in start.values()) + LARGEST
                ear, mouth = os.pipe()
                whole = False
                with os.fdopen(ear, "rb") as said:
                    try:
                        try:
                            files = [given.fileno(), weights.fileno(), mouth, stands.fileno()]
                            socket.send_fds(control, [_question(secret, seconds=seconds)], files)
                        finally:
                            os.close(mouth)
                        progress, done = _heard(said, watch, settings.epochs, past, keep)
                        whole = True
                    except CannotTell:
                        if own and before:  # what it went on from may be why: the next begins anew
                            own.unlink(missing_ok=True)
                        raise
                    except OSError as why:
                        raise CannotTell(f"the process that trains has ended ({type(why).__name__})") from None
                    finally:
                        if not whole:
                            self.close()
                made = form.trained(_read(weights, start), start)
        if own:
            own.unlink(missing_ok=True)
        if done.best not in {each.epoch for each in progress}:
            raise CannotTell(f"found epoch {done.best} as the best; allowed: one of the {len(progress)} that were run")
        return Trained(made, done.best, tuple(progress), done.share, done.value), done.modules


def _question(secret: Sequence[Path], *, soon: bool = True, seconds: float = EVERY) -> bytes:
    return json.dumps({"secret": [str(path) for path in secret], "soon": soon, "seconds": seconds}).encode()


def _heard(
    said: IO[bytes],
    watch: Callable[[Progress], None],
    most: int,
    past: Sequence[Progress] = (),
    keep: Callable[[form.Kept], None] = lambda _: None,
) -> tuple[list[Progress], form.Done]:
    """What was said to the end. `past`: the epochs of the state that it went on from."""
    progress = list(past)
    while (line := form.read(said)) is not None:
        match line:
            case form.Epoch():
                if line.epoch != len(progress) + 1 or line.epoch > most:
                    allowed = f"{len(progress) + 1}" if len(progress) < most else f"an end after {most:,}"
                    raise CannotTell(f"found epoch {line.epoch}; allowed: {allowed}")
                progress.append(Progress(line.epoch, line.loss, line.validation, line.seconds))
                watch(progress[-1])
            case form.Kept():
                keep(line)
            case form.Failed(error=error):
                raise CannotTell(f"the training broke off: {error}")
            case form.Done():
                if TRAINS not in line.modules:
                    raise CannotTell(f"found no {TRAINS} among what was imported; allowed: a list with it")
                return progress, line
    raise CannotTell("the training ended without a word")


def _read(weights: IO[bytes], start: Weights) -> bytes:
    most = sum(value.nbytes for value in start.values()) + LARGEST
    weights.seek(0)
    data = weights.read(most + 1)
    if len(data) > most:
        raise CannotTell(f"found weights of more than {most:,} bytes; allowed: those that were begun with")
    return data


TRAINER: Final = Trainer()
"""This pipeline's."""
atexit.register(TRAINER.close)
