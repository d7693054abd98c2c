"""What a script depends on, as a worker records it, and when a build that depended on it is stale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isobench import paths
from isobench.builds.cache import Dependency, Kind

DRIVER = """
import json, sys
sys.path.insert(0, {workers!r})
import harness, script_files, script_main
files = script_files.Files({script!r}, {args!r})
with files.recording():
    script_main.run({script!r}, {args!r})
found = {{"dependencies": files.dependencies(), "variables": files.missing_variables()}}
with open({result!r}, "w") as file:
    json.dump(found, file)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "work").mkdir()
    return tmp_path


def run(folder: Path, script: str, *args: str) -> dict[str, Any]:
    """Run a script in `scripts/` while the working folder is `work/`; return what the worker recorded."""
    path, result = folder / "scripts" / "script.py", folder / "result.json"
    path.write_text(script)
    driver = DRIVER.format(workers=str(paths.WORKERS.resolve()), script=str(path), args=list(args), result=str(result))
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", driver],
        check=False,
        cwd=folder / "work",
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    result.unlink()
    assert isinstance(found, dict)
    return found


def depended_on(folder: Path, script: str, *args: str) -> list[Dependency]:
    return [Dependency.from_json(entry) for entry in run(folder, script, *args)["dependencies"]]


def stale(dependencies: list[Dependency]) -> bool:
    assert dependencies
    return not all(one.unchanged() for one in dependencies)


def rewritten(path: Path) -> None:
    path.write_bytes(b"another content")


def test_a_script_depends_on_itself_and_on_nothing_of_its_environment(folder: Path) -> None:
    found = depended_on(folder, "import json, decimal, unittest\n")
    assert [(one.path, one.kind) for one in found if one.kind is Kind.FILE] == [
        (str(folder / "scripts" / "script.py"), Kind.FILE)
    ]
    assert not stale(found)
    rewritten(folder / "scripts" / "script.py")
    assert stale(found)


def test_a_module_outside_of_the_scripts_folder_is_a_dependency_though_only_its_pyc_was_opened(folder: Path) -> None:
    (folder / "lib").mkdir()
    module = folder / "lib" / "net.py"
    module.write_text("SCALE = 1.0")
    subprocess.run([sys.executable, "-m", "compileall", "-q", folder / "lib"], check=True)
    found = depended_on(folder, "import sys\nsys.path.insert(0, '../lib')\nimport net\n")
    assert not stale(found)
    module.write_text("SCALE = 2.0")
    assert stale(found)


