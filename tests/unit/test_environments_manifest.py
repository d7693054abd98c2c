"""A manifest is read as it was written, and one that is damaged is refused with the reason."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from manifests import manifest_of

from isobench.environments import manifest as manifests
from isobench.environments.manifest import Adopted, CondaPackage, ImageFacts, ImagePackage, Manifest

PLAIN = manifest_of({"numpy": "2.3.0", "msgpack": "1.1.0"})
FULL = replace(
    PLAIN,
    contents=replace(
        PLAIN.contents,
        conda_packages=(CondaPackage(name="python", version="3.11.9", build="0", url="file:///x", record_sha256="ab"),),
        unowned={"bin/x": "-> y"},
        fingerprints={"bin": "0123"},
    ),
    python=replace(PLAIN.python, interpreter=replace(PLAIN.python.interpreter, size_bytes=1, mtime_ns=2)),
    conda_lock_sha256="cd",
    activation={"PATH": "/x/bin"},
    container=ImageFacts(
        image="sha256:0", id="sha256:1", python="/bin/python", libc="", packages=(ImagePackage(name="a", version="1"),)
    ),
    adopted=Adopted(prefix=Path("/x"), python=Path("/x/bin/python"), site_packages=Path("/x/lib")),
)


@pytest.mark.parametrize("written", [PLAIN, FULL], ids=["plain", "full"])
def test_a_manifest_is_read_as_it_was_written(written: Manifest, tmp_path: Path) -> None:
    manifests.write(tmp_path / "manifest.json", written)
    assert manifests.read(tmp_path / "manifest.json") == written


def test_members_that_do_not_apply_are_left_out() -> None:
    members = manifests.to_json(PLAIN)
    assert members["schema"] == "isobench.environment/2"
    assert members["packages"][0] == {"name": "numpy", "version": "2.3.0", "record_sha256": ""}
    assert members["python"] == {"version": "3.11.9", "implementation": "CPython", "path": "/usr/bin/python3.11"}
    assert not {"conda_lock_sha256", "activation", "container", "adopted", "contents"} & members.keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "isobench.environment/99"}, "not of schema isobench.environment/2"),
        ({"name": None}, "'name' must be a string, got NoneType"),
        ({"packages": {}}, "'packages' must be a list, got dict"),
        ({"packages": ["numpy"]}, "must be an object with name, version, record_sha256, got str"),
        ({"packages": [{"name": "numpy"}]}, "'version' must be a string"),
        ({"python": "3.11"}, "must be an object with version, implementation, path, got str"),
        ({"python": {"version": "3", "implementation": "", "path": "", "size_bytes": "1"}}, "must be integers"),
        ({"fingerprints": {"bin": 3}}, "'fingerprints' must map strings to strings"),
    ],
)
def test_a_damaged_manifest_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    members = json.loads(json.dumps(manifests.to_json(PLAIN)))
    with pytest.raises(manifests.ManifestError, match=message):
        manifests.from_json({**members, **changes})
