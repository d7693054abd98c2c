"""Do locks work in a folder?"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from lock_world import Start, line

from isobench.system import lock_checks


def test_locks_work_in_a_folder_of_this_machine(tmp_path: Path) -> None:
    assert lock_checks.works(tmp_path / "new") == ""
    assert lock_checks.check(tmp_path) is lock_checks.Kind.FLOCK
    assert list(tmp_path.iterdir()) == [tmp_path / "new"]


def test_the_check_says_when_locks_are_soft(tmp_path: Path, no_flock: dict[str, str], start: Start) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom isobench.system import lock_checks\n"
        "print(lock_checks.check(Path(sys.argv[1])))"
    )
    assert line(start(code, tmp_path, env=no_flock)) == "soft"


def test_a_flock_that_excludes_nobody_is_reported(tmp_path: Path, start: Start) -> None:
    library = tmp_path / "all_free.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    (tmp_path / "all_free.c").write_text("int flock(int descriptor, int operation) { return 0; }")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "all_free.c"], check=True)
    code = (
        "import sys\nfrom pathlib import Path\nfrom isobench.system import lock_checks\n"
        "print(lock_checks.works(Path(sys.argv[1])))"
    )
    said = line(start(code, tmp_path, env={"LD_PRELOAD": str(library)}))
    assert said.startswith(f"locks in {tmp_path} exclude nobody")