CHANGES: dict[str, tuple[str, str, Callable[[Path], object]]] = {
    "a file that it opened": ("open('x.txt').read()", "x.txt", rewritten),
    "a file that it mapped": ("import os\nos.close(os.open('x.txt', os.O_RDONLY))", "x.txt", rewritten),
    "a file that it asked for is gone": ("import os\nos.path.exists('x.flag')", "x.flag", Path.unlink),
    "a folder that it listed has another file": (
        "import os\nos.listdir('parts')",
        "parts/1.txt",
        lambda path: (path.parent / "2.txt").touch(),
    ),
    "a pattern that it expanded has another match": (
        "import glob\nglob.glob('parts/*.txt')",
        "parts/1.txt",
        lambda path: (path.parent / "2.txt").touch(),
    ),
    "weights beside it that native code may have read": ("", "deep/er/x.safetensors", rewritten),
    "a file that it names": ("native_reader = print\nnative_reader('x.tokenizer')", "x.tokenizer", rewritten),
    "weights in a folder that it names": ("native_reader = print\nnative_reader('../else')", "../else/x.pt", rewritten),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_build_is_stale_when_what_the_script_read_changes(folder: Path, what: str) -> None:
    script, name, change = CHANGES[what]
    file = folder / "work" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("content")
    os.utime(file, (1, 1))
    found = depended_on(folder, script)
    assert not stale(found)
    change(file)
    assert stale(found)


@pytest.mark.parametrize(
    "look",
    [
        "import os\nos.path.exists('x.pt')",
        "import os\nos.path.isfile(b'x.pt')",
        "from pathlib import Path\nPath('x.pt').exists()",
        "try:\n    open('x.pt')\nexcept FileNotFoundError:\n    pass",
        "def native_reader(_name):\n    pass\nnative_reader('x.pt')",
    ],
)
def test_a_build_is_stale_when_a_file_appears_that_the_script_looked_for(folder: Path, look: str) -> None:
    found = depended_on(folder, look)
    assert not stale(found)
    (folder / "work" / "x.pt").touch()
    assert stale(found)


def test_a_build_is_stale_when_a_module_appears_that_the_script_did_without(folder: Path) -> None:
    found = depended_on(folder, "try:\n    import fast_kernels\nexcept ImportError:\n    pass\n")
    assert not stale(found)
    (folder / "scripts" / "fast_kernels.py").touch()
    assert stale(found)


def test_what_is_above_a_link_is_above_the_folder_that_it_points_to(folder: Path) -> None:
    (folder / "real" / "scripts").mkdir(parents=True)
    (folder / "scripts").rmdir()
    (folder / "scripts").symlink_to("real/scripts")
    (folder / "real" / "lib").mkdir()
    module = folder / "real" / "lib" / "net.py"
    module.write_text("SCALE = 1.0")
    script = "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))\nimport net\n"
    found = depended_on(folder, script)
    assert not stale(found)
    module.write_text("SCALE = 2.0")
    assert stale(found)


def test_a_script_whose_working_folder_is_gone_fails_by_itself_alone(folder: Path) -> None:
    script = "import os, tempfile\nwith tempfile.TemporaryDirectory() as name:\n    os.chdir(name)\n"
    script += "assert not os.path.exists('x.pt')\n"
    assert not stale(depended_on(folder, script))


def test_functions_that_are_watched_behave_as_builtins_do(folder: Path) -> None:
    script = "import os, shutil, tempfile\nclass Own:\n    look = os.stat\nOwn().look('.')\n"
    script += "assert os.stat in os.supports_fd\nassert os.stat in os.supports_follow_symlinks\n"
    script += "os.stat(os.open('.', os.O_RDONLY))\nos.stat(path='.', follow_symlinks=False)\n"
    script += "shutil.rmtree(tempfile.mkdtemp())\n"
    assert not stale(depended_on(folder, script))


def test_a_module_that_is_only_looked_for_counts(folder: Path) -> None:
    found = depended_on(folder, "import importlib.util\nimportlib.util.find_spec('fast_kernels')\n")
    assert not stale(found)
    (folder / "scripts" / "fast_kernels").mkdir()
    assert stale(found)


def test_a_build_is_stale_when_a_module_appears_that_would_be_found_first(folder: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "net.py").touch()
    found = depended_on(folder, "import sys\nsys.path.append('../lib')\nimport net\n")
    assert not stale(found)
    (folder / "scripts" / "net.py").touch()
    assert stale(found)


def test_a_module_that_is_not_registered_counts_though_only_its_pyc_was_opened(folder: Path) -> None:
    (folder / "lib").mkdir()
    module = folder / "lib" / "net.py"
    module.write_text("SCALE = 1.0")
    subprocess.run([sys.executable, "-m", "compileall", "-q", folder / "lib"], check=True)
    script = "from importlib import util\nfile = '..' + '/lib/' + 'net' + '.py'\n"
    script += "spec = util.spec_from_file_location('net', file)\nspec.loader.exec_module(util.module_from_spec(spec))\n"
    found = depended_on(folder, script)
    assert not stale(found)
    module.write_text("SCALE = 2.0")
    assert stale(found)


def test_a_path_in_an_argument_counts(folder: Path) -> None:
    (folder / "else").mkdir()
    weights = folder / "else" / "x.bin"
    weights.write_text("content")
    os.utime(weights, (1, 1))
    found = depended_on(folder, "", f"--weights={weights}")
    assert not stale(found)
    rewritten(weights)
    assert stale(found)


def test_what_a_script_writes_makes_no_build_stale(folder: Path) -> None:
    script = "import os, tempfile\nopen('out.pt', 'w').write('x')\n"
    script += "tempfile.NamedTemporaryFile().read()\nos.makedirs('made', exist_ok=True)\n"
    found = depended_on(folder, script)
    assert not stale(found)
    (folder / "work" / "out.pt").write_text("of the next run")
    (folder / "work" / "results.csv").touch()
    assert not stale(found)


def test_variables_that_own_code_asks_for_in_vain_are_named(folder: Path) -> None:
    (folder / "scripts" / "own.py").write_text("import os\nos.environ.get('OWN_WIDTH')\n")
    script = (
        "import own, os, subprocess, tempfile\nos.getenv('A_WIDTH', 3)\n'B_WIDTH' in os.environ\nos.environ['PATH']\n"
    )
    assert run(folder, script)["variables"] == ["A_WIDTH", "B_WIDTH", "OWN_WIDTH"]
