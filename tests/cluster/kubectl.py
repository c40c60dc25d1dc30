"""The real kubectl, of Debian's unstable suite, fetched by apt into a folder of its own: the system stays as it is."""

import os
import platform
import subprocess
from pathlib import Path

import pytest

VERSION = "1.36."
KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


def _run(*argv: str, folder: Path, config: Path | None = None) -> str:
    env = {"PATH": os.environ.get("PATH", os.defpath), **({"APT_CONFIG": str(config)} if config else {})}
    for name in ("http_proxy", "https_proxy"):
        env |= {name: os.environ[name]} if name in os.environ else {}
    ended = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)
    if ended.returncode:
        pytest.fail(f"kubectl COULD NOT BE HAD, nothing was proven: {argv[0]}: {ended.stderr[-800:]}")
    return ended.stdout


def site(folder: Path) -> str:
    """Where the machine's own packages come from."""
    told = _run("apt-get", "indextargets", "--format", "$(SITE) $(CODENAME) $(COMPONENT)", "Created-By: Packages",
                folder=folder)  # fmt: skip
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    rows = [each.split() for each in told.splitlines()]
    found = sorted({row[0] for row in rows if row[1:] == [codename, "main"]})
    if not found:
        pytest.fail("kubectl COULD NOT BE HAD, nothing was proven: apt names no place of Debian's packages")
    return found[0]


def kubectl(folder: Path) -> Path:
    """The program."""
    for each in ("lists/partial", "cache/archives/partial", "etc"):
        (folder / each).mkdir(parents=True)
    (folder / "etc/sources.list").write_text(f"deb [signed-by={KEYS}] {site(folder)} sid main\n")
    config = folder / "apt.conf"
    config.write_text(
        f'Dir::State::lists "{folder}/lists"; Dir::Cache "{folder}/cache"; Dir::State::status "/dev/null";\n'
        f'Dir::Etc::sourcelist "{folder}/etc/sources.list"; Dir::Etc::sourceparts "-";\n'
        'APT::Sandbox::User "root"; Acquire::Languages "none";\n'
    )
    _run("apt-get", "update", "-qq", folder=folder, config=config)
    _run("apt-get", "download", "-qq", "kubectl", folder=folder, config=config)
    (package,) = folder.glob("kubectl_*.deb")
    _run("dpkg-deb", "-x", str(package), str(folder / "tree"), folder=folder)
    program = folder / "tree/usr/bin/kubectl"
    told = _run(str(program), "version", "--client", folder=folder)
    if f"v{VERSION}" not in told:
        pytest.fail(f"kubectl COULD NOT BE HAD, nothing was proven: found {told.split()[2]}; allowed: {VERSION}x")
    return program
