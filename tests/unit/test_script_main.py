"""A script run as `__main__`, in a process of its own: what it finds, what stays of it, and whose an error is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from isobench import paths

DRIVER = """
import json, sys
sys.path.insert(0, {workers!r})
import builtins, harness, protocol, script_main, timing
builtins.ours = protocol.write_json
outcome = {{}}
try:
    outcome["exit_call"] = script_main.run({script!r}, {args!r})
except harness.Refused as error:
    outcome.update(kind=str(error.kind), message=error.message, hint=error.hint, traceback=error.traceback)
{after}
with open({result!r}, "w") as file:
    json.dump(outcome, file)
"""


def run(folder: Path, script: str | Path, *args: str, after: str = "") -> dict[str, Any]:
    """Run a script (its text, or its path); `after` are lines that may put more into `outcome`."""
    if isinstance(script, str):
        (folder / "script.py").write_text(script)
        script = folder / "script.py"
    result = folder / "result.json"
    driver = DRIVER.format(
        workers=str(paths.WORKERS), script=str(script), args=list(args), after=after, result=str(result)
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", driver], check=False, cwd=folder, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(result.read_text())
    assert isinstance(found, dict)
    return found


def test_a_script_is_main_with_its_arguments_and_its_folder(tmp_path: Path) -> None:
    script = "import sys\nassert __name__ == '__main__'\nwith open('seen', 'w') as file:\n"
    script += "    print(__file__, *sys.argv, sys.path[0], sys.modules['__main__'].__file__, file=file)\n"
    assert run(tmp_path, script, "--n", "1") == {"exit_call": ""}
    name = str(tmp_path / "script.py")
    assert (tmp_path / "seen").read_text().split() == [name, name, "--n", "1", str(tmp_path), name]


def test_a_scripts_module_stays_main_when_it_has_ended(tmp_path: Path) -> None:
    script = "from __future__ import annotations\nclass Model:\n    width = 3\n"
    after = "import pickle\nmain = sys.modules['__main__']\n"
    after += "outcome['width'] = pickle.loads(pickle.dumps(main.Model())).width"
    assert run(tmp_path, script, after=after)["width"] == 3


def test_a_late_import_finds_a_module_beside_the_script(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("VALUE = 7")
    script = "import sys\ndef late():\n    import neighbour\n    return neighbour.VALUE\n"
    after = "outcome['late'] = sys.modules['__main__'].late()"
    assert run(tmp_path, script, after=after)["late"] == 7


def test_a_script_finds_modules_beside_the_file_that_its_link_points_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "neighbour.py").write_text("VALUE = 7")
    (tmp_path / "real" / "script.py").write_text("import neighbour")
    (tmp_path / "link.py").symlink_to("real/script.py")
    assert run(tmp_path, tmp_path / "link.py") == {"exit_call": ""}


def test_a_scripts_own_modules_stay_where_ours_have_the_same_names(tmp_path: Path) -> None:
    (tmp_path / "timing.py").write_text("OWN = True")
    (tmp_path / "machine.py").write_text("OWN = True")
    script = "import timing\nassert timing.OWN\ndef late():\n    import machine\n    return machine.OWN\n"
    after = "outcome['late'] = sys.modules['__main__'].late()\nimport protocol\n"
    after += "outcome['protocol'] = protocol.OUTPUTS_FILE\nimport timing\noutcome['timing'] = timing.OWN"
    found = run(tmp_path, script, after=after)
    assert (found["late"], found["timing"], found["protocol"]) == (True, True, "outputs.json")


def test_modules_of_ours_are_hidden_from_a_script(tmp_path: Path) -> None:
    script = "try:\n    import harness\nexcept ImportError:\n    raise SystemExit(0)\n"
    assert run(tmp_path, script) == {"exit_call": "sys.exit()"}


@pytest.mark.parametrize("leave", ["sys.exit()", "os._exit(0)"])
def test_a_script_may_leave_without_an_error(tmp_path: Path, leave: str) -> None:
    assert run(tmp_path, f"import os, sys\n{leave}\nraise ValueError")["exit_call"] == "sys.exit()"


def test_a_script_that_leaves_with_an_error_is_refused(tmp_path: Path) -> None:
    found = run(tmp_path, "import os\nos._exit(3)")
    assert (found["kind"], found["message"]) == ("script-exit", "script.py called sys.exit(3) before it ended")


def test_a_forked_child_of_a_script_may_leave(tmp_path: Path) -> None:
    script = "import os\nif os.fork() == 0:\n    os._exit(5)\nassert os.waitstatus_to_exitcode(os.wait()[1]) == 5\n"
    assert run(tmp_path, script) == {"exit_call": ""}


def test_a_scripts_threads_are_waited_for_but_not_those_of_pools(tmp_path: Path) -> None:
    script = "import threading, time\nfrom concurrent.futures import ThreadPoolExecutor\ndone = []\n"
    script += "pool = ThreadPoolExecutor(1)\npool.submit(int)\n"
    script += "threading.Thread(target=lambda: (time.sleep(0.2), done.append(1))).start()\n"
    assert run(tmp_path, script, after="outcome['done'] = sys.modules['__main__'].done")["done"] == [1]


def test_what_would_disturb_a_measurement_does_not_stay(tmp_path: Path) -> None:
    script = (
        "import signal, sys, warnings\nwarnings.simplefilter('error')\nwarnings.simplefilter('ignore', UserWarning)\n"
    )
    script += "signal.alarm(20)\nsys.stdout.close()\n"
    after = "import signal, warnings\nwarnings.warn('x', DeprecationWarning)\nwarnings.warn('x', UserWarning)\n"
    after += "print('the log goes on')\noutcome['left_s'] = signal.alarm(0)"
    assert run(tmp_path, script, after=after)["left_s"] == 0


def test_an_exception_of_the_script_is_shown_with_its_lines_alone(tmp_path: Path) -> None:
    found = run(tmp_path, "def f():\n    raise KeyError('k')  # here\nf()\n")
    assert (found["kind"], found["message"]) == ("script-error", "script.py raised KeyError: 'k'")
    assert "# here" in found["traceback"]
    assert str(paths.WORKERS) not in found["traceback"]


def test_a_failure_of_isobench_is_never_the_scripts(tmp_path: Path) -> None:
    found = run(tmp_path, "ours('/nowhere/x', object())\n")
    assert found["kind"] == "internal"
    assert found["message"].startswith("isobench failed while it watched script.py: TypeError")
    assert "protocol.py" in found["traceback"]


def test_a_variable_that_is_not_set_is_named_with_the_option_that_passes_it(tmp_path: Path) -> None:
    found = run(tmp_path, "import os\nos.environ['MODEL_WIDTH']\n")
    assert found["message"] == "script.py raised KeyError: 'MODEL_WIDTH'"
    assert found["hint"].endswith("--env MODEL_WIDTH=VALUE")
    assert not run(tmp_path, "{}['MODEL_WIDTH']\n")["hint"]


@pytest.mark.parametrize(
    "raised", ["MemoryError()", 'RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried ...")']
)
def test_a_script_that_runs_out_of_memory_is_recognised(tmp_path: Path, raised: str) -> None:
    found = run(tmp_path, f"raise {raised}")
    assert found["kind"] == "out-of-memory"
    assert found["message"].startswith("script.py ran out of memory: ")
    assert "smaller" in found["hint"]


@pytest.mark.parametrize(
    ("block", "hint"),
    [
        ("", "Declare it at the top of the script"),
        ("# /// script\n# dependencies = []\n# ///\n", "Add the package that has it to the dependencies"),
        ("\ufeff# /// script\n# dependencies = []\n# ///\n", "Add the package that has it to the dependencies"),
    ],
)
def test_a_missing_package_is_added_to_the_block_that_there_is(tmp_path: Path, block: str, hint: str) -> None:
    found = run(tmp_path, f"{block}import nobody_has_it\n")
    assert found["message"] == "script.py needs the package nobody_has_it, which its environment lacks"
    assert found["hint"].startswith(hint)
