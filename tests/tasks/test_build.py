"""The image of a run: what of it is kept, and what manifests name."""

import os
import time
from pathlib import Path

import pytest
import yaml

from deployments.image import assemble
from deployments.image.closure import closure
from security.errors import StoreError
from tasks import build, tree
from tasks.home import Home
from tasks.store import current, move
from tests.security.manifests.given import VALUES, rendered


def test_images_go_that_nobody_needs_any_more(tmp_path: Path) -> None:
    home = Home(tmp_path)
    for run in ("old", "fresh", "serves", "works", "elsewhere"):
        made = home.folder(build.IMAGES, run)
        os.utime(made, (0, time.time() - (build.KEPT + 9 if run != "fresh" else 0)))
    home.mark("works")
    move(home, "serving", current(home, "serving")[0], {"run": "serves", "model": "m", "url": "u", "log": "l"})
    move(home, "serving-kubernetes_test-sample", 0, {"run": "elsewhere", "model": "m", "log": "l"})
    assert build.sweep(home) == ["old"]
    assert build.sweep(home) == []
    left = sorted(path.name for path in (tmp_path / build.IMAGES).iterdir())
    assert left == ["elsewhere", "fresh", "serves", "works"]


def test_the_image_is_that_of_the_one_deployment(tmp_path: Path) -> None:
    for name, data in rendered():
        (tmp_path / name).write_bytes(data)
    assert build.named(tmp_path) == VALUES["image"]
    path = tmp_path / "deployment.yaml"
    one = yaml.safe_load(path.read_bytes())
    pod = one["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "first", "image": "another"}]
    path.write_text(yaml.safe_dump(one))
    with pytest.raises(StoreError, match="found 2 containers; allowed: one"):
        build.named(tmp_path)
    for name, data in rendered(image=None):
        (tmp_path / name).write_bytes(data)
    assert build.named(tmp_path) == ""


def test_the_manifests_start_what_the_image_has() -> None:
    """Release, entry point and arguments agree between the two who make them."""
    deployment = dict(rendered())["deployment.yaml"]
    (container,) = yaml.safe_load(deployment)["spec"]["template"]["spec"]["containers"]
    assert "command" not in container
    assert container["args"][:2] == ["--release", f"/{assemble.MODEL}"]
    assert build.ENTRYPOINT[-2:] == (f"/{assemble.CODE}", f"/{assemble.PACKAGES}")
    assert f"{build.SERVES.replace('.', '/')}/__main__.py" in closure(tree.PIPELINE, build.SERVES)
