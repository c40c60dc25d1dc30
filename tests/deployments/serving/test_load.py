"""A release: what is loaded, and what keeps the service from starting."""

import hashlib
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from deployments.serving import load as loading
from deployments.serving.load import Model, load
from security.errors import BadInput, KeyBroken, Refused, SluiceError
from security.keys import PublicKey
from security.verdict import digest
from tests.deployments.serving.release import ITEMS, NOBODY, Site, arrays, card, ids, write


@pytest.fixture(scope="module")
def key(home: Site) -> PublicKey:
    """The producer's."""
    return home.keys.public("producer")


@pytest.fixture(scope="module")
def model(home: Site, key: PublicKey) -> Model:
    """The good release, loaded."""
    return load(home.release, key, name="recommender")


def test_the_digest_is_that_of_all_files(model: Model, home: Site) -> None:
    listed = []
    for file in sorted(home.release.iterdir()):
        data = file.read_bytes()
        listed.append({"name": file.name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)})
    assert len(listed) == 4
    assert model.digest == digest({"files": listed})
    assert (model.card.name, model.card.version, model.card.run) == ("recommender", 3, "run-7")


@pytest.mark.parametrize("user", range(NOBODY))
def test_scores_are_those_of_the_autoencoder(model: Model, user: int) -> None:
    parts = arrays()
    row = np.zeros(ITEMS)
    row[parts["seen_indices"][parts["seen_indptr"][user] : parts["seen_indptr"][user + 1]]] = 1
    hidden = np.tanh(row / np.linalg.norm(row) @ parts["encoder"] + parts["encoder_bias"])
    scores = hidden @ parts["decoder"] + parts["decoder_bias"]
    scores[row > 0] = -np.inf
    wanted = [f"i{item:03d}" for item in np.argsort(-scores, kind="stable")[:10]]
    best, basis = model.recommend(f"u{user:03d}", 10)
    assert basis == "personal"
    assert [item for item, _ in best] == wanted
    assert [score for _, score in best] == pytest.approx(np.sort(scores)[::-1][:10], abs=1e-4)


def test_seen_items_never_return_even_when_all_are_asked_for(model: Model) -> None:
    for user in range(NOBODY):
        seen = {f"i{item:03d}" for item in model.history(f"u{user:03d}")}
        best, _ = model.recommend(f"u{user:03d}", 100)
        assert {item for item, _ in best} == set(ids()["items"]) - seen
        assert all(np.isfinite(score) for _, score in best)


@pytest.mark.parametrize("user", ["nobody-known", f"u{NOBODY:03d}"])
def test_without_a_history_the_most_popular_come(model: Model, user: str) -> None:
    best, basis = model.recommend(user, 5)
    counts = np.bincount(arrays()["seen_indices"], minlength=ITEMS)
    assert basis == "cold"
    assert [item for item, _ in best] == [f"i{item:03d}" for item in np.argsort(-counts, kind="stable")[:5]]
    assert [score for _, score in best] == [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5], "the order, and nothing of the counts"


@pytest.mark.parametrize(("group", "many"), [(64, 4), (2, 1), (3, 2)])
@given(st.lists(st.integers(0, 3) | st.integers(-9, 99), min_size=1, max_size=40), st.integers(1, 45))
def test_the_best_are_a_stable_sort(group: int, many: int, scores: list[int], k: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loading, "GROUP", group)
        patch.setattr(loading, "MANY", many)
        assert best(scores, k) == stable(scores, k)


def test_the_best_of_a_large_catalogue_are_a_stable_sort() -> None:
    draw = np.random.default_rng(3)
    for high in (3, 50, 1 << 20):
        scores = draw.integers(0, high, 5003)
        scores[draw.choice(5003, 40)] = -1
        for k in (1, 10, 78, 79, 100):
            assert best(scores.tolist(), k) == stable(scores.tolist(), k)


def best(scores: list[int], k: int) -> list[int]:
    """The best `k` items of a model that scores so."""
    some = Model("", None, [str(n) for n in range(len(scores))], {}, {}, {}, np.array(scores, np.float32))  # type: ignore[arg-type]
    return [int(item) for item, _ in some.recommend("any", k)[0]]


def stable(scores: list[int], k: int) -> list[int]:
    """The same by a stable sort."""
    return sorted(range(len(scores)), key=lambda item: (-scores[item], item))[:k]


def test_another_key_an_altered_a_missing_and_an_added_file(home: Site, key: PublicKey, folder: Path) -> None:
    write(folder, home.keys.signer("producer"))
    assert load(folder, key).card.version == 3
    with pytest.raises(KeyBroken):
        load(folder, home.keys.public("verifier"))
    (folder / "more.txt").write_text("more")
    with pytest.raises(KeyBroken, match=r"more\.txt"):
        load(folder, key)
    (folder / "more.txt").unlink()
    kept = (folder / "ids.json").read_bytes()
    (folder / "ids.json").write_bytes(kept.replace(b"i000", b"i999"))
    with pytest.raises(KeyBroken, match=r"ids\.json"):
        load(folder, key)
    (folder / "ids.json").unlink()
    with pytest.raises(KeyBroken, match=r"ids\.json"):
        load(folder, key)
    (folder / "ids.json").write_bytes(kept)
    (folder / "model.sig").unlink()
    with pytest.raises(KeyBroken, match=r"model\.sig"):
        load(folder, key)


