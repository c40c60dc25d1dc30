"""Takes from this process what its work does not need, for good: files, programs, sockets, other processes, rights.

Landlock (Linux 5.13; here its third version, Linux 6.2, or later) leaves the files that are named, to be read; a
seccomp filter leaves no system call that opens a socket, runs a program, reaches into another process or around the
filter; capabilities are dropped, and where the system lets it a network of its own without a link is entered. All of
it holds for every thread and child, and no part of it can be undone. Files that are open already stay open.

Nothing here is believed for having been asked for: `tried` opens what must not open. Sources: landlock(7), seccomp(2),
capabilities(7), network_namespaces(7).
"""

import ctypes
import errno
import os
import platform
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from security.errors import CannotTell

_CREATE, _ADD, _RESTRICT = 444, 445, 446
"""Landlock's three calls; their numbers are the same on every machine."""
_OLDEST: Final = 3
"""Before it, a file that cannot be opened could still be truncated."""
_FILES: Final = {3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Version from which -> every right to files and folders that it knows."""
_READ: Final = 1 << 0 | 1 << 2 | 1 << 3
"""To map as code, to read a file, to list a folder."""
_WRITE: Final = 1 << 1
_TCP, _SCOPED = 0b11, 0b11
"""Bind and connect (from version 4); abstract sockets and signals to others (from version 6)."""
_NO_NEW_PRIVS, _SECCOMP, _FILTER = 38, 22, 2
_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_CAPABILITIES = 0x20080522
_X32 = 0x40000000
_DENIED = {
    "x86_64": (
        0xC000003E,
        # socket, socketpair, bind, listen, connect, execve, execveat, ptrace, process_vm_readv, process_vm_writev,
        # pidfd_getfd, keyctl, add_key, request_key, bpf, perf_event_open, io_uring_setup, io_uring_enter, setns,
        # unshare, mount, umount2, pivot_root, chroot, kexec_load, kexec_file_load, init_module, finit_module,
        # open_by_handle_at, userfaultfd
        (41, 53, 49, 50, 42, 59, 322, 101, 310, 311, 438, 250, 248, 249, 321, 298, 425, 426, 308, 272, 165, 166, 155,
         161, 246, 320, 175, 313, 304, 323,
         # open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr
         428, 429, 430, 431, 432, 433, 442,
         # setsid, setpgid, setrlimit; shared memory, semaphores and queues of System V
         112, 109, 160, 29, 30, 31, 67, 64, 65, 66, 220, 68, 69, 70, 71,
         # Modes, owners, times and labels, which Landlock leaves to whom a file belongs: fchmod, fchmodat, fchmodat2,
         # fchown, fchownat, utimensat, the kinds of setxattr and of removexattr; and the older spellings: chmod, chown,
         # lchown, utime, utimes, futimesat
         91, 268, 452, 93, 260, 280, 188, 189, 190, 463, 197, 198, 199, 466, 90, 92, 94, 132, 235, 261),
    ),
    "aarch64": (
        0xC00000B7,
        (198, 199, 200, 201, 203, 221, 281, 117, 270, 271, 438, 219, 217, 218, 280, 241, 425, 426, 268, 97, 40, 39, 41,
         51, 104, 294, 105, 273, 265, 282,
         428, 429, 430, 431, 432, 433, 442,
         157, 154, 164, *range(186, 198),
         52, 53, 452, 55, 54, 88, 5, 6, 7, 463, 14, 15, 16, 466),
    ),
}  # fmt: skip
"""Machine -> its number for seccomp, and the calls that fail from then on, in the same order."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom")
_KNOWN = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system/cpu", "/proc/cpuinfo",
          "/proc/meminfo", "/proc/stat")  # fmt: skip
"""What a program of Python needs to begin and to import: libraries, and how many processors there are."""

_LOAD, _EQUAL, _LEAST, _ANY, _END = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
"""What instructions of a filter do, and how one ends."""
_NAMED = {
    "x86_64": {"clone": 56, "prlimit64": 302},
    "aarch64": {"clone": 220, "prlimit64": 261},
}
"""Machine -> calls that depend on what they are asked for."""
_ALONE = {
    # fork, vfork; kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo, pidfd_send_signal
    "x86_64": (57, 58, 62, 200, 234, 129, 297, 424),
    "aarch64": (129, 130, 131, 138, 240, 424),
}
_CLONE3, _THREAD, _SPACES = 435, 0x10000, 0x7E020000
"""A call whose flags cannot be seen; the flag of a thread, and those of namespaces."""

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, number: int, *arguments: object) -> int:
    done = int(_libc.syscall(number, *arguments))
    if done < 0:
        raise CannotTell(f"{what}: {errno.errorcode.get(ctypes.get_errno(), 'failed')}", cause="isolation")
    return done


def _set(what: str, option: int, *values: object) -> None:
    if _libc.prctl(option, *values, 0, 0, 0) != 0:
        raise CannotTell(f"{what}: {errno.errorcode.get(ctypes.get_errno(), 'failed')}", cause="isolation")


def _unlinked() -> str:
    """A network of its own: without a link, not even to itself. Nothing where the system refuses one."""
    for flags in (_NEWNET, _NEWUSER | _NEWNET):
        if _libc.unshare(flags) == 0:
            return "network"
    return ""


