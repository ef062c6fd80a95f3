"""What a container may use: trees of files as each kind of container sees them, and real groups."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT, StartServer
from model_server import cgroup, service
from model_server.cgroup import memory_limit, processors, resident
from model_server.service import Service
from model_server.settings import Settings

from deploy.bundle.pack import Bundle

V2 = "30 25 0:26 {root} {at} rw,nosuid - cgroup2 cgroup rw,nsdelegate\n"
V1 = "31 25 0:27 {root} {at}/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
V1_MEMORY = "32 25 0:28 {root} {at}/memory rw - cgroup cgroup rw,memory\n"
HYBRID = "33 25 0:29 {root} {at}/unified rw - cgroup2 cgroup2 rw\n"
GB = 1024**3

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """tree(mounts, own groups, files, root=...): the folder that stands for /proc/self."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(cgroup, "_machine_bytes", lambda: 64.0 * GB)

    def make(mounts: str, own: str, files: dict[str, str], root: str = "/") -> Path:
        at = tmp_path / "sys"
        for name, text in files.items():
            (at / name).parent.mkdir(parents=True, exist_ok=True)
            (at / name).write_text(text)
        proc = tmp_path / "proc"
        proc.mkdir()
        (proc / "mountinfo").write_text(
            "24 1 0:20 / / rw - ext4 /dev/a rw\n" + mounts.format(at=at, root=root)
        )
        (proc / "cgroup").write_text(own)
        return proc

    return make


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("150000 100000", 2),
        ("50000 100000", 1),  # half a processor
        ("25000 50000", 1),
        ("1000 100000", 1),
        ("300000 100000", 3),
        ("9900000 100000", 8),  # there are no more
        ("max 100000", 8),
        ("", 8),
        ("nonsense", 8),
    ],
)
def test_version_2_within_a_namespace_of_its_own(text: str, expected: int, tree: Tree) -> None:
    assert processors(tree(V2, "0::/\n", {"cpu.max": text})) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [("50000", "100000", 1), ("250000", "100000", 3), ("-1", "100000", 8), ("100000", "0", 8)],
)
def test_version_1_within_a_namespace_of_its_own(
    quota: str, period: str, expected: int, tree: Tree
) -> None:
    files = {"cpu,cpuacct/cpu.cfs_quota_us": quota, "cpu,cpuacct/cpu.cfs_period_us": period}
    assert processors(tree(V1, "4:cpu,cpuacct:/\n", files)) == expected


def test_the_least_quota_of_nested_groups_holds(tree: Tree) -> None:
    """A service of systemd's, or a pod whose limit stands above that of its containers."""
    files = {
        "kube/cpu.max": "800000 100000",
        "kube/pod/cpu.max": "250000 100000",
        "kube/pod/model/cpu.max": "max 100000",
        "kube/pod/model/memory.max": "max",
        "kube/pod/memory.max": str(2 * GB),
        "kube/memory.max": str(8 * GB),
        "other/cpu.max": "100000 100000",
    }
    proc = tree(V2, "0::/kube/pod/model\n", files)
    assert processors(proc) == 3
    assert memory_limit(proc) == 2 * GB


def test_version_1_without_a_namespace_tells_the_host_s_path(tree: Tree) -> None:
    """Docker of old: the container's group is mounted as the root, and named by its host path."""
    files = {
        "cpu,cpuacct/cpu.cfs_quota_us": "200000",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": str(GB),
    }
    own = "5:memory:/docker/4f2a\n4:cpu,cpuacct:/docker/4f2a\n0::/system.slice\n"
    proc = tree(V1 + V1_MEMORY, own, files, root="/docker/4f2a")
    assert processors(proc) == 2
    assert memory_limit(proc) == GB


def test_both_versions_at_once(tree: Tree) -> None:
    """The controllers are with version 1, and version 2 has the names only."""
    files = {
        "cpu,cpuacct/app/cpu.cfs_quota_us": "400000",
        "cpu,cpuacct/app/cpu.cfs_period_us": "100000",
        "unified/app/cgroup.procs": "",
    }
    assert processors(tree(V1 + HYBRID, "4:cpu,cpuacct:/app\n0::/app\n", files)) == 4


def test_no_limit_on_memory_is_none(tree: Tree) -> None:
    files = {"memory/memory.limit_in_bytes": "9223372036854771712"}
    assert memory_limit(tree(V1_MEMORY, "5:memory:/\n", files)) is None


def test_a_group_outside_of_the_mount_takes_the_mounted_root(tree: Tree) -> None:
    assert processors(tree(V2, "0::/../other\n", {"cpu.max": "200000 100000"})) == 2


def test_without_groups_the_affinity_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3}, raising=False)
    assert processors(tmp_path / "nothing") == 2
    assert memory_limit(tmp_path / "nothing") is None
    assert resident(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    ("limit_mb", "settings", "expected"),
    [
        (300, Settings(workers=8), 6),  # 200 MB are free, and 32 wanted for each
        (120, Settings(workers=8), 1),
        (None, Settings(workers=8), 8),
        (120, Settings(workers=8, workers_chosen=True), 8),
    ],
)
def test_processes_are_not_more_than_there_is_memory_for(
    limit_mb: int | None, settings: Settings, expected: int, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(service, "memory_limit", lambda: limit_mb and limit_mb * 1_000_000)
    monkeypatch.setattr(service, "resident", lambda: 100_000_000)
    assert Service(settings)._workers(True) == expected
    assert ("fewer workers" in capsys.readouterr().out) == (expected < 8)
    assert Service(settings)._workers(False) == 8  # threads share all of it


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_a_server_bound_to_one_processor_has_one_worker(
    bundles: dict[str, Bundle], start_server: StartServer
) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})  # what the server inherits
    try:
        server = start_server(bundles["onnx"].path)
    finally:
        os.sched_setaffinity(0, before)
    ready = next(e for e in server.events() if e["event"] == "ready")
    assert (ready["workers_allowed"], ready["copies"]) == (1, 0)


@pytest.fixture
def real_groups() -> Iterator[Path]:
    """A group in a group of version 1, ours to write, where the system has them."""
    outer = Path("/sys/fs/cgroup/cpu") / f"model-server-test-{os.getpid()}"
    inner = outer / "inner"
    try:
        inner.mkdir(parents=True)
    except OSError as refused:
        pytest.skip(f"no groups of version 1 to make here: {refused.strerror}")
    yield inner
    inner.rmdir()
    outer.rmdir()


@pytest.mark.parametrize(("quota", "expected"), [("50000", 1), ("100000", 1), ("-1", None)])
def test_a_real_group_s_quota_is_found_from_within(
    quota: str, expected: int | None, real_groups: Path
) -> None:
    try:
        (real_groups.parent / "cpu.cfs_quota_us").write_text(quota)
    except OSError as refused:
        pytest.skip(f"no quotas here: {refused.strerror}")
    script = (
        f"import os; open({str(real_groups / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
        "from model_server.cgroup import processors; print(processors())"
    )
    runtime = ROOT / "deploy/bundle/runtime"
    done = subprocess.run([sys.executable, "-c", script], cwd=runtime, capture_output=True,
                          text=True, timeout=60, check=True)  # fmt: skip
    assert int(done.stdout) == (expected or len(os.sched_getaffinity(0)))
