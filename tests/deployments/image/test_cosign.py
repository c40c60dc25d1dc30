"""The real cosign over a real registry: what was pushed verifies by the producer's key, and by no other."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.image.push import pushed
from security.engines.login import Place
from security.fresh import Fresh
from security.keys import PublicKey, UnsafeLocalKeys
from tests.deployments.image import debian, test_assemble
from tests.tasks.distribution import Distribution, absent

pytestmark = [
    pytest.mark.prove,
    pytest.mark.skipif(bool(absent()) or not shutil.which("dpkg-deb"), reason="needs Debian, docker-registry, skopeo"),
]
base, parts = test_assemble.base, test_assemble.parts


@pytest.fixture(scope="module")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.which("cosign") or debian.program("cosign", "trixie", tmp_path_factory.mktemp("cosign")))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Distribution]:
    with Distribution(tmp_path) as made:
        yield made


def ran(cosign: Path, home: Path, key: PublicKey, reference: str, *act: str) -> tuple[int, str]:
    (home / "key.pub").write_bytes(key.pem)
    argv = [str(cosign), *act, "--key", str(home / "key.pub"), "--insecure-ignore-tlog", "--allow-http-registry"]
    env = {"HOME": str(home), "PATH": os.environ["PATH"]}
    ended = subprocess.run([*argv, reference], env=env, capture_output=True, text=True, timeout=120, check=False)
    return ended.returncode, ended.stderr


def test_cosign_verifies_what_was_pushed_by_the_right_key_alone(
    cosign: Path, server: Distribution, base: tuple[Path, str], parts: dict[str, Path], tmp_path: Path
) -> None:
    keys, name, attest = UnsafeLocalKeys(tmp_path / "keys"), f"{server.address}/team/serving", "verify-attestation"
    of = test_assemble.assemble.assembled
    sha = of(*base, **parts, out=tmp_path / "out", signer=keys.signer("producer"), name=name)  # type: ignore[arg-type]
    reference = pushed(tmp_path / "out", sha, Place(name, "", "UnsafeHttp")).reference
    right, wrong = keys.public("producer"), Fresh(random.Random("another")).public
    ended, said = ran(cosign, tmp_path, right, reference, "verify")
    assert (ended, "The signatures were verified against the specified public key" in said) == (0, True), said
    ended, said = ran(cosign, tmp_path, right, reference, attest, "--type", "cyclonedx")
    assert (ended, "The signatures were verified against the specified public key" in said) == (0, True), said
    ended, said = ran(cosign, tmp_path, wrong, reference, "verify")
    assert (ended != 0, "invalid signature when validating ASN.1 encoded signature" in said) == (True, True), said
    assert ran(cosign, tmp_path, wrong, reference, attest, "--type", "cyclonedx")[0] != 0
    assert ran(cosign, tmp_path, right, reference, attest, "--type", "openvex")[0] != 0
