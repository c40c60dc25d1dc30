"""Licences as packages declare them, and what a policy's list allows."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

from security.errors import BadInput
from security.gates.dependencies import environment
from security.gates.dependencies.licence import allowed, licence

OSI = "License :: OSI Approved :: "


@pytest.mark.parametrize(
    ("expression", "classifiers", "text", "expected"),
    [
        ("MIT", [f"{OSI}BSD License"], "GPL", "MIT"),
        ("MIT OR Apache-2.0", [], "", "MIT OR Apache-2.0"),
        ("mit", [], "", "MIT"),
        ("Proprietary and secret", [], "", ""),
        ("LicenseRef-Own", [], "", ""),
        ("", [f"{OSI}MIT License"], "anything", "MIT"),
        ("", [f"{OSI}MIT License", f"{OSI}Apache Software License"], "", "MIT AND Apache-2.0"),
        ("", ["License :: OSI Approved", f"{OSI}MIT License"], "", "MIT"),
        ("", [f"{OSI}MIT License", "License :: Other/Proprietary License"], "", ""),
        ("", ["Programming Language :: Python"], "Apache  License\n2.0", "Apache-2.0"),
        ("", [], "MPL-2.0 AND MIT", "MPL-2.0 AND MIT"),
        ("", [], "MIT License\n\nCopyright (c) somebody", ""),
        ("", [], "BSD", ""),
        ("", [], "", ""),
    ],
)
def test_the_licence_is_what_the_metadata_comes_to(
    expression: str, classifiers: list[str], text: str, expected: str
) -> None:
    assert licence(expression, classifiers, text) == expected


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("MIT", True),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("MIT AND (GPL-3.0-only OR BSD-3-Clause)", True),
        ("GPL-3.0-only", False),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("MIT WITH Classpath-exception-2.0", False),
        ("", False),
        ("nonsense (", False),
    ],
)
def test_of_or_one_is_enough_and_of_and_it_takes_every_one(told: str, kept: bool) -> None:
    assert allowed(told, ["MIT", "BSD-3-Clause"]) is kept


def made(folder: Path, name: str, text: str, **files: str) -> None:
    path = folder / f"{name}.dist-info"
    path.mkdir()
    (path / "METADATA").write_text(text)
    for each, body in files.items():
        (path / each.replace("_json", ".json")).write_text(body)


def test_an_environment_is_read_from_its_metadata_and_counted_apart(tmp_path: Path) -> None:
    made(tmp_path, "Alpha_B-1.0", "Metadata-Version: 2.4\nName: Alpha.B\nVersion: 1.0.0\nLicense-Expression: MIT\n")
    made(tmp_path, "own-2.0", "Metadata-Version: 2.1\nName: own\nVersion: 2\n", direct_url_json='{"url": "file:///x"}')
    found = environment.installed([tmp_path])
    assert [(each.name, each.version, each.direct, each.licence) for each in found] == [
        ("alpha-b", "1.0.0", False, "MIT"),
        ("own", "2", True, ""),
    ]
    assert environment.counted([tmp_path]) == 2
    (tmp_path / "empty.dist-info").mkdir()
    assert environment.counted([tmp_path]) == 3


def test_a_finder_that_finds_nothing_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Blind:
        @staticmethod
        def find_spec(*_: object) -> None:
            return None

        @staticmethod
        def find_distributions(*_: object) -> list[object]:
            return []

    made(tmp_path, "alpha-1.0", "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
    monkeypatch.setattr(
        sys, "meta_path", [Blind, *(each for each in sys.meta_path if each is not metadata.MetadataPathFinder)]
    )
    assert [each.name for each in environment.installed([tmp_path])] == ["alpha"]


def test_another_package_for_metadata_changes_nothing(tmp_path: Path) -> None:
    importlib_metadata = pytest.importorskip("importlib_metadata")
    assert any(isinstance(each, importlib_metadata.MetadataPathFinder) for each in sys.meta_path)
    made(tmp_path, "alpha-1.0", "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
    assert [(each.name, each.licence) for each in environment.installed([tmp_path])] == [("alpha", "")]


def test_what_is_there_twice_is_there_twice(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        made(folder, "alpha-1.0", "Metadata-Version: 2.1\nName: alpha\nVersion: 1.0\n")
    assert [each.name for each in environment.installed(folders)] == ["alpha", "alpha"]


@pytest.mark.parametrize("text", ["Name: alpha\n", "Name: alpha\nVersion: new\n", "Version: 1.0\n", ""])
def test_metadata_without_a_name_or_a_version_is_an_error(tmp_path: Path, text: str) -> None:
    made(tmp_path, "alpha-1.0", text)
    with pytest.raises(BadInput, match="METADATA"):
        environment.installed([tmp_path])


def test_metadata_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    made(tmp_path, "alpha-1.0", "")
    (tmp_path / "alpha-1.0.dist-info" / "METADATA").write_bytes(b"Name: alpha\nVersion: 1.0\nSummary: \xff\n")
    with pytest.raises(BadInput, match="METADATA, a package: found UnicodeDecodeError; allowed: text in UTF-8"):
        environment.installed([tmp_path])


def test_this_environment_is_what_python_says_of_it() -> None:
    where = environment.paths()
    found = environment.installed(where)
    assert len(found) == environment.counted(where) > 200
    assert {each.name for each in found} >= {"prefect", "pip-audit", "sluice-ml"}
    assert {each.name for each in found if each.direct} == {"sluice-ml"}
    assert len(found) == len({each.metadata["Name"].lower() for each in metadata.distributions()})
    told = {each.name: each.licence for each in found}
    assert (told["prefect"], told["numpy"].split()[0]) == ("Apache-2.0", "BSD-3-Clause")
