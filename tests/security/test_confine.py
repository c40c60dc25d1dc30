"""What a confined process cannot do, each act shown to be one that a process can do before."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from security.confine import tried
from security.errors import CannotTell

ROOT = Path(__file__).parents[2]
ACTS = r"""
import ctypes, json, os, platform, resource, socket, sys, threading
from pathlib import Path
from security.confine import alone, confine, narrow, tried

told = json.loads(sys.argv[1])
own, key, parent = Path(told["own"]), told["key"], os.getppid()
os.chdir(own)
libc = ctypes.CDLL(None, use_errno=True)
(ptrace, clone), io_uring_setup = {"x86_64": (101, 56), "aarch64": (117, 220)}[platform.machine()], 425

def call(number, *arguments):
    found = libc.syscall(number, *arguments)
    if found < 0:
        raise OSError(ctypes.get_errno(), number)
    return found

def run():
    child = os.fork()
    if child == 0:
        try:
            os.execv(sys.executable, [sys.executable, "-c", ""])
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(1, "exec")

def begin():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

def vfork():
    child = libc.syscall(clone, 17, 0, 0, 0, 0)  # SIGCHLD, as fork asks
    if child == 0:
        os._exit(0)
    if child < 0:
        raise OSError(ctypes.get_errno(), "clone")
    os.waitpid(child, 0)

def share():
    call({"x86_64": 31, "aarch64": 195}[platform.machine()],  # shmctl, to remove it
         call({"x86_64": 29, "aarch64": 194}[platform.machine()], 0, 4096, 0o600), 0, 0)

def lead():
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            os._exit(0)
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(1, "setsid")

def spaces():
    child = libc.syscall(clone, 17 | 0x10000000, 0, 0, 0, 0)  # SIGCHLD and CLONE_NEWUSER
    if child == 0:
        os._exit(0)
    if child < 0:
        raise OSError(ctypes.get_errno(), "clone")
    os.waitpid(child, 0)

def uring():
    os.close(call(io_uring_setup, 8, ctypes.create_string_buffer(120)))

def seize():
    call(ptrace, 0x4206, parent, 0, 0)  # PTRACE_SEIZE

def net(kind, *where):
    with socket.socket(kind, socket.SOCK_STREAM) as one:
        one.connect(where[0] if len(where) == 1 else where)

acts = {
    "read the key": lambda: open(key, "rb").read(),
    "read it by a link": lambda: (own / "link").read_bytes(),
    "list its folder": lambda: os.listdir(Path(key).parent),
    "write it": lambda: open(key, "ab").close(),
    "truncate it": lambda: os.truncate(key, 3),
    "let anybody read it": lambda: os.chmod(key, 0o600),
    "set its time": lambda: os.utime(key),
    "lock it away": lambda: os.link(key, own / "hard"),
    "make a file": lambda: open(own / "new", "w").close(),
    "make a folder": lambda: os.mkdir(own / "folder"),
    "remove a file": lambda: os.remove(own / "old"),
    "rename a file": lambda: os.rename(own / "kept", own / "moved"),
    "run a program": run,
    "begin a process": begin,
    "begin one by another call": vfork,
    "reach a port": lambda: net(socket.AF_INET, "127.0.0.1", told["port"]),
    "open a port": lambda: socket.create_server(("127.0.0.1", 0)).close(),
    "send a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
    "reach a socket of a path": lambda: net(socket.AF_UNIX, told["path"]),
    "reach a socket without one": lambda: net(socket.AF_UNIX, "\0" + told["abstract"]),
    "open a ring": uring,
    "make a pair of sockets": lambda: [each.close() for each in socket.socketpair()],
    "share memory": share,
    "set its parent's limits": lambda: resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0)),
    "open a file system": lambda: os.close(call(430, b"tmpfs", 0)),
    "lead a session": lead,
    "be another user in its own eyes": spaces,
    "read its parent's memory": lambda: open(f"/proc/{parent}/mem", "rb").close(),
    "read its parent's variables": lambda: open(f"/proc/{parent}/environ", "rb").read(),
    "enter its parent's network": lambda: open(f"/proc/{parent}/ns/net", "rb").close(),
    "see its parent's files": lambda: os.readlink(f"/proc/{parent}/fd/1"),
    "hold its parent": seize,
    "signal its parent": lambda: os.kill(parent, 0),
}
# Inherited by who is confined: files that are open stay so, and what it does to them is its work.
opened = open(own / "given", "rb")
reached = {"forks": not told["narrow"]}
if told["confined"]:
    code = Path(told["code"])
    held = confine([Path(sys.prefix), Path(sys.base_prefix), code, Path("/proc")])
    if told["narrow"]:
        alone()
        narrow([Path(sys.prefix), Path(sys.base_prefix), code, Path("/proc/self")])
    reached["held"] = held
    reached["tried"] = tried([Path(key)])
