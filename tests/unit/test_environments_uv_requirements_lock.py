"""What passes for a lock, and what is seen to be damaged."""

from __future__ import annotations

import pytest

from isobench import environments
from isobench.environments.uv import requirements_lock

HASH = "0123456789abcdef" * 4
ENTRY = f"a-b.c==1.0+cpu \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{HASH}\n"


@pytest.mark.parametrize("name", [name for name in environments.names() if environments.spec(name).is_locked])
def test_the_locks_of_isobench_are_sound(name: str) -> None:
    assert requirements_lock.is_sound(environments.spec(name).lock_file.read_text())


@pytest.mark.parametrize(
    "text", ["", ENTRY, ENTRY * 3, f"# by hand\n\n{ENTRY}\n  # more\n", f"a==1!2.0.post1 --hash=sha256:{HASH}\n"]
)
def test_a_lock_is_sound(text: str) -> None:
    assert requirements_lock.is_sound(text)


@pytest.mark.parametrize("length", range(1, len(ENTRY)))
def test_a_lock_cut_off_in_an_entry_is_not_sound(length: int) -> None:
    assert not requirements_lock.is_sound(ENTRY + ENTRY[:length])


@pytest.mark.parametrize(
    "text",
    [
        "a==1.0\n",
        "a>=1.0 \\\n    --hash=sha256:00\n",
        ENTRY.replace("==", ">="),
        ENTRY.replace("sha256", "md5"),
        ENTRY.replace(HASH, HASH[1:]),
        f"-r other.txt\n{ENTRY}",
        f"--index-url https://i.example\n{ENTRY}",
        "<html>\n",
        "\x00\n",
    ],
)
def test_what_is_no_lock_is_not_sound(text: str) -> None:
    assert not requirements_lock.is_sound(text)


def test_pins_are_the_versions_without_the_hashes() -> None:
    assert requirements_lock.pins(ENTRY * 2) == ["a-b.c==1.0+cpu"] * 2
