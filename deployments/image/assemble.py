"""An approved base, the service's packages and code, and the model, as the layers of one image.

Files go in as they are, each readable for anyone, none that runs as another than who starts it, none of a link that
leads elsewhere. Bytecode stays out: it differs with who made it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from deployments.image.store import Store
from security.errors import BadInput
from security.gates.image import signed
from security.inventory import Node, made
from security.inventory.layers import Laid, lay
from security.inventory.layout import ENVELOPE, Opened, opened
from security.inventory.made import Made
from security.inventory.read import inventory
from security.keys import Signer, seal

PACKAGES, CODE, MODEL = "srv/packages", "srv/code", "srv/model"
USER = "65532:65532"
"""Nobody's: no user of a base has this number."""
TAG = "serving"


def tree(folder: Path, under: str) -> Iterator[tuple[str, Node]]:
    """The files of a folder. Its own entries may be links to where packages lie; below them there are none."""
    for top in sorted(folder.iterdir()):
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            name = path.relative_to(folder)
            if "__pycache__" in name.parts or path.is_dir():
                continue
            if not path.is_file() or (path.is_symlink() and path != top):
                raise BadInput(folder.name, name.as_posix(), "a link, or no file", "files")
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            yield f"{under}/{name.as_posix()}", Node("file", mode, data=path.read_bytes())


def image(
    base: Opened,
    packages: Path,
    code: Mapping[str, Path],
    model: Mapping[str, bytes],
    entrypoint: Sequence[str],
) -> Made:
    """The image. `code`: name -> folder; `model`: name -> bytes; `entrypoint`: a program and its arguments."""
    service = dict(tree(packages, PACKAGES))
    for name, folder in code.items():
        service |= dict(tree(folder, f"{CODE}/{name}"))
    weights = {f"{MODEL}/{name}": Node("file", data=data) for name, data in model.items()}
    if not service or not weights:
        raise BadInput("image", "layers", "no service, or no model", "files of both")
    below = json.loads(base.config)
    history = ("the packages and the code of the service", "the model")
    config = {
        "architecture": str(below["architecture"]),
        "os": str(below["os"]),
        "config": {
            "User": USER,
            "Entrypoint": list(entrypoint),
            "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"],
            "WorkingDir": "/",
        },
        "history": [*below.get("history", []), *({"created_by": each} for each in history)],
    }
    layers = [made.blob(made.layer(each)) for each in (service, weights)]
    return made.image([*base.layers, *layers], config)


def written(image: Made, store: Store, tag: str = TAG) -> str:
    """Keep an image in a layout; its digest. Each layer is hashed as it is written."""
    for layer in image.layers:
        store.put(layer.chunks(), layer.sha256)
    store.put((image.config,))
    store.name(image.manifest, tag)
    return image.sha256


def attested(image: Made, store: Store, signer: Signer) -> None:
    """Attach the bill of materials of what is in an image, signed: what its own layers show, not what went in."""
    laid = Laid()
    for number, layer in enumerate(image.layers, 1):
        lay(laid, number, layer, lambda *_: None)
    bill = signed.components(signed.listed(inventory(laid.tree)))
    told = seal(signed.CYCLONEDX, {TAG: image.sha256}, bill, signer)
    store.attach(image.sha256, ".att", ENVELOPE, told, {})


def assembled(
    base: Path,
    sha: str,
    packages: Path,
    code: Mapping[str, Path],
    model: Mapping[str, bytes],
    entrypoint: Sequence[str],
    out: Path,
    signer: Signer,
) -> str:
    """The image on the base of this digest, with its signed bill, in a new layout; its digest."""
    if out.exists():
        raise BadInput(out.name, "the whole", "something that is there already", "a new folder")
    out.mkdir(parents=True)
    told, store = image(opened(base, sha), packages, code, model, entrypoint), Store(out)
    written(told, store)
    attested(told, store, signer)
    return told.sha256
