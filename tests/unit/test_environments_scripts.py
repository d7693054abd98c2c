"""The inline block of a script (PEP 723): what is read, and what is refused with the line that is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import NoReturn

import pytest

from isobench import environments
from isobench.environments import scripts
from isobench.errors import ModelError


def silent(_line: str) -> NoReturn:
    raise AssertionError("nothing was to be resolved")


def written(tmp_path: Path, text: str) -> Path:
    script = tmp_path / "model.py"
    script.write_text(text)
    return script


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ModelError) as caught:
        environments.for_script(written(tmp_path, text), progress=silent)
    return caught.value.message.replace(str(tmp_path), "")


def test_a_script_without_a_block_runs_in_the_base_environment(tmp_path: Path) -> None:
    script = written(tmp_path, "import torch\n" * 2000)
    assert environments.for_script(script, progress=silent) == environments.spec("torch")


def test_another_base_can_be_asked_for(tmp_path: Path) -> None:
    assert environments.for_script(written(tmp_path, ""), "ort", progress=silent) == environments.spec("ort")


@pytest.mark.parametrize("block", ["# dependencies = []\n", "#\n", '# requires-python = ">=3.11"\n'])
def test_a_block_that_asks_for_nothing_means_the_base_environment(tmp_path: Path, block: str) -> None:
    script = written(tmp_path, f"# /// script\n{block}# ///\n")
    assert environments.for_script(script, progress=silent) == environments.spec("torch")


def test_the_block_is_read_as_the_standard_says(tmp_path: Path) -> None:
    text = '#!/usr/bin/env python\n"""D."""\n\n# /// script\n# dependencies = [\n#   "a>1",\n#\n#   "b",\n# ]\n# ///\n'
    assert scripts.read_block(written(tmp_path, text)) == ({"dependencies": ["a>1", "b"]}, 5)


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    script = tmp_path / "model.py"
    script.write_bytes(b'# /// script\r\n# dependencies = ["a"]\r\n# ///\r\n')
    assert scripts.read_block(script)[0] == {"dependencies": ["a"]}


def test_blocks_of_other_tools_are_passed_over(tmp_path: Path) -> None:
    text = '# /// other\n# x = 1\n# ///\n\nprint("# /// script")\n'
    assert environments.for_script(written(tmp_path, text), progress=silent) == environments.spec("torch")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ('# /// script\n# dependencies = ["a"]\n', "/model.py:2: the script block isn't closed"),
        ('# /// script\n# dependencies = ["a"]\nimport torch\n# ///\n', "/model.py:2: the script block isn't closed"),
        (
            '#/// script\n# dependencies = ["a"]\n# ///\n',
            "/model.py:2: a script block must start with the line '# /// script', got '#/// script'",
        ),
        (
            '# /// script\n#dependencies = ["a"]\n# ///\n',
            "/model.py:3: a line of a script block must be '#' or start with '# ', got '#dependencies = [\"a\"]'",
        ),
        (
            '# /// script\n# dependencies = ["a"]\n#///\n',
            "/model.py:4: a script block must end with the line '# ///', got '#///'",
        ),
    ],
)
def test_what_was_meant_as_a_block_is_refused_with_what_is_wrong(tmp_path: Path, block: str, message: str) -> None:
    assert refusal(tmp_path, f"import os\n{block}") == message


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    script = tmp_path / "model.py"
    script.write_bytes(b'\xef\xbb\xbf# /// script\n# dependencies = ["a"]\n# ///\n')
    assert scripts.read_block(script) == ({"dependencies": ["a"]}, 2)


def test_a_script_in_another_encoding_is_read(tmp_path: Path) -> None:
    script = tmp_path / "model.py"
    script.write_bytes(b'# -*- coding: latin-1 -*-\n# caf\xe9\n# /// script\n# dependencies = ["a"]\n# ///\n')
    assert scripts.read_block(script)[0] == {"dependencies": ["a"]}


def test_an_unknown_key_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    message = refusal(tmp_path, '# /// script\n# dependancies = ["einops"]\n# ///\n')
    assert message == "/model.py:2: unknown key 'dependancies' in the script block; did you mean dependencies?"


def test_settings_of_uv_are_refused_and_those_of_other_tools_passed_over(tmp_path: Path) -> None:
    table = '# [tool.{}.sources]\n# einops = {{ git = "https://example.org/e" }}\n'
    block = f"# /// script\n# dependencies = []\n{table}# ///\n"
    message = refusal(tmp_path, block.format("uv"))
    assert message == "/model.py:3: [tool.uv] in the script block isn't supported: sources"
    script = written(tmp_path, block.format("other"))
    assert environments.for_script(script, progress=silent) == environments.spec("torch")


def test_a_block_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    text = 'import torch\n# /// script\n# requires-python = ">=3.11"\n# dependencies = [a]\n# ///\n'
    message = refusal(tmp_path, text)
    assert message.startswith("/model.py:4: the script block isn't TOML: ")


def test_two_blocks_are_refused(tmp_path: Path) -> None:
    block = "# /// script\n# dependencies = []\n# ///\n"
    assert refusal(tmp_path, f"{block}\nx = 1\n\n{block}") == "/model.py:7: a second script block"


@pytest.mark.parametrize("value", ['"numpy"', "[1]", "{a = 1}"])
def test_dependencies_that_are_no_list_of_strings_are_refused(tmp_path: Path, value: str) -> None:
    message = refusal(tmp_path, f"# /// script\n# dependencies = {value}\n# ///\n")
    assert message == "/model.py:2: dependencies must be a list of strings"


def test_a_malformed_requirement_is_refused_with_its_line(tmp_path: Path) -> None:
    message = refusal(tmp_path, '# /// script\n# dependencies = [\n#   "numpy",\n#   "a b c",\n# ]\n# ///\n')
    assert message.startswith("/model.py:4: 'a b c' is not a requirement: ")


def test_a_requirement_with_an_address_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, '# /// script\n# dependencies = ["a @ https://x.example/a.whl"]\n# ///\n')
    assert message.startswith("/model.py:2: ")
    assert "is a URL" in message


def test_a_script_for_another_python_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, '# /// script\n# requires-python = ">=3.12"\n# dependencies = ["a"]\n# ///\n')
    assert message == "/model.py requires Python >=3.12; the torch environment has Python 3.11"


@pytest.mark.parametrize("value", ['"three"', "3.11", "[]"])
def test_a_malformed_requires_python_is_refused(tmp_path: Path, value: str) -> None:
    message = refusal(tmp_path, f'# /// script\n# requires-python = {value}\n# dependencies = ["a"]\n# ///\n')
    assert "must be a version specifier" in message


@pytest.mark.parametrize("value", [">=3.11", "==3.11.*", ">=3.11.4", "<3.12", ">=3.9"])
def test_a_script_for_this_python_is_accepted(tmp_path: Path, value: str) -> None:
    script = written(tmp_path, f'# /// script\n# requires-python = "{value}"\n# ///\n')
    assert environments.for_script(script, progress=silent) == environments.spec("torch")


def test_a_script_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.py can't be read: No such file"):
        environments.for_script(tmp_path / "model.py", progress=silent)


BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""As the standard has it."""


def test_blocks_are_those_that_the_standards_expression_finds() -> None:
    random = Random(0)
    lines = ("# /// script", "# /// other", "# ///", "#", "# a = 1", "#b", "x = 1", "", "# /// a b", " # ///")
    for _ in range(1000):
        text = "\n".join(random.choices(lines, k=random.randint(0, 20)))
        found = [(one.kind, one.line, list(one.lines)) for one in scripts._blocks(text)]
        assert found == [
            (match["type"], text.count("\n", 0, match.start()) + 1, match["content"].splitlines())
            for match in BLOCK.finditer(text)
        ]


def test_a_script_of_nothing_but_beginnings_takes_no_time(tmp_path: Path) -> None:
    script = tmp_path / "s.py"
    script.write_text("# /// script\n" * 300_000)
    with pytest.raises(ModelError, match=":1: the script block isn't closed"):
        scripts.read_block(script)
