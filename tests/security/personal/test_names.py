"""A model of the language, made here: what it finds is found, and nothing but spaCy's own is loaded."""

import logging
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import spacy
from presidio_analyzer import AnalyzerEngine
from spacy.language import Language
from spacy.training import Example

from security.errors import CannotTell
from security.personal.analyzer import THRESHOLD, analyzer, told
from security.personal.cells import Cells
from security.personal.names import FACTORIES, load, pin, unseen
from tasks.store import measure
from tests.security.personal.texts import KNOWN, made

pytestmark = pytest.mark.usefixtures("offline")

PEOPLE = ("Alice Smith", "José Álvarez", "Bob", "Zoë", "O'Neil")
PLACES = ("Paris", "New York", "Köln")
RULES = [{"label": "PERSON", "pattern": each} for each in PEOPLE] + [
    {"label": "GPE", "pattern": each} for each in PLACES
]
RULES += [{"label": "NORP", "pattern": "Dutch"}, {"label": "CARDINAL", "pattern": "seven"}]
RULES += [{"label": "EMAIL", "pattern": "electronic"}]


def ruled() -> Language:
    """A pipeline of rules."""
    pipeline = spacy.blank("en")
    pipeline.add_pipe("entity_ruler").add_patterns(RULES)  # type: ignore[attr-defined]
    return pipeline


def trained() -> Language:
    """A pipeline that has learned who Anna and Karl are, from a seed."""
    spacy.util.fix_random_seed(7)
    draw, pipeline = random.Random(7), spacy.blank("en")
    pipeline.add_pipe("ner", config={"model": {"tok2vec": {"width": 32, "depth": 2, "embed_size": 200}}})
    frames = ("{} called twice", "ask {} about it", "the parcel for {} is here", "I saw {}")
    examples = []
    for _ in range(40):
        name, frame = draw.choice(["Anna", "Karl"]), draw.choice(frames)
        at = frame.index("{}")
        doc = pipeline.make_doc(frame.format(name))
        examples.append(Example.from_dict(doc, {"entities": [(at, at + len(name), "PERSON")]}))
    optimizer = pipeline.initialize(lambda: examples)
    for _ in range(12):
        pipeline.update(examples, sgd=optimizer)
    return pipeline


