"""Whether what lies in a folder is encrypted by this machine before it reaches a disk.

Found out from what the kernel tells: on which file system the folder is (`/proc/self/mountinfo`, see proc(5)), what is
under its device (`/sys/dev/block`, dm-crypt names itself in `dm/uuid`), and whether the folder has an encryption policy
of its own (fscrypt). A disk that encrypts itself, and a host that encrypts the disk of its guest, are not seen from
here: the answer is then `plain`. What has no device of its own (a network, an overlay, memory that may be swapped) is
`unknown`.
"""

import array
import errno
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

State = Literal["encrypted", "plain", "unknown"]

CRYPT = "CRYPT-LUKS"
STACKED = ("ecryptfs",)
"""File systems that encrypt by themselves."""
POLICY = 0xC0096616
"""FS_IOC_GET_ENCRYPTION_POLICY_EX of linux/fscrypt.h: 8 bytes for the size, then a policy of up to 24."""
UNENCRYPTED = {errno.ENODATA, errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL}
"""What the kernel says of a folder without such a policy, or of a file system without them."""


def states(folders: Mapping[str, Path], proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> dict[str, State]:
    """Name -> state of each folder. One that is not there, or about which the kernel is silent, is `unknown`."""
    return {name: _state(folder, proc, sys) for name, folder in folders.items()}


def _state(folder: Path, proc: Path, sys: Path) -> State:
    try:
        if _policied(folder):
            return "encrypted"
        number = folder.stat().st_dev
        device = f"{os.major(number)}:{os.minor(number)}"
        if _kind(device, (proc / "self" / "mountinfo").read_text()) in STACKED:
            return "encrypted"
        return _under((sys / "dev" / "block" / device).resolve(strict=True), frozenset())
    except (OSError, ValueError, LookupError):
        return "unknown"


def _policied(folder: Path) -> bool:
    """Whether fscrypt encrypts what is made in this folder."""
    told = array.array("B", (24).to_bytes(8, "little") + bytes(24))
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(handle, POLICY, told)
    except OSError as no:
        if no.errno in UNENCRYPTED:
            return False
        raise
    finally:
        os.close(handle)
    return True


def _kind(device: str, mounts: str) -> str:
    """The type of the file system on a device. By number, not by path: one mount may hide another."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == device:
            return after.split()[0]
    raise LookupError("no mount")


def _under(device: Path, seen: frozenset[Path]) -> State:
    """The state of a block device (its folder in /sys): its own, or that of everything that it is made of."""
    if device in seen:
        raise ValueError("a device that is made of itself")
    uuid = device / "dm" / "uuid"
    if uuid.is_file() and uuid.read_text().startswith(CRYPT):
        return "encrypted"
    if (device / "loop").is_dir():  # a file, on a file system of which this says nothing
        return "unknown"
    whole = device.parent if (device / "partition").is_file() else device
    parts = list((device / "slaves").iterdir()) if (device / "slaves").is_dir() else []
    if whole != device and not parts:
        return _under(whole, seen | {device})
    if not parts:
        return "plain"
    found = {_under(part.resolve(strict=True), seen | {device}) for part in parts}
    return found.pop() if len(found) == 1 else "unknown" if "unknown" in found else "plain"