def test_a_link_is_not_followed(home: Site, key: PublicKey, folder: Path, tmp_path: Path) -> None:
    write(folder, home.keys.signer("producer"))
    outside = tmp_path / "ids.json"
    (folder / "ids.json").rename(outside)
    (folder / "ids.json").symlink_to(outside)
    with pytest.raises(KeyBroken):
        load(folder, key)


def test_another_name_is_refused(home: Site, key: PublicKey) -> None:
    with pytest.raises(Refused, match=r"'recommender', not of 'other'"):
        load(home.release, key, name="other")
    with pytest.raises(Refused, match="not of ''"):
        load(home.release, key, name="")


def test_expiry(home: Site, key: PublicKey, folder: Path) -> None:
    now = time.time()
    assert load(home.release, key, now=now + 3000).card.version == 3
    with pytest.raises(Refused, match="expired"):
        load(home.release, key, now=now + 3700)
    write(folder, home.keys.signer("producer"), says=card(created=now + 90, expires=now + 90))
    with pytest.raises(Refused, match="before it was made"):
        load(folder, key)


def changed(**parts: Any) -> dict[str, Any]:
    """The arrays with some replaced; None leaves one out."""
    return {name: value for name, value in {**arrays(), **parts}.items() if value is not None}


def big(name: str, value: float) -> np.ndarray[Any, Any]:
    """An array with one number replaced."""
    array = arrays()[name].copy()
    array.flat[0] = value
    return array


BAD_TENSORS = {
    "no-encoder": changed(encoder=None),
    "one-more": changed(more=np.zeros(1, np.float32)),
    "float64": changed(decoder=arrays()["decoder"].astype(np.float64)),
    "turned": changed(encoder=np.ascontiguousarray(arrays()["encoder"].T)),
    "width": changed(encoder_bias=np.zeros(7, np.float32)),
    "no-width": changed(
        encoder=np.zeros((ITEMS, 0), np.float32),
        encoder_bias=np.zeros(0, np.float32),
        decoder=np.zeros((0, ITEMS), np.float32),
    ),
    "nan": changed(encoder=big("encoder", np.nan)),
    "inf": changed(decoder_bias=big("decoder_bias", np.inf)),
    "overflow": changed(decoder=np.full((8, ITEMS), 3e38, np.float32)),
    "float-index": changed(seen_indices=arrays()["seen_indices"].astype(np.float32)),
    "pointer-start": changed(seen_indptr=big("seen_indptr", 1)),
    "pointer-falls": changed(seen_indptr=np.r_[0, 12, 3, arrays()["seen_indptr"][3:]].astype(np.int32)),
    "pointer-short": changed(seen_indptr=arrays()["seen_indptr"][:-1].copy()),
    "item-beyond": changed(seen_indices=big("seen_indices", ITEMS)),
    "item-negative": changed(seen_indices=big("seen_indices", -1)),
    "item-twice": changed(seen_indices=big("seen_indices", float(arrays()["seen_indices"][1]))),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_a_signed_release_with_bad_tensors_is_refused(home: Site, key: PublicKey, folder: Path, case: str) -> None:
    write(folder, home.keys.signer("producer"), tensors=BAD_TENSORS[case])
    with pytest.raises(BadInput, match=r"^model\.safetensors, .*: found .*; allowed: "):
        load(folder, key)


@pytest.mark.parametrize(
    "says",
    [
        card(version=0),
        card(version="3"),
        card(more=1),
        card(data="abc"),
        card(expires=None),
        {key: value for key, value in card().items() if key != "run"},
        [],
    ],
)
def test_a_card_of_another_form_is_refused(home: Site, key: PublicKey, folder: Path, says: Any) -> None:
    write(folder, home.keys.signer("producer"), says=says)
    with pytest.raises(BadInput, match=r"^model\.json, "):
        load(folder, key)


@pytest.mark.parametrize(
    "names",
    [
        {**ids(), "users": []},
        {**ids(), "users": ids()["users"][:-1]},
        {**ids(), "items": [*ids()["items"][:-1], "i000"]},
        {**ids(), "items": [*ids()["items"][:-1], 7]},
        {"users": ids()["users"]},
    ],
)
def test_ids_must_fit(home: Site, key: PublicKey, folder: Path, names: Any) -> None:
    write(folder, home.keys.signer("producer"), names=names)
    with pytest.raises(BadInput):
        load(folder, key)


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "ids.json"])
def test_what_is_signed_must_still_parse(home: Site, key: PublicKey, folder: Path, name: str) -> None:
    from security.gates.model import sign

    folder.mkdir()
    usual = {
        "model.safetensors": save(arrays()),
        "ids.json": json.dumps(ids()).encode(),
        "model.json": json.dumps(card()).encode(),
    }
    for each, data in usual.items():
        (folder / each).write_bytes(b"\x80\x04nothing of the kind" if each == name else data)
    sign(folder, home.keys.signer("producer"))
    with pytest.raises(SluiceError, match=name.replace(".", r"\.")):
        load(folder, key)
    (folder / name).unlink()
    (folder / "model.sig").unlink()
    sign(folder, home.keys.signer("producer"))
    with pytest.raises(BadInput, match="no such file"):
        load(folder, key)
