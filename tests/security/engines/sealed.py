"""A real volume that the kernel encrypts: ext4 with an fscrypt policy (linux/fscrypt.h), in a file, mounted by a loop.

The key is drawn here, given to the kernel alone, and gone with the mount. Needs root, and a kernel with fscrypt.
"""

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ADD_KEY, SET_POLICY = 0xC0506617, 0x800C6613
"""FS_IOC_ADD_ENCRYPTION_KEY and FS_IOC_SET_ENCRYPTION_POLICY."""
IDENTIFIER, VERSION, CONTENTS, NAMES, PADDED = 2, 2, 1, 4, 3
"""A key that is named by its hash; policies of the second kind; AES-256-XTS, AES-256-CTS, names padded to 32."""
KEY = 64
"""Bytes of a key."""


@contextmanager
def sealed(image: Path, mount: Path, gigabytes: int = 1) -> Iterator[Path]:
    """A folder of such a volume, in which everything that is made is encrypted. `image`: the file that it lies in, no
    larger than what is in it."""
    with image.open("wb") as made:
        made.truncate(gigabytes << 30)
    mount.mkdir()
    _run("mkfs.ext4", "-q", "-O", "encrypt", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(mount))
    try:
        folder = mount / "sealed"
        folder.mkdir()
        _policied(mount, folder)
        yield folder
    finally:
        _run("umount", "--lazy", str(mount))
        image.unlink()


def _policied(mount: Path, folder: Path) -> None:
    told = bytearray(struct.pack("=2I32x2I32x", IDENTIFIER, 0, KEY, 0) + os.urandom(KEY))
    _asked(mount, ADD_KEY, told)
    identifier = bytes(told[8:24])
    _asked(folder, SET_POLICY, bytearray(struct.pack("=4B4x16s", VERSION, CONTENTS, NAMES, PADDED, identifier)))


def _asked(folder: Path, request: int, told: bytearray) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(handle, request, told)
    finally:
        os.close(handle)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
