"""The process that trains. It is confined first, imports TensorFlow once, and forks for each training: none sees what
another left. Descriptor 0 is the socket to the run that started it; when that closes, this ends.

It is begun without `site`, so that no `.pth` file and no `sitecustomize` runs before it is confined, or at all.
"""

import contextlib
import hashlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

from security.confine import alone, confine, narrow, tried
from security.errors import CannotTell

ROOT = Path(__file__).resolve().parents[2]
"""Where the pipeline's code lies."""


def places(packages: list[str]) -> list[Path]:
    """What may be read: the interpreter, the packages, and of the pipeline's folder the code that trains."""
    paths = [*map(Path, sysconfig.get_paths().values()), Path(sys.prefix), Path(sys.base_prefix), *map(Path, packages)]
    return [path for path in dict.fromkeys(paths) if path.exists()] + [ROOT / "tasks", ROOT / "security"]


def work(fds: list[int], secret: list[Path], packages: list[str], *, confined: bool, seconds: float) -> None:
    """One training, from open files to an open file. Its state is written to another one every so many `seconds`."""
    if confined:
        alone()
        narrow([*places(packages), Path("/proc/self")])
        if tried(secret):
            return  # the run was told that nothing can be reached, and hears now that nothing was trained
    from security.gates.code import environment
    from tasks.trainer import form

    with os.fdopen(fds[2], "wb") as out:
        try:
            from tasks.recommender.autoencoder import train  # what trains is imported by none but this
            from tasks.recommender.shape import Settings
            from tasks.trainer import kept

            with os.fdopen(fds[0], "rb") as given:
                histories, validation, start, settings = form.taken(given.read())
            state = os.fdopen(fds[3], "r+b")
            before = state.read()

            def watch(epoch: Any) -> None:
                told = {"epoch": epoch.epoch, "loss": epoch.loss, "validation": epoch.validation}
                form.write(form.Epoch(**told, seconds=epoch.seconds), out)

            said = time.monotonic()

            def keep(now: Any) -> None:
                nonlocal said
                if time.monotonic() - said < seconds:
                    return
                data = kept.written(now())
                state.seek(0)
                state.write(data)
                state.flush()
                form.write(form.Kept(size=len(data), sha256=hashlib.sha256(data).hexdigest()), out)
                said = time.monotonic()

            resume = kept.read(before) if before else None
            made = train(
                histories, start, Settings(**settings), validation=validation, watch=watch, keep=keep, resume=resume
            )
            with os.fdopen(fds[1], "wb") as weights:
                weights.write(form.weights(made.weights))
            told = form.Done(best=made.best, share=made.share, value=made.value, modules=environment.modules())
            form.write(told, out)
        except Exception as why:  # noqa: BLE001 - its kind is told to the run; its words may quote a row
            form.write(form.Failed(error=type(why).__name__), out)


def _wait(child: int, control: socket.socket) -> None:
    """Until a training has ended; it does not outlive the run, which says nothing meanwhile unless it ends."""
    ended = os.pidfd_open(child)
    if ended not in select.select([control.fileno(), ended], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    os.close(ended)
    os.waitpid(child, 0)


def _prepare() -> None:
    """Import what takes long, while the run is still at its rows."""
    with contextlib.suppress(Exception):  # each training imports it again, and says what fails
        for name in ("tasks.trainer.form", "security.gates.code.environment"):
            importlib.import_module(name)
        with importlib.import_module("tasks.recommender.quiet").quiet():
            importlib.import_module("tensorflow")


def main(packages: list[str], *, confined: bool) -> None:
    """Serve the run at the other end of descriptor 0. `packages`: the folders that packages lie in."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what trains has no way to speak to the run but its own
    tempfile.tempdir = os.devnull  # packages ask for its name while they are imported; nothing can be written
    try:
        layers = confine([*places(packages), Path("/proc")]) if confined else ()
    except Exception as why:  # noqa: BLE001 - whatever it is: then nothing is said to be confined
        said = str(why) if isinstance(why, CannotTell) else type(why).__name__
        control.sendall(json.dumps({"layers": [], "why": said}).encode())
        return
    sys.path += packages
    control.sendall(json.dumps({"layers": layers, "why": ""}).encode())
    ready = False
    while True:
        message, fds, _, _ = socket.recv_fds(control, 1 << 16, 4)
        if not message:
            return
        told = json.loads(message)
        secret = [Path(each) for each in told["secret"]]
        if not fds and secret:
            control.sendall(json.dumps({"reached": tried(secret)}).encode())
        if not ready and (fds or told["soon"]):
            _prepare()
            ready = True
        if fds:
            child = os.fork()
            if child == 0:
                control.close()
                try:
                    work(fds, secret, packages, confined=confined, seconds=float(told["seconds"]))
                finally:
                    os._exit(0)
            for fd in fds:
                os.close(fd)
            _wait(child, control)
