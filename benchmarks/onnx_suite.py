"""How many of the ONNX project's own operator tests isobench measures, beside plain ONNX Runtime.

Each test is a small model with inputs and expected outputs. Plain ONNX Runtime decides which of them it can run, in a
process of its own. isobench then measures these twice: with the test's own inputs (`--inputs test_data_set_0`), and
with inputs that it draws, where only the sizes are given. The times don't matter here, so two may run at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import common

FOLDER = common.BUILD / "onnx-suite"
PLAIN = Path(__file__).with_name("plain_ort.py")
ONCE = ("--iterations", "1", "--warmup", "1", "--threads", "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What isobench made of one test; `outcome` is "correct", "wrong", the failure's kind, or "no result"."""

    name: str
    inputs: str
    outcome: str
    message: str = ""

    @property
    def measured(self) -> bool:
        return self.outcome in {"correct", "wrong"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="TEST", help="only these tests")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth test")
    parser.add_argument("--jobs", type=int, default=2, help="tests at a time")
    parser.add_argument("--inputs", choices=("given", "drawn", "both"), default="both")
    options = parser.parse_args()
    names = sorted(write(FOLDER, options.only))[:: options.every]
    runs = plain(names)
    runnable = [name for name in names if runs[name] == "ok"]
    print(f"plain ONNX Runtime runs {len(runnable)} of {len(names)} tests with their own inputs")
    found: dict[str, list[Attempt]] = {}
    for inputs in ("given", "drawn") if options.inputs == "both" else (options.inputs,):
        with ThreadPoolExecutor(options.jobs) as pool:
            jobs = range(options.jobs)
            parts = pool.map(lambda job: list(_attempts(runnable[job :: options.jobs], inputs, job)), jobs)  # noqa: B023
            found[inputs] = [attempt for part in parts for attempt in part]
        _print(inputs, found[inputs])
    common.report(
        "onnx-suite",
        {
            "tests": len(names),
            "plain": Counter(runs.values()),
            **{inputs: [asdict(attempt) for attempt in attempts] for inputs, attempts in found.items()},
        },
    )


def write(folder: Path, only: Sequence[str] = ()) -> list[str]:
    """Write the tests (all, or `only` some), each to a folder of its own, and return their names.

    A folder holds `model.onnx` and, in `test_data_set_0`, `input_K.pb` and `output_K.pb`.
    """
    names = []
    for case in _cases():
        if only and case.name not in only:
            continue
        names.append(case.name)
        data = folder / case.name / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        (folder / case.name / "model.onnx").write_bytes(case.model.SerializeToString())
        for kind, values, described in zip(
            ("input", "output"), case.data_sets[0], (case.model.graph.input, case.model.graph.output), strict=True
        ):
            for index, (value, one) in enumerate(zip(values, described, strict=False)):
                (data / f"{kind}_{index}.pb").write_bytes(_proto(value, one).SerializeToString())
    return names


def _cases() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tests themselves overflow and divide by zero
        from onnx.backend.test.case.node import collect_testcases

        return list(collect_testcases(None))


def _proto(value: Any, described: Any) -> Any:
    import numpy as np
    import onnx
    from onnx import numpy_helper

    if isinstance(value, onnx.TensorProto):
        return value
    kind = described.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.from_list(value, described.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(value, described.name)
    return numpy_helper.from_array(np.asarray(value), described.name)


def plain(names: Sequence[str]) -> dict[str, str]:
    """What plain ONNX Runtime makes of each test: "ok", "crash", or the first line of its error."""
    python = common.environment_python("onnx")
    found: dict[str, str] = {}
    while missing := [name for name in names if name not in found]:
        folders = "\n".join(str(FOLDER / name) for name in missing)
        done = subprocess.run([python, PLAIN], input=folders, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found |= {Path(line["folder"]).name: line["outcome"] for line in lines}
        if len(lines) < len(missing):
            found[missing[len(lines)]] = "crash"
    return found


def _attempts(names: Iterable[str], inputs: str, job: int) -> Iterator[Attempt]:
    environment = {**os.environ, "ISOBENCH_DEVICE_LOCKS": str((FOLDER / f".locks-{job}").absolute())}
    for name in names:
        folder = FOLDER / name
        given = ["--inputs", str(folder / "test_data_set_0")] if inputs == "given" else _sizes(folder)
        command = [common.isobench_command(), "run", "-r", "ort", "--json", *ONCE, *given, str(folder / "model.onnx")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        yield Attempt(name=name, inputs=inputs, **_outcome(done))


def _sizes(folder: Path) -> list[str]:
    """The `--shape` options for inputs whose sizes the model leaves open: those of the test's own inputs."""
    import onnx

    model = onnx.load(folder / "model.onnx")
    initializers = {one.name for one in model.graph.initializer}
    words = []
    for index, value in enumerate(model.graph.input):
        kind = value.type.tensor_type
        file = folder / "test_data_set_0" / f"input_{index}.pb"
        fixed = kind.HasField("shape") and all(size.HasField("dim_value") for size in kind.shape.dim)
        if value.type.HasField("tensor_type") and not fixed and value.name not in initializers:
            shape = list(onnx.load_tensor(file).dims)
            words += ["--shape", f"{value.name}={','.join(map(str, shape))}"]
    return words


def _outcome(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    try:
        [result] = json.loads(done.stdout)
        outcome = result["outcome"]
        if "kind" in outcome:
            return {"outcome": outcome["kind"], "message": outcome["message"]}
        correctness = outcome["correctness"]
        return {"outcome": "correct" if correctness["ok"] else "wrong", "message": "; ".join(correctness["reasons"])}
    except (ValueError, KeyError):
        return {"outcome": "no result", "message": (done.stderr.strip() or done.stdout.strip())[:400]}


def _print(inputs: str, attempts: Sequence[Attempt]) -> None:
    measured = sum(attempt.measured for attempt in attempts)
    wrong = sum(attempt.outcome == "wrong" for attempt in attempts)
    share = measured / len(attempts) if attempts else 0.0
    print(f"{inputs} inputs: {measured} of {len(attempts)} measured ({share:.1%}), {wrong} of them wrong")
    for attempt in attempts:
        if attempt.outcome != "correct":
            print(f"  {attempt.name}: {attempt.outcome}: {attempt.message.splitlines()[0] if attempt.message else ''}")


if __name__ == "__main__":
    main()
