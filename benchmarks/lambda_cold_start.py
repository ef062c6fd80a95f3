"""python -m benchmarks.lambda_cold_start: how long an instance of a function takes to start.

The command of the image (`awslambdaric` with the bundle's handler) runs against a Runtime API on the
loopback. Fetching the image and placing the instance, which only AWS does, are not in it.
"""

from __future__ import annotations

import compileall
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.lambda_runtime import HANDLER, Environment, http_event
from deploy.artifact import inspect
from deploy.bundle.pack import pack
from deploy.sample import sample_request

MODELS = ("examples/breast_cancer.onnx", "examples/breast_cancer.joblib")
STARTS = 3
WARM_CALLS = 20
LIMIT_S = 60.0
ARN = "arn:aws:lambda:us-east-1:123456789012:function:mda-benchmark:live"
COLUMNS = ("start_s", "start_cpu_s", "first_ms", "warm_ms")


def main() -> None:
    root = Path(__file__).resolve().parents[1]
    print(f"{STARTS} starts each, median (least to most); {WARM_CALLS} warm calls after each")
    print(f"{'':8} {'to the first event':>24} {'processor time of that':>24} "
          f"{'first call':>20} {'later call':>20}")  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        for name in MODELS:
            artifact = inspect(root / name)
            bundle = pack(artifact, Path(scratch) / artifact.format, variant="lambda")
            # As the image does: bytecode is compiled when it is built.
            compileall.compile_dir(bundle.path / "model_server", quiet=2)
            sample = sample_request(artifact.signature)
            if sample is None:
                raise SystemExit(f"{name} does not tell what it takes")
            event = http_event("/invocations", sample.body.decode())
            found = [started(bundle.path, event, Path(scratch) / "log") for _ in range(STARTS)]
            told = [spread([run[n] for run in found]) for n in range(len(COLUMNS))]
            print(
                f"{artifact.format:8} {told[0]:>22} s {told[1]:>22} s {told[2]:>17} ms "
                f"{told[3]:>17} ms"
            )


def started(folder: Path, event: dict[str, object], log: Path) -> tuple[float, ...]:
    """One start: seconds to the first request for an event, processor seconds of that, milliseconds
    of the first call, and the median of the calls after it. Raises RuntimeError with the log."""
    environment = Environment([sys.executable, "-m", "awslambdaric", HANDLER], folder, log, ARN)
    try:
        ready_s = environment.wait_until_ready(LIMIT_S)
        cpu_s = processor_seconds(environment.process.pid)
        first_ms = called(environment, event)
        warm_ms = statistics.median(called(environment, event) for _ in range(WARM_CALLS))
    finally:
        environment.stop()
    return ready_s, cpu_s, first_ms, warm_ms


def called(environment: Environment, event: dict[str, object]) -> float:
    """Milliseconds of one call, the Runtime API's own part in it. Raises RuntimeError."""
    began = time.monotonic()
    well, answer = environment.invoke(event, LIMIT_S)
    took_ms = (time.monotonic() - began) * 1000
    if not well or answer["statusCode"] != 200:
        raise RuntimeError(f"{json.dumps(answer)[:300]}\n{environment.log.read_text()[-500:]}")
    return took_ms


def processor_seconds(process: int) -> float:
    """Processor time of a process so far, user and system, from /proc."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(values: list[float]) -> str:
    digits = 2 if max(values) < 10 else 0
    median, least, most = statistics.median(values), min(values), max(values)
    return f"{median:.{digits}f} ({least:.{digits}f} to {most:.{digits}f})"


if __name__ == "__main__":
    main()
