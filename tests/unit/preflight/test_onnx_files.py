"""Sizes of .onnx files are checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from suite_world import error_of, model, models_of, swept


def test_an_onnx_file_gets_the_sizes_that_it_has_a_use_for(folder: Path) -> None:
    model(folder / "m.onnx", batch=["batch", 4])
    model(folder / "n.onnx", other=["n", 4])
    made = swept(
        folder,
        """
        models = ["m.onnx", "n.onnx", "a.py"]
        script-args = "{batch}"
        dim = { batch = "{batch}", n = 3 }
        shape = { other = ["{batch}", 4] }
        matrix = { batch = [1, 8] }
        """,
    )
    found = [(one.name, dict(one.dimensions), dict(one.shapes), one.script_args) for one in models_of(made)]
    assert found == [
        ("m", {"batch": 1}, {}, ()),
        ("m", {"batch": 8}, {}, ()),
        ("n", {"n": 3}, {"other": (1, 4)}, ()),
        ("n", {"n": 3}, {"other": (8, 4)}, ()),
        ("alpha", {}, {}, ("1",)),
        ("alpha", {}, {}, ("8",)),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message", "hint"),
    [
        ("", 2, "has inputs without a fixed size: x: float32[batch, 4]", "dim.batch = 8"),
        (
            "dim = { bacth = 1 }",
            3,
            "no .onnx file that this is for has a dynamic dimension 'bacth'",
            "There are: batch.",
        ),
        ("shape = { y = [1] }", 3, "no .onnx file that this is for has an input 'y'", "There are: x."),
        ("shape = { x = [1, 5] }", 3, "shape x: dimension 1 must be 4, as in the file, got 5", ""),
        ('shape = { x = "1,a" }', 3, "a size must be an integer of at least 0, got 'a'", ""),
        ('dim = { batch = "{b}" }\nmatrix = { b = ["x"] }', 3, "a size must be an integer of at least 0, got 'x'", ""),
        ('dim.batch = 1\nfill.x = "onse"', 4, "there is no such rule", "A rule is zeros, ones"),
        ('dim.batch = 1\nfill.y = "ones"', 4, "no input 'y' in m.onnx", "It has: x."),
        (
            'dim.batch = 1\nruntimes = ["ort", "torch-eager"]',
            2,
            "torch-eager can't run m.onnx",
            'runtime = "torch-eager"',
        ),
    ],
)
def test_what_does_not_fit_an_onnx_file_is_refused(folder: Path, text: str, line: int, message: str, hint: str) -> None:
    model(folder / "m.onnx", x=["batch", 4])
    error = error_of(folder, f'models = "m.onnx"\n{text}')
    assert error.message.startswith(f"suite.toml, line {line}: "), error.message
    assert message in error.message
    assert hint in error.hint
