"""An approved base, the service's packages and code, the model and the log of its run, as the layers of one image.

Files go in as they are, each readable for anyone, none that runs as another than who starts it, none of a link that
leads elsewhere. Bytecode stays out: it differs with who made it. However large they are, no more of them is held in
memory than a piece.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from deployments.image.store import Store
from security.endorse import Image, payload
from security.errors import BadInput
from security.gates.image import signed
from security.inventory import Node, made
from security.inventory.layers import PIECE, Blob, Laid, lay
from security.inventory.layout import ENVELOPE, SIGNATURE, SIGNED, Opened, opened
from security.inventory.made import Made
from security.inventory.read import inventory
from security.keys import Signer, seal

PACKAGES, CODE, MODEL, LOG = "srv/packages", "srv/code", "srv/release", "srv/log"
"""Where they lie in the image; the manifests say `/srv/release` and `/srv/log` too."""
USER = "65532:65532"
"""Nobody's: no user of a base has this number."""
TAG = "serving"
Files = Mapping[str, Path]
"""Path in the image -> where its bytes are."""


def tree(folder: Path, under: str) -> Iterator[tuple[str, Path]]:
    """The files of a folder. Its own entries may be links to where packages lie; below them there are none."""
    for top in sorted(folder.iterdir()):
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            name = path.relative_to(folder)
            if "__pycache__" in name.parts or path.is_dir():
                continue
            if not path.is_file() or (path.is_symlink() and path != top):
                raise BadInput(folder.name, name.as_posix(), "a link, or no file", "files")
            yield f"{under}/{name.as_posix()}", path


def image(base: Opened, parts: Sequence[tuple[str, Files]], entrypoint: Sequence[str], work: Path) -> Made:
    """The image of a base and these layers, each with what it is. `entrypoint`: a program and its arguments; `work`: a
    folder for the archives, needed for as long as the image is."""
    below = json.loads(base.config)
    config = {
        "architecture": str(below["architecture"]),
        "os": str(below["os"]),
        "config": {
            "User": USER,
            "Entrypoint": list(entrypoint),
            "Env": ["PATH=/usr/bin:/bin", "LANG=C.UTF-8"],
            "WorkingDir": "/",
        },
        "history": [*below.get("history", []), *({"created_by": what} for what, _ in parts)],
    }
    return made.image([*base.layers, *(_layer(files, work / str(at)) for at, (_, files) in enumerate(parts))], config)


def _layer(files: Files, archive: Path) -> Blob:
    """The layer of files, as an archive that is not packed."""
    nodes = {path: Node("file", 0o755 if at.stat().st_mode & 0o100 else 0o644) for path, at in files.items()}
    with archive.open("w+b") as out:
        made.archive(nodes, out, files)
        size = out.tell()
        out.seek(0)
        sha = hashlib.file_digest(out, "sha256").hexdigest()
    return Blob(made.LAYER, sha, size, sha, partial(_pieces, archive))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def written(image: Made, store: Store, tag: str = TAG) -> str:
    """Keep an image in a layout; its digest. Each layer is hashed as it is written."""
    for layer in image.layers:
        store.put(layer.chunks(), layer.sha256)
    store.put((image.config,))
    store.name(image.manifest, tag)
    return image.sha256


def attested(image: Made, store: Store, signer: Signer) -> None:
    """Attach the bill of materials of what is in an image, signed: what its own layers show, not what went in.
    `BadInput` for an image that does not have the program that it starts."""
    laid = Laid()
    for number, layer in enumerate(image.layers, 1):
        lay(laid, number, layer, lambda *_: None)
    program = str(json.loads(image.config)["config"]["Entrypoint"][0])
    at = laid.tree.resolve(program.removeprefix("/"))
    if at is None or (node := laid.tree.nodes.get(at)) is None or node.kind != "file" or not node.mode & 0o111:
        raise BadInput("image", "entrypoint", f"no program {program}", "one that the base has")
    bill = signed.components(signed.listed(inventory(laid.tree)))
    told = seal(signed.CYCLONEDX, {TAG: image.sha256}, bill, signer)
    # cosign takes no envelope without this annotation, which it leaves empty: what signs is in the envelope
    store.attach(image.sha256, ".att", ENVELOPE, told, {SIGNATURE: "", "predicateType": signed.CYCLONEDX})


def endorsed(image: Made, store: Store, signer: Signer, name: str) -> None:
    """Attach a signature as cosign makes one. `name`: HOST/PATH of the repository that it is signed for."""
    of = Image(image.sha256, name)
    mark = base64.b64encode(signer.endorse(of)).decode()
    store.attach(image.sha256, ".sig", SIGNED, payload(of), {SIGNATURE: mark})


def assembled(
    base: Path,
    sha: str,
    packages: Path,
    code: Files,
    model: Files,
    log: Files,
    entrypoint: Sequence[str],
    out: Path,
    signer: Signer,
    name: str = "",
) -> str:
    """The image on the base of this digest, with its signed bill, signed for a repository HOST/PATH, in a new layout;
    its digest. `code`, `model` and `log` (of the run that made it): path below theirs -> file, or folder of code."""
    if out.exists():
        raise BadInput(out.name, "the whole", "something that is there already", "a new folder")
    service = dict(tree(packages, PACKAGES))
    for path, at in code.items():
        service |= dict(tree(at, f"{CODE}/{path}")) if at.is_dir() else {f"{CODE}/{path}": at}
    weights = {f"{MODEL}/{path}": at for path, at in model.items()}
    shows = {f"{LOG}/{path}": at for path, at in log.items()}
    if not service or not weights or not shows:
        raise BadInput("image", "layers", "no service, no model, or no log", "files of each")
    below = opened(base, sha)
    out.mkdir(parents=True)
    with TemporaryDirectory(dir=out, prefix=".new-") as work:
        own = [("the packages and the code of the service", service), ("the model", weights)]
        parts = [*own, ("the log of the run that made it", shows)]
        told, store = image(below, parts, entrypoint, Path(work)), Store(out)
        written(told, store)
        attested(told, store, signer)
        endorsed(told, store, signer, name)
    return told.sha256
