"""Runtimes whose workers misbehave: `misbehaving:how=NAME`, and `misbehaving-import-NAME` before there is a request."""

from pathlib import Path

from isobench.runtimes.worker_rt import WorkerRT

WORKERS = Path(__file__).parent / "workers"


class MisbehavingRT(WorkerRT):
    environment = "ort"
    package = "onnxruntime"
    worker = "misbehaving_worker.py"

    def __init__(self, *, how: str = "well") -> None:
        super().__init__(how=how)


def _importing(worker):
    return type("ImportingRT", (MisbehavingRT,), {"worker": worker.name, "__module__": __name__})


_REST = {"supported_devices": {"cpu", "x86"}, "build_required": True}
implements = {
    "runtimes": {
        "misbehaving": {"RuntimeClass": MisbehavingRT, **_REST},
        **{
            f"misbehaving-{worker.stem.replace('_', '-')}": {"RuntimeClass": _importing(worker), **_REST}
            for worker in sorted(WORKERS.glob("import_*.py"))
        },
    }
}
