from __future__ import annotations

from pathlib import Path

import pytest

from isobench.builds import input_memory
from isobench.errors import ModelError
from isobench.failures import Ending
from isobench.planning.models import TensorSpec
from isobench.system import memory


def spec(name: str, *shape: int, dtype: str = "float32") -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, shape=shape)


def test_inputs_that_are_larger_than_the_memory_are_refused_with_their_sizes() -> None:
    with pytest.raises(ModelError) as refused:
        input_memory.check([spec("small", 8), spec("x", 2**22, 2**20)])
    assert refused.value.kind is Ending.OUT_OF_MEMORY
    assert "x: float32[4194304, 1048576], small: float32[8] need 35,184,372,088,896 bytes" in refused.value.message


def test_many_inputs_count_together() -> None:
    with pytest.raises(ModelError, match="and 1021 more"):
        input_memory.check([spec(f"x{number}", 2**32, dtype="string") for number in range(1024)])


@pytest.mark.parametrize("specs", [[], [spec("x", 3, 224, 224)], [spec("empty", 0, 2**50)], [spec("number")]])
def test_inputs_of_usual_sizes_are_not_refused(specs: list[TensorSpec]) -> None:
    input_memory.check(specs)


def test_the_available_memory_is_the_kernels_estimate(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 9 kB\nMemAvailable:       7 kB\n")
    assert memory.available_bytes(meminfo=str(meminfo)) == 7 * 1024
    assert memory.available_bytes(meminfo=str(tmp_path / "none")) == memory.machine.memory_limit()