def written(pipeline: Language, folder: Path) -> Path:
    """A pipeline on disk."""
    pipeline.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline of rules on disk."""
    return written(ruled(), tmp_path_factory.mktemp("names") / "model")


@pytest.fixture(scope="module")
def judge(folder: Path) -> AnalyzerEngine:
    """The engine with it."""
    return load(folder, pin(folder))


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A folder to spoil."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def edited(folder: Path, old: str, new: str) -> Path:
    """A folder with another configuration."""
    config = folder / "config.cfg"
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))
    return folder


def refused(folder: Path, sha256: str = "") -> str:
    """What is said of a folder that is not loaded."""
    with pytest.raises(CannotTell) as why:
        load(folder, sha256 or pin(folder))
    assert why.value.cause == "model"
    assert str(folder) not in str(why.value)
    return str(why.value)


def test_names_are_found(judge: AnalyzerEngine) -> None:
    column = pa.array(
        ["I met Alice Smith in New York", "nobody, nowhere", None, "Zoë is Dutch, seven electronic", "Bob"]
    )
    codes, found = Cells(engine=judge).column(column)
    assert [code is not None and found.get(code, ()) for code in codes.to_pylist()] == [
        (("LOCATION", 21, 29, 0.85), ("PERSON", 6, 17, 0.85)),
        (),
        False,
        (("NRP", 7, 12, 0.85), ("PERSON", 0, 3, 0.85)),
        (("PERSON", 0, 3, 0.85),),
    ]
    assert Cells().column(column)[1] == {}


def test_what_is_still_unseen_is_told(judge: AnalyzerEngine, tmp_path: Path) -> None:
    assert unseen(analyzer()) == ("LOCATION", "NRP", "ORGANIZATION", "PERSON")
    assert unseen(judge) == ("ORGANIZATION",)
    place = written(trained(), tmp_path / "trained")
    assert unseen(load(place, pin(place))) == ("LOCATION", "NRP", "ORGANIZATION")


def test_context_words_still_count_and_the_threshold_is_the_same(judge: AnalyzerEngine) -> None:
    assert judge.default_score_threshold == THRESHOLD
    assert judge.registry.recognizers is not analyzer().registry.recognizers
    for text in ("call 5550198 x", "Call my phone 212-555-5555", "my license is A1234567", "5550198", "A1234567"):
        found = Cells(engine=judge).find(pa.array([text])).get(0, ())
        assert found == Cells().find(pa.array([text])).get(0, ())
    assert Cells(engine=judge).find(pa.array(["Call my phone 212-555-5555"]))[0] == (("PHONE_NUMBER", 14, 26, 0.75),)


@pytest.mark.parametrize("make", [ruled, trained])
def test_the_fast_way_finds_what_the_engine_finds(make: Callable[[], Language], tmp_path: Path) -> None:
    place = written(make(), tmp_path / "model")
    judge, draw = load(place, pin(place)), random.Random(2)
    frames = [
        "{} called twice",
        "ask {} about it",
        "{}",
        "{}@example.org",
        "the parcel for {} is here; tel 212-555-0198",
    ]
    people = [draw.choice(frames).format(each) for each in (*PEOPLE, *PLACES, "Anna", "Karl") for _ in range(12)]
    texts = [*people, *KNOWN, *made(400, 31)]
    beside = ["phone"]
    found, counts = Cells(beside, judge).find(pa.array(texts)), Counter[str]()
    for index, text in enumerate(texts):
        wanted = told(judge.analyze(text, language="en", context=beside))
        counts.update(entity for entity, *_ in wanted)
        assert found.get(index, ()) == wanted
    assert counts["PERSON"] > 20
    assert len(counts) > 10


def test_a_text_is_cut_into_words_once(judge: AnalyzerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, words = Counter[str](), judge.nlp_engine.process_text

    def counted(text: str, language: str) -> Any:
        asked[text] += 1
        return words(text, language)

    monkeypatch.setattr(judge.nlp_engine, "process_text", counted)
    Cells(engine=judge).column(pa.array(["Bob: 212-555-0198", "nothing", "Bob: 212-555-0198"]))
    assert asked == {"Bob: 212-555-0198": 1, "nothing": 1}


def test_labels_that_are_nobodys_are_not_logged(judge: AnalyzerEngine, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("presidio-analyzer")
    logger.addHandler(caplog.handler)
    try:
        Cells(engine=judge).find(pa.array(["seven electronic letters for Bob"]))
    finally:
        logger.removeHandler(caplog.handler)
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_the_pin_is_the_digest_of_outputs(folder: Path) -> None:
    assert pin(folder) == measure(folder)[0]


def test_another_model_is_refused(copy: Path) -> None:
    wanted = pin(copy)
    rules = copy / "entity_ruler" / "patterns.jsonl"
    rules.write_text(rules.read_text().replace("Bob", "Rob"))
    assert refused(copy, wanted) == f"a model with the digest {pin(copy)[:12]}; {wanted[:12]} is the one that is pinned"
    (copy / "more").write_text("")
    assert "is the one that is pinned" in refused(copy, wanted)


def test_what_is_loaded_is_what_was_hashed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that changes after it was looked at changes nothing."""
    places, loading = list[Path](), spacy.load

    def late(place: Path) -> Language:
        shutil.rmtree(copy)
        places.append(place)
        return loading(place)

    monkeypatch.setattr(spacy, "load", late)
    judge = load(copy, pin(copy))
    assert Cells(engine=judge).find(pa.array(["Bob"])) == {0: (("PERSON", 0, 3, 0.85),)}
    assert not places[0].exists()


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ('factory = "entity_ruler"', 'factory = "foreign"', "has a part that is none of spaCy's"),
        ('factory = "entity_ruler"', 'factory = "span_cleaner"', "has a part that is none of spaCy's"),
        ('factory = "entity_ruler"', 'source = "en_core_web_sm"', "has a part that is none of spaCy's"),
        ('factory = "entity_ruler"', 'factory = "entity_ruler"\nsource = "x"', "has a part that is none of spaCy's"),
        ("before_creation = null", 'before_creation = {"@callbacks":"evil.v1"}', "asks for code to be run"),
        ("\nafter_creation = null", '\nafter_creation = "x"', "asks for code to be run"),
        ("after_pipeline_creation = null", 'after_pipeline_creation = {"@misc":"x"}', "asks for code to be run"),
        ("spacy.entity_ruler_scorer.v1", "evil.scorer.v1", "names a function that is not spaCy's own"),
        ("spacy.entity_ruler_scorer.v1", "spacy.evil_scorer.v1", "names a function that is not spaCy's own"),
        ("spacy.entity_ruler_scorer.v1", "spacy.planted.v1", "names a function that is not spaCy's own"),
        (
            '@misc = "spacy.levenshtein_compare.v1"',
            '@readers = "spacy.Corpus.v1"',
            "names a function that is not spaCy's own",
        ),
        ("[components]", "[code]\nx = 1\n\n[components]", "1 sections that spaCy does not know"),
        ('lang = "en"', 'lang = "de"', "holds no pipeline for English"),
        ('"spacy.levenshtein_compare.v1"', "${paths.train}", "names a function that is not spaCy's own"),
        ("[nlp]", "[nlp", "has no config.cfg that can be read"),
        ("batch_size = 1000", 'batch_size = "x"', "cannot be loaded by spaCy"),
        ('pipeline = ["entity_ruler"]', "pipeline = []", "finds none of LOCATION, NRP, ORGANIZATION, PERSON"),
        ("disabled = []", 'disabled = ["entity_ruler"]', "finds none of LOCATION, NRP, ORGANIZATION, PERSON"),
    ],
)
def test_a_configuration_that_asks_for_more_is_refused(
    copy: Path, old: str, new: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spacy.registry.scorers.register("spacy.planted.v1", func=lambda: lambda *_: {})
    if "spaCy's" in wanted or "code" in wanted or "sections" in wanted:
        monkeypatch.setattr(spacy, "load", lambda _: pytest.fail("it was loaded"))
    assert wanted in refused(edited(copy, old, new))


def test_what_another_section_says_is_seen_where_it_is_put(copy: Path) -> None:
    """A reference is looked through: what is asked for stands in a section that loading does not resolve."""
    new = '\nscorer = ${training.evil}\n\n[training.evil]\n@callbacks = "evil.v1"\n'
    edited(copy, '\n[components.entity_ruler.scorer]\n@scorers = "spacy.entity_ruler_scorer.v1"', "")
    edited(copy, 'factory = "entity_ruler"', f'factory = "entity_ruler"{new}\n[components.entity_ruler.more]')
    assert "names a function that is not spaCy's own" in refused(copy)


@pytest.mark.parametrize("name", ["code.py", "entity_ruler/x.SO", "vocab/model.pkl"])
def test_a_folder_with_code_is_refused(copy: Path, name: str) -> None:
    wanted = pin(copy)
    (copy / name).write_text("raise SystemExit")
    assert "holds code: a file that ends in ." in refused(copy, wanted)


def test_a_folder_with_links_is_refused_and_one_that_is_missing(copy: Path, tmp_path: Path) -> None:
    wanted = pin(copy)
    assert "is not there, or is no folder" in refused(tmp_path / "missing", wanted)
    assert "is not there, or is no folder" in refused(copy / "meta.json", wanted)
    (tmp_path / "link").symlink_to(copy)
    assert "is not there, or is no folder" in refused(tmp_path / "link", wanted)
    (copy / "vocab" / "link").symlink_to(copy / "meta.json")
    assert "holds a link" in refused(copy, wanted)
    (copy / "vocab" / "link").unlink()
    (copy / "folder").symlink_to(copy / "vocab")
    assert "holds a link" in refused(copy, wanted)
    (copy / "folder").unlink()
    (copy / "config.cfg").unlink()
    assert "has no config.cfg that can be read" in refused(copy)


def test_parts_that_may_be_there_are_spacys_own() -> None:
    pipeline = spacy.blank("en")
    own = {name: pipeline.get_factory_meta(name) for name in FACTORIES}
    assert all(meta.factory == name for name, meta in own.items())
