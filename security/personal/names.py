"""Names, places and organisations, with a model of the language: a spaCy pipeline in a folder, pinned by its digest.

The model is the optional part: spaCy itself comes with Presidio, and nothing is fetched here. What is in the folder is
data, and is never run: its configuration may name only what spaCy itself has, and what else spaCy could resolve at
loading (callbacks, other models, code of other packages) is refused before it is asked.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import spacy
import spacy.about
from presidio_analyzer import AnalyzerEngine
from presidio_analyzer.nlp_engine import NerModelConfiguration, NlpArtifacts, SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import SpacyRecognizer
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_config, registry

from security.errors import CannotTell
from security.personal.analyzer import engine
from security.personal.cells import Cells
from security.personal.found import UNSEEN, Model
from security.personal.words import artifacts
from security.verdict import digest

FINDERS = ("ner", "entity_ruler")
"""Parts of a pipeline that find entities."""
FACTORIES = (
    *FINDERS,
    *("tok2vec", "tagger", "morphologizer", "parser", "senter", "sentencizer", "attribute_ruler", "lemmatizer"),
)
"""Parts that a pipeline may have: those of spaCy's own English pipelines, and rules for entities."""
KINDS = ("@architectures", "@misc", "@scorers", "@tokenizers", "@vectors")
"""What a configuration may ask spaCy's registries for."""
OWN = ("spacy", "spacy_legacy")
"""Packages whose functions may be what it asks for."""
SECTIONS = ("paths", "variables", "system", "nlp", "components", "corpora", "training", "pretraining", "initialize")
"""What a configuration consists of; only `nlp` and `components` are looked at by loading."""
CODE = (".py", ".pyc", ".pyd", ".so", ".dll", ".dylib", ".pt", ".pth")
"""Ends of names of files that hold code, or may."""
CONFIG = "config.cfg"


class Names(SpacyNlpEngine):
    """Words and entities of a loaded pipeline; `seen` are the entities, in Presidio's names, that it can find.

    Words are those of `security.personal.words`, and not the pipeline's: context then means the same with a model and
    without, and a text has a context word only where it is in the text.
    """

    known = frozenset[str]()

    def __init__(self, pipeline: Language) -> None:
        finders = [name for name in pipeline.pipe_names if pipeline.get_pipe_meta(name).factory in FINDERS]
        labels = {label for name in finders for label in pipeline.pipe_labels[name]}
        known = NerModelConfiguration().model_to_presidio_entity_mapping or {}
        self.seen = frozenset(known[label] for label in labels & known.keys()) & frozenset(SpacyRecognizer.ENTITIES)
        other = sorted(label for label in labels if known.get(label) not in self.seen)
        super().__init__([{"lang_code": "en", "model_name": "folder"}], NerModelConfiguration(labels_to_ignore=other))
        self.nlp: Any = {"en": pipeline}

    def load(self) -> None:
        """Nothing: it is loaded, and Presidio's own way might fetch a model."""

    def _doc_to_nlp_artifact(self, doc: Doc, language: str) -> NlpArtifacts:
        found, scores = self._get_updated_entities(self._get_entities(doc), self._get_scores_for_entities(doc))
        return artifacts(doc.text, self.known, self, found, scores)


def load(folder: Path, sha256: str) -> AnalyzerEngine:
    """The engine of `security.personal.analyzer` that also finds what the pipeline in `folder` does, in English.

    `sha256` is the `pin` of the folder. `CannotTell` (`model`) where the folder is missing, is another one, holds
    links or code, names what is not spaCy's own, cannot be loaded, or finds nothing of what is unseen without it.
    """
    with tempfile.TemporaryDirectory() as fresh:
        # What was hashed is what is loaded, whatever happens to the folder meanwhile.
        held = Path(fresh) / "model"
        listing = list(_files(folder, held))
        if (found := digest({"files": listing})) != sha256:
            raise CannotTell(f"a model with the digest {found[:12]}; {sha256[:12]} is the one that is pinned", "model")
        try:
            config = load_config(held / CONFIG, interpolate=True)
        except Exception as why:
            raise _error(f"has no {CONFIG} that can be read ({type(why).__name__})") from None
        _allow(config)
        try:
            names = Names(spacy.load(held))
        except Exception as why:
            raise _error(f"cannot be loaded by spaCy {spacy.about.__version__} ({type(why).__name__})") from None
    if not names.seen & set(UNSEEN):
        raise _error(f"finds none of {', '.join(UNSEEN)}")
    return engine(names, SpacyRecognizer(supported_entities=sorted(names.seen)))