for name, act in acts.items():
    try:
        act()
        reached[name] = "reached"
    except OSError as why:
        reached[name] = why.errno
reached["given"] = opened.read().decode()
threading.Thread(target=reached.setdefault, args=("thread", True)).start()
reached["again"] = os.read(os.open("/dev/urandom", os.O_RDONLY), 1) != b""
if told["confined"]:
    import xml.dom.minidom  # something of the library that was not imported yet
print(json.dumps(reached))
"""
LAYERS = {"seccomp", "no capabilities"}


@pytest.fixture(scope="module")
def around() -> Iterator[dict[str, Any]]:
    """A key, an own folder, and sockets that somebody serves."""
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as port:
        folder = Path(name)
        (folder / "keys").mkdir(mode=0o700)
        (folder / "keys" / "producer.pem").write_text("a key")
        with socket.socket(socket.AF_UNIX) as path, socket.socket(socket.AF_UNIX) as abstract:
            path.bind(str(folder / "socket"))
            path.listen()
            abstract.bind(f"\0sluice-{os.getpid()}")
            abstract.listen()
            yield {
                "root": folder,
                "key": str(folder / "keys" / "producer.pem"),
                "port": port.getsockname()[1],
                "path": str(folder / "socket"),
                "abstract": f"sluice-{os.getpid()}",
                "code": str(ROOT / "security"),
            }


def acted(around: dict[str, Any], name: str, *, confined: bool, narrowed: bool = False) -> dict[str, Any]:
    """What a process could do. Its parent is one that it may be held by: a shell, not the tests."""
    own = around["root"] / name
    own.mkdir()
    for file in ("old", "kept", "given"):
        (own / file).write_text("open")
    (own / "link").symlink_to(around["key"])
    told = {**around, "root": "", "own": str(own), "confined": confined, "narrow": narrowed}
    between = f"import subprocess, sys; sys.exit(subprocess.call([{sys.executable!r}, '-P', '-c', *sys.argv[1:]]))"
    done = subprocess.run(
        [sys.executable, "-c", between, ACTS, json.dumps(told)],
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def able(around: dict[str, Any]) -> dict[str, Any]:
    """What a process can do that nothing confines."""
    return acted(around, "able", confined=False)


@pytest.fixture(scope="module", params=[False, True], ids=["confined", "narrowed"])
def unable(around: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """What one can do that is confined."""
    return acted(around, f"unable-{request.param}", confined=True, narrowed=request.param)


def test_nothing_that_it_must_not_do_can_be_done(able: dict[str, Any], unable: dict[str, Any]) -> None:
    acts = sorted(set(able) - {"given", "again", "thread", "forks"})
    assert len(acts) == 33
    assert {name: able[name] for name in acts if able[name] != "reached"} == {}, (
        "an act that nobody can do shows nothing"
    )
    left = {"begin a process", "begin one by another call"} if unable["forks"] else set()
    assert {name: unable[name] for name in acts if unable[name] not in (1, 13)} == dict.fromkeys(left, "reached")


def test_what_its_work_needs_is_left(unable: dict[str, Any]) -> None:
    assert (unable["given"], unable["again"], unable["thread"]) == ("open", True, True)
    assert set(unable["held"]) >= LAYERS
    assert any(each.startswith("landlock ") for each in unable["held"])
    assert unable["tried"] == []


def test_a_try_tells_what_can_be_reached(tmp_path: Path) -> None:
    key = tmp_path / "a.pem"
    key.write_text("")
    sockets = ("a socket (AF_INET)", "a socket (AF_INET6)", "a socket (AF_UNIX)")
    assert tried([key, tmp_path / "gone.pem"]) == ("a.pem", "gone.pem (ENOENT)", "a pair of sockets", *sockets)


def test_to_try_nothing_shows_nothing() -> None:
    with pytest.raises(CannotTell, match="no key was named to try"):
        tried([])


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            "c._libc = None; import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
            "more than one thread, or children",
        ),
        ("import os\nif not os.fork(): os._exit(os.getppid() and 0)", "more than one thread, or children"),
        ("c._call = lambda what, *_: 2", "landlock: found version 2; allowed: 3 or later"),
        ("c._DENIED = {}", "seccomp: no list of calls for"),
        ("c._SECCOMP = 99", "seccomp: EINVAL"),
        ("c._CREATE = 9999", "landlock: ENOSYS"),
        ("c._CAPABILITIES = 1", "capabilities: were not dropped"),
    ],
)
def test_a_system_that_cannot_is_told(spoil: str, said: str) -> None:
    code = (
        f"import security.confine as c\n{spoil}\ntry:\n    c.confine([])\nexcept c.CannotTell as why:\n    print(why)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.PIPE,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert said in done.stdout.decode(), done.stderr.decode()
