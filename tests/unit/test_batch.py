"""The batch system's job in a Result."""

from __future__ import annotations

from pathlib import Path

import pytest

from isobench.system import batch
from isobench.system.facts import BatchJob

VARIABLES = {
    "SLURM_JOB_ID": "17",
    "SLURM_ARRAY_JOB_ID": "12",
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURMD_NODENAME": "node3",
    "SLURM_JOB_PARTITION": "long",
    "SLURM_JOB_ACCOUNT": "physics",
    "SLURM_CLUSTER_NAME": "hpc",
}
SQUEUE = """#!/bin/sh
echo '12_3|RUNNING|node3|None|10:00|4|ours'
echo '40|RUNNING|node3|None|UNLIMITED|8|another | one'
echo '41|PENDING||Priority|10:00|8|waits'
"""
SCONTROL = (
    "#!/bin/sh\necho 'NodeName=node3 Arch=x86_64 ActiveFeatures=amx,ib Partitions=long,short State=MIXED Reason=none'\n"
)


def test_outside_of_any_job_there_is_none() -> None:
    assert batch.begun({}) is None
    assert batch.ended(None) is None


def test_a_job_is_read_from_variables_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    job = batch.begun(VARIABLES)
    assert job == BatchJob(
        system="slurm",
        job_id="17",
        array_job_id="12",
        array_task="3",
        cluster="hpc",
        node="node3",
        partition="long",
        account="physics",
    )
    assert batch.ended(job) == job


def test_a_task_of_a_sweep_also_records_what_else_runs_on_its_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, script in (("squeue", SQUEUE), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with batch.looking_around(exclusive=True):
        job = batch.ended(batch.begun(VARIABLES))
    assert job is not None
    assert (job.exclusive, job.features) == (True, ("amx", "ib"))
    assert job.others_at_begin == job.others_at_end == job.others == ("40 (8 CPUs)",)


def test_where_slurm_does_not_answer_the_others_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with batch.looking_around(exclusive=False):
        job = batch.ended(batch.begun(VARIABLES))
    assert job is not None
    assert job.others_at_begin is job.others_at_end is None
