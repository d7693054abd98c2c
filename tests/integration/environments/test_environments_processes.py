"""Several processes want the same environment, or one is killed while it makes it."""

from __future__ import annotations

import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from environment_world import RunPython, Started, World

from isobench import environments
from isobench.environments import store

pytestmark = pytest.mark.integration

KILLS = 20


def until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("waited 30 s in vain")


class Makers:
    """Processes that make `tiny`, whose smoke test leaves a mark and doesn't end before it is let go."""

    def __init__(self, world: World) -> None:
        self.world, self.marks, self.go = world, world.root / "marks", world.root / "go"
        self.processes: list[Started] = []
        self.spec = world.spec(
            smoke="import time\nfrom pathlib import Path\nimport alpha, beta\n"
            f"with open({str(self.marks)!r}, 'a') as marks: marks.write('tried\\n')\n"
            f"while not Path({str(self.go)!r}).exists(): time.sleep(0.01)\n"
        )

    def start(self, command: str = "create") -> Started:
        log = self.world.root / f"{len(self.processes)}.log"
        process = self.world.start(command, "tiny", log=log)
        self.processes.append(process)
        return process

    def tried(self) -> int:
        """How often the smoke test was begun."""
        return len(self.marks.read_text().splitlines()) if self.marks.exists() else 0

    def let_go(self) -> list[int]:
        self.go.touch()
        return [process.wait(30) for process in self.processes]


def says(process: Started, text: str) -> bool:
    return re.search(text, process.log.read_text()) is not None


@pytest.fixture
def makers(world: World) -> Iterator[Makers]:
    makers = Makers(world)
    yield makers
    for process in makers.processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("others", [1, 2])
def test_one_makes_it_and_the_others_wait_say_so_and_use_it(
    world: World, makers: Makers, run_python: RunPython, others: int
) -> None:
    first = makers.start()
    until(lambda: makers.tried() == 1)
    waiting = [makers.start() for _ in range(others)]
    for process in waiting:
        until(lambda process=process: says(process, "waiting"))
    assert makers.let_go() == [0] * (1 + others)
    assert makers.tried() == 1
    environment = environments.find(makers.spec)
    for process in waiting:
        waited, ready = process.log.read_text().splitlines()
        assert re.fullmatch(
            rf"the environment tiny is in use by pid {first.pid} \(.*\) since \d\d:\d\d; waiting", waited
        )
        assert ready == f"tiny: {environment.folder}"
    assert first.log.read_text().count("installing 2 packages") == 1
    assert run_python(environment, "import alpha; print(alpha.VERSION)") == "1.0"
    assert world.left() == [environment.folder.name]


def test_when_the_maker_is_killed_one_of_those_who_wait_installs_it_again(world: World, makers: Makers) -> None:
    first = makers.start()
    until(lambda: makers.tried() == 1)
    waiting = [makers.start(), makers.start()]
    for process in waiting:
        until(lambda process=process: says(process, "waiting"))
    first.kill()
    until(lambda: makers.tried() == 2)
    assert environments.find(makers.spec) is None
    assert makers.let_go() == [-signal.SIGKILL, 0, 0]
    assert makers.tried() == 2
    assert sorted(says(process, "installing") for process in waiting) == [False, True]
    assert environments.verify(environments.find(makers.spec)) == []
    assert world.left() == [store.folder_of(makers.spec).name]


def test_a_maker_that_fails_leaves_the_work_to_those_who_wait(world: World, makers: Makers) -> None:
    makers.spec.smoke_file.write_text(makers.spec.smoke_file.read_text() + "import nowhere\n")
    first = makers.start()
    until(lambda: makers.tried() == 1)
    second = makers.start()
    until(lambda: says(second, "waiting"))
    assert makers.let_go() == [4, 4]
    assert makers.tried() == 2
    assert says(first, "No module named 'nowhere'")
    assert says(second, "No module named 'nowhere'")


def test_removing_waits_for_the_maker_and_says_so(world: World, makers: Makers) -> None:
    first = makers.start()
    until(lambda: makers.tried() == 1)
    remover = makers.start("remove")
    until(lambda: says(remover, rf"the environment tiny-\S+ is in use by pid {first.pid} .*; waiting"))
    assert makers.let_go() == [0, 0]
    assert says(remover, f"removed {store.folder_of(makers.spec)}")
    assert world.left() == []


def test_a_maker_interrupted_from_the_keyboard_says_so_and_leaves_nothing_that_passes_for_ready(
    world: World, makers: Makers
) -> None:
    first = makers.start()
    until(lambda: makers.tried() == 1)
    first.send_signal(signal.SIGINT)
    assert first.wait(30) == 130
    assert says(first, "interrupted")
    assert environments.find(makers.spec) is None
    makers.start()
    assert makers.let_go() == [130, 0]
    assert environments.verify(environments.find(makers.spec)) == []


def test_a_kill_at_any_moment_leaves_nothing_that_the_same_command_cannot_make_good(
    world: World, run_python: RunPython, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time into an empty home with an empty cache, so that uv is killed while it fills its cache, too."""
    many = {f"gamma/module{number}.py": "value = 1\n" * number for number in range(200)}
    spec = world.spec(world.alpha + world.beta + world.wheel("gamma", "0.1", files=many))
    moments, begun = random.Random(20), 0

    def in_an_empty_home(number: int | str) -> Path:
        home = world.root / f"home{number}"
        monkeypatch.setenv("ISOBENCH_HOME", str(home))
        monkeypatch.setenv("UV_CACHE_DIR", str(home / "cache"))
        return home / "environments"

    in_an_empty_home("")
    start = time.monotonic()
    assert world.isobench("create", "tiny").returncode == 0
    usual_s = time.monotonic() - start
    for number in range(KILLS):
        folder = in_an_empty_home(number)
        maker = world.start("create", "tiny", log=world.root / "killed.log")
        try:
            maker.wait(usual_s * (number + moments.random()) / KILLS)
        except subprocess.TimeoutExpired:
            maker.kill()
        maker.wait()
        ready = environments.find(spec)
        if ready is None:
            begun += store.folder_of(spec).exists()
        else:
            assert environments.verify(ready) == [], "what wasn't finished passes for ready"
        again = world.isobench("create", "tiny")
        assert (again.returncode, again.stderr.count("error")) == (0, 0), again.stderr
        environment = environments.find(spec)
        assert environments.verify(environment) == []
        assert run_python(environment, "import alpha.more, gamma.module7; print(alpha.VERSION)") == "1.0"
        assert [file.name for file in folder.iterdir()] == [environment.folder.name]
    assert begun > 0, "no kill came while the environment was being made"
