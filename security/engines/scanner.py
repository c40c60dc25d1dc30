"""Runs another scanner over an image in a layout: a program of somebody else's, with no network and no variables.

It is begun in an empty folder, so that no file there tells it what not to find, and in a network of its own that has no
link: where the system gives it none, it is not run. Its data are what lies in a folder of the home, and are not
renewed. Whatever ends otherwise than well is a sentence: its exit code says nothing of what it found.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PLACE = re.compile(r"\S*/\S*")
SECONDS = 600.0
LARGEST = 256 << 20
"""Bytes of a report."""
Command = Callable[[str, str, Path], tuple[list[str], dict[str, str]]]
"""From program, image (LAYOUT@sha256:...) and folder of data to arguments and variables."""


def _trivy(program: str, image: str, data: Path) -> tuple[list[str], dict[str, str]]:
    told = ["image", "--input", image, "--cache-dir", str(data), "--cache-backend", "memory", "--skip-db-update"]
    told += ["--offline-scan", "--skip-version-check", "--disable-telemetry", "--scanners", "vuln", "--quiet"]
    told += ["--format", "json", "--list-all-pkgs", "--show-suppressed", "--ignorefile", "", "--exit-code", "0"]
    return [program, *told], {}


def _grype(program: str, image: str, data: Path) -> tuple[list[str], dict[str, str]]:
    env = {"GRYPE_DB_CACHE_DIR": str(data), "GRYPE_DB_AUTO_UPDATE": "false", "GRYPE_DB_VALIDATE_AGE": "false"}
    env |= {"GRYPE_CHECK_FOR_APP_UPDATE": "false"}
    return [program, f"oci-dir:{image.partition('@')[0]}", "-o", "json", "--show-suppressed"], env


COMMANDS: Mapping[str, Command] = {"trivy": _trivy, "grype": _grype}


def scanned(name: str, program: str, layout: Path, sha: str, data: Path) -> tuple[bytes, str]:
    """What a scanner writes of the image of a digest, and why it wrote nothing that counts: one of both is empty.

    `program`: its path, or a name that is looked for; `data`: where what it knows lies.
    """
    found = shutil.which(program)
    if found is None:
        return b"", f"there is no {name} at {Path(program).name}"
    apart = _apart()
    if not apart:
        return b"", "the system gives it no network of its own (unshare --net), and it is not run with this one"
    with tempfile.TemporaryDirectory(prefix="sluice-scan-") as empty, tempfile.TemporaryFile() as out:
        argv, env = COMMANDS[name](str(Path(found).resolve()), f"{layout}@sha256:{sha}", data)
        env |= {"HOME": empty, "TMPDIR": empty, "PATH": os.defpath}
        try:
            ended = subprocess.run(  # noqa: S603 - the program that the policy names, confined
                [*apart, *argv],
                env=env,
                cwd=empty,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as why:
            return b"", f"{name} did not end: {type(why).__name__}"
        if ended.returncode != 0:
            return b"", f"{name} ended with {ended.returncode}: {_last(ended.stderr)}"
        size = out.seek(0, os.SEEK_END)
        if not 0 < size <= LARGEST:
            return b"", f"{name} wrote {size:,} bytes; allowed: 1 to {LARGEST:,}"
        out.seek(0)
        return out.read(), ""


def _apart() -> Sequence[str]:
    """What begins a program in a network of its own; nothing where that cannot be had."""
    if not (unshare := shutil.which("unshare")):
        return ()
    ways = ([unshare, "--net", "--"], [unshare, "--user", "--map-current-user", "--net", "--"])
    for way in ways:
        try:
            tried = subprocess.run([*way, "true"], capture_output=True, timeout=20, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired):
            continue
        if tried.returncode == 0:
            return way
    return ()


def _last(said: bytes) -> str:
    """The end of what a program said, in one line, without the places of this machine: it goes into the evidence."""
    lines = [" ".join(line.split()) for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    last = _PLACE.sub("...", (lines or ["it said nothing"])[-1])
    return "".join(each for each in last[-200:] if each.isprintable())
