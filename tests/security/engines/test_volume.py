"""Volumes as the kernel tells of them: on this machine, and on machines whose /proc and /sys are laid out here."""

import os
from pathlib import Path

import pytest

from security.engines import volume
from security.engines.volume import states
from tests.security.engines.sealed import sealed

LUKS, LVM = "CRYPT-LUKS2-0123456789abcdef-cryptroot\n", "LVM-abcdef\n"


class Machine:
    """A /proc and a /sys. The folder under test lies on the device `253:1` of it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.sys, self.folder = root / "proc", root / "sys", root / "folder"
        for path in (self.proc / "self", self.sys / "dev" / "block", self.sys / "devices", self.folder):
            path.mkdir(parents=True)
        self.kernel: OSError | None = OSError(95, "Operation not supported")
        monkeypatch.setattr(volume.os, "major", lambda _: 253)
        monkeypatch.setattr(volume.os, "minor", lambda _: 1)
        monkeypatch.setattr(volume.fcntl, "ioctl", self._ioctl)
        self.mounted("ext4")

    def _ioctl(self, *_: object) -> int:
        if self.kernel:
            raise self.kernel
        return 0

    def mounted(self, kind: str, device: str = "253:1") -> None:
        lines = ["22 27 0:21 / /proc rw - proc proc rw", f"27 1 {device} / /a\\040b rw,relatime - {kind} /dev/x rw"]
        (self.proc / "self" / "mountinfo").write_text("\n".join(lines) + "\n")

    def device(self, name: str, number: str = "", uuid: str = "", slaves: tuple[str, ...] = ()) -> None:
        """A device, its folder in /sys. A name with a slash is a partition."""
        made = self.sys / "devices" / name
        (made / "slaves").mkdir(parents=True)
        if uuid:
            (made / "dm").mkdir()
            (made / "dm" / "uuid").write_text(uuid)
        if "/" in name:
            (made / "partition").write_text("1\n")
        for slave in slaves:
            (made / "slaves" / slave.replace("/", "!")).symlink_to(self.sys / "devices" / slave)
        if number:
            (self.sys / "dev" / "block" / number).symlink_to(made)

    def state(self) -> str:
        return states({"here": self.folder}, self.proc, self.sys)["here"]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_a_plain_disk_and_a_partition_of_it(machine: Machine) -> None:
    machine.device("vda")
    machine.device("vda/vda1", "253:1")
    assert machine.state() == "plain"


def test_luks_itself_and_what_lies_on_it(machine: Machine) -> None:
    machine.device("vda/vda1")
    machine.device("dm-0", uuid=LUKS, slaves=("vda/vda1",))
    machine.device("dm-1", "253:1", uuid=LVM, slaves=("dm-0",))
    assert machine.state() == "encrypted"


def test_a_partition_of_something_encrypted(machine: Machine) -> None:
    machine.device("dm-0", uuid=LUKS)
    machine.device("dm-0/dm-0p1", "253:1")
    assert machine.state() == "encrypted"


@pytest.mark.parametrize("uuid", [LVM, "CRYPT-VERITY-x", "CRYPT-INTEGRITY-x", "CRYPT-TEMP-x", "x-CRYPT-LUKS2", ""])
def test_another_mapping_is_not_encryption(machine: Machine, uuid: str) -> None:
    machine.device("vda")
    machine.device("dm-0", "253:1", uuid=uuid, slaves=("vda",))
    assert machine.state() == "plain"


def test_one_plain_disk_of_two_makes_the_volume_plain(machine: Machine) -> None:
    machine.device("vda")
    machine.device("dm-0", uuid=LUKS)
    machine.device("dm-1", "253:1", uuid=LVM, slaves=("dm-0", "vda"))
    assert machine.state() == "plain"


def test_a_file_as_a_disk_is_not_known(machine: Machine) -> None:
    machine.device("loop0")
    (machine.sys / "devices" / "loop0" / "loop").mkdir()
    machine.device("dm-0", uuid=LUKS)
    machine.device("md0", "253:1", slaves=("dm-0", "loop0"))
    assert machine.state() == "unknown"


def test_a_device_made_of_itself_is_not_known(machine: Machine) -> None:
    machine.device("dm-0", "253:1", uuid=LVM, slaves=("dm-0",))
    assert machine.state() == "unknown"


def test_a_policy_of_the_folder_is_enough(machine: Machine) -> None:
    machine.device("vda", "253:1")
    machine.kernel = None
    assert machine.state() == "encrypted"


@pytest.mark.parametrize(
    ("error", "state"), [(61, "plain"), (25, "plain"), (22, "plain"), (5, "unknown"), (13, "unknown")]
)
def test_what_the_kernel_says_of_a_folder_without_a_policy(machine: Machine, error: int, state: str) -> None:
    machine.device("vda", "253:1")
    machine.kernel = OSError(error, os.strerror(error))
    assert machine.state() == state


def test_a_file_system_that_encrypts_by_itself(machine: Machine) -> None:
    machine.mounted("ecryptfs")
    assert machine.state() == "encrypted"


@pytest.mark.parametrize("kind", ["tmpfs", "overlay", "nfs4", "btrfs"])
def test_what_has_no_device_is_not_known(machine: Machine, kind: str) -> None:
    machine.mounted(kind)
    assert machine.state() == "unknown"


def test_a_device_that_is_nowhere_mounted_is_not_known(machine: Machine) -> None:
    machine.device("vda", "253:1")
    machine.mounted("ext4", "253:9")
    assert machine.state() == "unknown"
    (machine.proc / "self" / "mountinfo").unlink()
    assert machine.state() == "unknown"


def test_on_this_machine(tmp_path: Path) -> None:
    told = states({"here": tmp_path, "kernel": Path("/proc"), "nowhere": tmp_path / "x"})
    assert told.keys() == {"here", "kernel", "nowhere"}
    assert told["here"] in ("encrypted", "plain", "unknown")
    assert (told["kernel"], told["nowhere"]) == ("unknown", "unknown")


@pytest.mark.skipif(os.getuid() != 0, reason="needs root: it mounts a volume")
def test_a_real_volume_with_a_policy_of_fscrypt(tmp_path: Path) -> None:
    image, mount = tmp_path / "image", tmp_path / "mount"
    under = states({"under it": tmp_path})
    with sealed(image, mount) as folder:
        deep = folder / "a" / "b"
        deep.mkdir(parents=True)
        beside = mount / "beside"
        beside.mkdir()
        told = states({"policy": folder, "in it": deep, "beside it": beside})
        assert (told["policy"], told["in it"]) == ("encrypted", "encrypted")
        assert told["beside it"] == "unknown", "a volume in a file says nothing of where the file lies"
        assert states({"under it": tmp_path}) == under
        (deep / "rows").write_bytes(b"what nobody may read from the disk")
        (beside / "rows").write_bytes(b"what anybody may read from the disk")
        os.sync()
        lying = image.read_bytes()
        assert b"what nobody may read" not in lying
        assert b"what anybody may read" in lying