def narrow(read: Sequence[Path]) -> int:
    """Leave this process, besides what begins every program, only what lies at `read`, of what it may read now; the
    version of Landlock. A process can be narrowed again, and never widened."""
    version = _call("landlock", _CREATE, None, 0, 1)
    if version < _OLDEST:
        raise CannotTell(f"landlock: found version {version}; allowed: {_OLDEST} or later", cause="isolation")
    rights = max(bits for since, bits in _FILES.items() if version >= since)
    told = struct.pack("=QQQ", rights, _TCP, _SCOPED)[: 8 + 8 * (version >= 4) + 8 * (version >= 6)]
    rules = _call("landlock", _CREATE, told, len(told), 0)
    try:
        places = [(path, _READ) for path in [*read, *map(Path, _KNOWN)]]
        for path, bits in [*places, *((Path(device), _READ | _WRITE) for device in _DEVICES)]:
            if not path.exists():
                continue
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                given = bits if path.is_dir() else bits & ~(1 << 3)
                beneath = struct.pack("=Qi", given, opened)
                _call("landlock", _ADD, rules, 1, beneath, 0)
            finally:
                os.close(opened)
        _call("landlock", _RESTRICT, rules, 0)
    finally:
        os.close(rules)
    return version


def _machine() -> str:
    machine = platform.machine()
    if machine not in _DENIED:
        raise CannotTell(f"seccomp: no list of calls for {machine}", cause="isolation")
    return machine


def _filter() -> None:
    machine = _machine()
    number, denied = _DENIED[machine]
    named, no = _NAMED[machine], _FAIL | errno.EPERM
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, number), (_END, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":
        program += [(_LEAST, 0, 1, _X32), (_END, 0, 0, no)]
    program += [
        (_EQUAL, 0, 1, _CLONE3),
        (_END, 0, 0, _FAIL | errno.ENOSYS),
    ]  # then clone is asked, whose flags are seen
    program += [(_EQUAL, 0, 4, named["clone"]), (_LOAD, 0, 0, 16), (_ANY, 0, 1, _SPACES), (_END, 0, 0, no)]
    program += [(_END, 0, 0, _ALLOW)]
    # Its own limits it may ask for, as every thread does that begins, and nobody else's.
    program += [(_EQUAL, 0, 4, named["prlimit64"]), (_LOAD, 0, 0, 16), (_EQUAL, 1, 0, 0), (_END, 0, 0, no)]
    program += [(_END, 0, 0, _ALLOW)]
    for call in denied:
        program += [(_EQUAL, 0, 1, call), (_END, 0, 0, no)]
    _enter([*program, (_END, 0, 0, _ALLOW)])


def alone() -> None:
    """From here on this process, which is confined, begins threads and no other process, and signals none: when it
    ends, nothing of it is left."""
    machine, no = _machine(), _FAIL | errno.EPERM
    program = [(_LOAD, 0, 0, 0)]
    for call in _ALONE[machine]:
        program += [(_EQUAL, 0, 1, call), (_END, 0, 0, no)]
    program += [(_EQUAL, 0, 3, _NAMED[machine]["clone"]), (_LOAD, 0, 0, 16), (_ANY, 1, 0, _THREAD), (_END, 0, 0, no)]
    _enter([*program, (_END, 0, 0, _ALLOW)])


def _enter(program: Sequence[tuple[int, int, int, int]]) -> None:
    body = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    told = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(body)))
    _set("seccomp", _SECCOMP, _FILTER, ctypes.byref(told))


def _powerless() -> None:
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES, 0))
    if _libc.capset(ctypes.byref(header), ctypes.byref(ctypes.create_string_buffer(24))) != 0:
        raise CannotTell("capabilities: were not dropped", cause="isolation")


def confine(read: Sequence[Path]) -> tuple[str, ...]:
    """Confine this process to reading what lies at `read`; what now holds it. It must have one thread: others would
    stay as they are.

    `CannotTell` where the system has not what it takes: then the process is to be ended, part of it may hold.
    """
    if len(os.listdir("/proc/self/task")) != 1 or Path(f"/proc/self/task/{os.getpid()}/children").read_text():
        raise CannotTell("isolation: found more than one thread, or children; allowed: one thread", cause="isolation")
    held = [_unlinked()]
    _powerless()
    _set("no new privileges", _NO_NEW_PRIVS, 1)
    held.append(f"landlock {narrow(read)}")
    _filter()
    return tuple(each for each in (*held, "seccomp", "no capabilities") if each)


def tried(secret: Sequence[Path]) -> tuple[str, ...]:
    """What this process could reach of what it must not: files that it could open, kinds of sockets. Empty is good.

    `CannotTell` where there is nothing to try: nobody knows then.
    """
    if not secret:
        raise CannotTell("isolation: no key was named to try", cause="isolation")
    reached = []
    for path in secret:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            reached.append(path.name)
        except PermissionError:
            pass
        except OSError as why:  # one that is not there proves nothing
            reached.append(f"{path.name} ({errno.errorcode.get(why.errno or 0, 'unknown')})")
    try:
        for each in socket.socketpair():
            each.close()
        reached.append("a pair of sockets")
    except PermissionError:
        pass
    for kind in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        try:
            socket.socket(kind, socket.SOCK_STREAM).close()
            reached.append(f"a socket ({kind.name})")
        except PermissionError:
            pass
        except OSError as why:  # a system without this kind has no socket of it either
            if why.errno != errno.EAFNOSUPPORT:
                reached.append(f"a socket ({kind.name}): {errno.errorcode.get(why.errno or 0, 'unknown')}")
    return tuple(reached)