def pin(folder: Path) -> str:
    """The digest of a folder: that of the canonical listing of its files with their digests and sizes in bytes."""
    return digest({"files": list(_files(folder))})


@lru_cache(2)
def opened(model: Model) -> AnalyzerEngine:
    """The engine with a model, loaded once. `CannotTell` (`model`) as `load` says, and where in the text that is named
    with it nothing of what is unseen without a model is found, or something is without one."""
    judge, text = load(Path(model.folder), model.sha256), pa.array([model.finds])
    if not {entity for entity, *_ in Cells(engine=judge).find(text).get(0, ())} & set(UNSEEN):
        raise _error("finds nothing in the text in which it must")
    if Cells().find(text):
        raise CannotTell("in the text that the model is to find something in there is more than names", "model")
    return judge


def unseen(judge: AnalyzerEngine) -> tuple[str, ...]:
    """The entities that an engine cannot find, for want of a model."""
    seen: frozenset[str] = getattr(judge.nlp_engine, "seen", frozenset())
    return tuple(entity for entity in UNSEEN if entity not in seen)


def _error(why: str) -> CannotTell:
    return CannotTell(f"the model's folder {why}", "model")


def _files(folder: Path, target: Path | None = None) -> Iterator[dict[str, Any]]:
    """Each file of a folder by name, copied to `target` first where there is one: it is the copy that is hashed."""
    if folder.is_symlink() or not folder.is_dir():
        raise _error("is not there, or is no folder")
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    for name, path in sorted(paths.items()):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise _error("holds a link, or what is neither a file nor a folder")
        if path.suffix.lower() in CODE or path.suffix.lower().startswith((".pk", ".pick")):
            raise _error(f"holds code: a file that ends in {path.suffix.lower()}")
        if path.is_dir():
            continue
        if target:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            path = Path(shutil.copyfile(path, target / name, follow_symlinks=False))
        with path.open("rb") as data:
            yield {"name": name, "sha256": hashlib.file_digest(data, "sha256").hexdigest(), "size": data.tell()}


def _allow(config: Mapping[str, Any]) -> None:
    """Refuse what is not spaCy's own in what loading a configuration resolves."""
    if strange := set(config) - set(SECTIONS):
        raise _error(f"has a configuration with {len(strange)} sections that spaCy does not know")
    pipeline, parts = config.get("nlp", {}), config.get("components", {})
    if pipeline.get("lang") != "en":
        raise _error("holds no pipeline for English")
    for part in parts.values():
        if not isinstance(part, Mapping) or part.get("factory") not in FACTORIES or "source" in part:
            raise _error(f"has a part that is none of spaCy's {', '.join(FACTORIES)}")
    if any(pipeline.get(hook) is not None for hook in ("before_creation", "after_creation", "after_pipeline_creation")):
        raise _error("asks for code to be run when it is loaded")
    for kind, name in (*_asked(pipeline), *_asked(parts)):
        if kind not in KINDS or not isinstance(name, str) or not _own(kind.removeprefix("@"), name):
            raise _error("names a function that is not spaCy's own")


def _asked(value: Any) -> Iterator[tuple[str, Any]]:
    """What a configuration asks of registries, at any depth."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if str(key).startswith("@"):
                yield str(key), each
            yield from _asked(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _asked(each)


def _own(kind: str, name: str) -> bool:
    """Whether a function of spaCy's registries comes with spaCy."""
    if not name.startswith("spacy.") or not registry.has(kind, name):
        return False
    return registry.get(kind, name).__module__.partition(".")[0] in OWN
