"""Output of uv 0.13.9, and what the user reads instead."""

from __future__ import annotations

import pytest

from isobench.environments.uv import errors

OUTPUTS = {  # shortened
    "error: failed to copy file from /a to /b: No space left on device (os error 28)": "the disk is full",
    "error: failed to create directory `/x`: Permission denied (os error 13)": "isn't writable",
    "error: Failed to download `a==1`\n  cause: Hash mismatch for `a==1`\n": "another file for a==1",
    "error: Couldn't parse requirement in `t.txt` at position 14": "the lock is damaged",
    "error: Invalid hash digest length (expected 64 hexadecimal characters, found 2)": "the lock is damaged",
    "  cause: Because there is no version of a==99.0 and you require": "no configured index has a==99.0",
    "  cause: Because nosuch was not found in the package registry and you require": "no configured index has nosuch",
    "error: Request failed after 3 retries in 7.3s\n  cause: tcp connect error": "the package index is unreachable",
    "  cause: Because nosuch was not found in the provided package locations and": "no configured index has nosuch",
    "error: Couldn't parse requirement in `/e/requirements.in` at position 0": "requirements.in can't be parsed",
    "error: Unexpected '<', expected '-c': /e/requirements.in:1:1": "requirements.in can't be parsed",
    "error: Unexpected '<', expected '-c': /e/requirements.txt:1:1": "the lock is damaged",
    "error: File not found: `/e/requirements.in`": "/e/requirements.in does not exist",
    "error: Failed to initialize cache at `/c`\n  cause: Not a directory": "uv's cache /c isn't writable",
    "error: Failed to read `--find-links` directory: /no\n  cause: No such": "the folder of wheels /no can't be read",
    "Because you require a<1 and a>1, we can conclude that your requirements are unsatisfiable": "no versions satisfy",
    "  cause: dns error\n  cause: error resolving DNS": "the package index is unreachable",
    "  cause: Because there is no version of torch==2.13.0+cpu": "PyTorch's own index",
    "something new": "uv failed",
}


@pytest.mark.parametrize(("output", "meaning"), OUTPUTS.items())
def test_what_uv_prints_is_explained(output: str, meaning: str) -> None:
    why, hint = errors.explain(output, relock="lock again", loosen="loosen one")
    assert meaning in why
    assert hint
    assert "{" not in why + hint


def test_a_missing_torch_names_every_way_to_get_it() -> None:
    _, hint = errors.explain("there is no version of torch==2.13.0+cpu", relock="", loosen="")
    assert all(way in hint for way in ("PIP_FIND_LINKS", "UV_INDEX", "UV_TORCH_BACKEND=cpu"))
    assert "://" not in hint


def test_a_damaged_lock_is_repaired_by_resolving_it_again() -> None:
    assert errors.explain("Couldn't parse it", relock="isobench env lock ort", loosen="")[1] == (
        "Resolve it again: isobench env lock ort"
    )


def test_a_contradiction_is_answered_with_the_callers_advice() -> None:
    assert errors.explain("your requirements are unsatisfiable", relock="", loosen="loosen {a}")[1] == "loosen {a}"
