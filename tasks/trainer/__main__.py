"""The process that trains. It is confined first, imports TensorFlow once, and forks for each training: none sees what
another left. Descriptor 0 is the socket to the run that started it; when that closes, this ends."""

import contextlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from security.confine import alone, confine, narrow, tried
from security.errors import CannotTell

ROOT = Path(__file__).resolve().parents[2]
"""Where the pipeline's code lies."""


def places() -> list[Path]:
    """What may be read: the interpreter with its packages, and of the pipeline's folder the code that trains."""
    paths = [*map(Path, sysconfig.get_paths().values()), Path(sys.prefix), Path(sys.base_prefix)]
    return [path for path in dict.fromkeys(paths) if path.exists()] + [ROOT / "tasks", ROOT / "security"]


def work(fds: list[int], secret: list[Path], confined: bool) -> None:
    """One training, from open files to an open file."""
    from security.gates.code import environment
    from tasks.trainer import form

    with os.fdopen(fds[2], "wb") as out:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what it has to say goes another way
            if confined:
                alone()
                narrow([*places(), Path("/proc/self")])
                form.write(form.Reached(reached=tried(secret)), out)
            from tasks.recommender.autoencoder import Settings, train  # what trains is imported by none but this

            with os.fdopen(fds[0], "rb") as given:
                histories, validation, start, settings = form.taken(given.read())

            def watch(epoch: Any) -> None:
                told = {"epoch": epoch.epoch, "loss": epoch.loss, "validation": epoch.validation}
                form.write(form.Epoch(**told, seconds=epoch.seconds), out)

            made = train(histories, start, Settings(**settings), validation=validation, watch=watch)
            with os.fdopen(fds[1], "wb") as weights:
                weights.write(form.weights(made.weights))
            form.write(form.Done(best=made.best, modules=environment.modules()), out)
        except Exception as why:  # noqa: BLE001 - told to the run, whose matter it is
            form.write(form.Failed(error=type(why).__name__, said=str(why)[:4000]), out)


def _wait(child: int, control: socket.socket) -> None:
    """Until a training has ended; it does not outlive the run, which says nothing meanwhile unless it ends."""
    ended = os.pidfd_open(child)
    if ended not in select.select([control.fileno(), ended], [], [])[0]:
        os.kill(child, signal.SIGKILL)
    os.close(ended)
    os.waitpid(child, 0)


def _prepare() -> None:
    """Import what takes long, while the run is still at its rows."""
    with contextlib.suppress(Exception):  # each training imports it again, and says why that fails
        for name in ("tasks.trainer.form", "security.gates.code.environment"):
            importlib.import_module(name)
        with importlib.import_module("tasks.recommender.quiet").quiet():
            importlib.import_module("tensorflow")


def main(confined: bool) -> None:
    """Serve the run at the other end of descriptor 0."""
    control = socket.socket(fileno=os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what trains has no way to speak to the run but its own
    tempfile.tempdir = os.devnull  # packages ask for its name while they are imported; nothing can be written
    try:
        layers = confine([*places(), Path("/proc")]) if confined else ()
    except CannotTell as why:
        control.sendall(json.dumps({"layers": [], "why": str(why)}).encode())
        return
    control.sendall(json.dumps({"layers": layers, "why": ""}).encode())
    ready = False
    while True:
        message, fds, _, _ = socket.recv_fds(control, 1 << 16, 3)
        if not message:
            return
        told = json.loads(message)
        secret = [Path(each) for each in told["secret"]]
        if not fds:
            try:
                said: dict[str, object] = {"reached": tried(secret)}
            except CannotTell as why:
                said = {"why": str(why)}
            control.sendall(json.dumps(said).encode())
        if not ready and (fds or told["soon"]):
            _prepare()
            ready = True
        if fds:
            child = os.fork()
            if child == 0:
                control.close()
                work(fds, secret, confined)
                os._exit(0)
            for fd in fds:
                os.close(fd)
            _wait(child, control)


if __name__ == "__main__":
    main(sys.argv[1:] != ["unconfined"])
