"""An engine of this machine is asked, told and ended the right way. The engine is a script that
writes down how it was called; a real one is in test_real_image.py."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import psutil
import pytest
from fake_engine import DIGEST, calls, install

from advisor.errors import DeployError, PreflightError, RunCancelledError
from deploy.images import child, engines
from deploy.images.engines import Engine, EngineName, Unusable, engine_for, look
from deploy.images.local_build import LocalBuild, Login
from deploy.target import Event

REFERENCE = "registry.test:5000/mda:bundle-1"
SECRET = "not-to-be-seen-anywhere"
LOGIN = Login("registry.test:5000", "AWS", SECRET)


class Log(list[Event]):
    def __call__(self, event: Event) -> None:
        self.append(event)

    @property
    def text(self) -> str:
        return "\n".join(event.message for event in self)


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The first folder of PATH; with `python` gone from it the fakes still start by full path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.defpath}")
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_BUILDKIT"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM public.ecr.aws/docker/library/python:3.11-slim\n")
    return folder


def test_a_client_without_a_server_is_not_usable(bin_folder: Path) -> None:
    said = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."
    install(bin_folder, "docker", info={"lines": ["{}"], "errors": [said], "code": 1})
    found = look("docker")
    assert isinstance(found, Unusable)
    assert found.because == f"docker does not work here: {said}"
    with pytest.raises(PreflightError, match=r"daemon at unix.*; start Docker, or install it"):
        engine_for("docker", "x86_64")


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_an_engine_that_answers_is_usable(bin_folder: Path, name: EngineName) -> None:
    install(bin_folder, name)
    found = look(name)
    assert isinstance(found, Engine)
    assert (found.program, found.architecture) == (str(bin_folder / name), "x86_64")
    assert found.version == ("28.2.2" if name == "docker" else "4.3.1")


def test_an_engine_that_is_not_there_says_how_to_get_it(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(bin_folder))
    found = look("buildah")
    assert isinstance(found, Unusable)
    assert found.because == "buildah is not on this machine's PATH"
    assert "apt install buildah" in found.fix


@pytest.mark.parametrize(
    ("lines", "because"),
    [
        (["not json"], "docker does not work here: it said nothing of itself"),
        (
            ['{"OSType": "windows", "Architecture": "x86_64"}'],
            "the Docker server runs windows/x86_64",
        ),
        (
            ['{"OSType": "linux", "Architecture": "riscv64"}'],
            "the Docker server runs linux/riscv64",
        ),
    ],
)
def test_an_engine_that_cannot_build_these_images(
    bin_folder: Path, lines: list[str], because: str
) -> None:
    install(bin_folder, "docker", info={"lines": lines})
    found = look("docker")
    assert isinstance(found, Unusable)
    assert found.because == because


def test_another_processor_needs_its_emulator(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bin_folder, "podman")
    monkeypatch.setattr(engines, "EMULATORS", tmp_path)
    with pytest.raises(PreflightError, match=r"builds for x86_64 and the plan's machine is arm64"):
        engine_for("podman", "arm64")
    (tmp_path / "qemu-aarch64").write_text("disabled\n")
    with pytest.raises(PreflightError):
        engine_for("podman", "arm64")
    (tmp_path / "qemu-aarch64").write_text("enabled\ninterpreter /usr/bin/qemu-aarch64\n")
    assert engine_for("podman", "arm64").builds_for == {"x86_64", "arm64"}


def test_docker_is_asked_which_processors_its_builder_knows(bin_folder: Path) -> None:
    install(bin_folder, "docker", buildx={"lines": ["Platforms: linux/amd64, linux/arm64"]})
    assert engine_for("docker", "arm64").has_buildx
    install(bin_folder, "docker", buildx={"code": 1})
    assert not engine_for("docker", "x86_64").has_buildx
    with pytest.raises(PreflightError):
        engine_for("docker", "arm64")


@pytest.mark.parametrize("name", ["podman", "buildah"])
def test_one_image_in_dockers_format_is_built(
    bin_folder: Path, context: Path, name: EngineName
) -> None:
    install(bin_folder, name, build={"lines": ["STEP 1/2: FROM x", "", "STEP 2/2: USER 10001"]})
    log = Log()
    LocalBuild(engine_for(name, "x86_64"), log).build(context, REFERENCE, "x86_64")
    built = next(c for c in calls(bin_folder) if c["arguments"][0] == "build")
    assert built["arguments"] == [
        "build", "--pull", "--format", "docker", "--layers", "--force-rm", "--platform", "linux/amd64",
        "--tag", REFERENCE, str(context),
    ]  # fmt: skip
    assert [e.message for e in log if e.level == "progress"] == [
        "STEP 1/2: FROM x",
        "STEP 2/2: USER 10001",
    ]


@pytest.mark.parametrize("has_buildx", [True, False])
def test_docker_makes_no_index(bin_folder: Path, context: Path, has_buildx: bool) -> None:
    install(bin_folder, "docker", **({} if has_buildx else {"buildx": {"code": 1}}))
    LocalBuild(engine_for("docker", "x86_64"), Log()).build(context, REFERENCE, "x86_64")
    built = next(c for c in calls(bin_folder) if c["arguments"][0] == "build")
    if has_buildx:
        assert "type=docker" in built["arguments"]
        assert built["environment"]["BUILDX_NO_DEFAULT_ATTESTATIONS"] == "1"
    else:
        assert "--output" not in built["arguments"]
        assert built["environment"]["DOCKER_BUILDKIT"] == "0"


def test_a_base_image_of_this_machine_is_not_looked_for_elsewhere(
    bin_folder: Path, context: Path
) -> None:
    (context / "Dockerfile").write_text("FROM localhost/base:3.11\n")
    install(bin_folder, "buildah")
    LocalBuild(engine_for("buildah", "x86_64"), Log()).build(context, REFERENCE, "x86_64")
    assert all("--pull" not in call["arguments"] for call in calls(bin_folder))


def test_a_failed_build_says_its_last_lines(bin_folder: Path, context: Path) -> None:
    lines = [f"line {i}" for i in range(20)]
    install(
        bin_folder, "podman", build={"lines": lines, "errors": ["E: \x1b[31mno\x1b[0m"], "code": 3}
    )
    with pytest.raises(DeployError) as caught:
        LocalBuild(engine_for("podman", "x86_64"), Log()).build(context, REFERENCE, "x86_64")
    said = str(caught.value)
    assert said.startswith("Podman 4.3.1 on this machine could not build the image: ")
    assert "line 19" in said
    assert "E: no" in said
    assert "line 9 " not in said
    assert said.endswith("(it ended with 3)")
    assert "\n" not in said


def test_an_image_for_another_processor_is_refused_and_removed(
    bin_folder: Path, context: Path
) -> None:
    install(bin_folder, "buildah", inspect={"lines": ["arm64"]})
    with pytest.raises(DeployError, match=r"came out for arm64 .*ADVISOR_BASE_IMAGE"):
        LocalBuild(engine_for("buildah", "x86_64"), Log()).build(context, REFERENCE, "x86_64")
    assert calls(bin_folder)[-1]["arguments"] == ["rmi", REFERENCE]


@pytest.mark.parametrize("name", ["docker", "podman", "buildah"])
def test_the_password_goes_to_the_input_and_nowhere_else(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: EngineName
) -> None:
    install(bin_folder, name)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    log = Log()
    digest = LocalBuild(engine_for(name, "x86_64"), log).push(REFERENCE, LOGIN)
    assert digest == DIGEST
    (login,) = [c for c in calls(bin_folder) if "login" in c["arguments"]]
    assert login["input"] == SECRET
    assert login["arguments"][-4:] == ["--username", "AWS", "--password-stdin", LOGIN.registry]
    elsewhere = [{k: v for k, v in c.items() if k != "input"} for c in calls(bin_folder)]
    assert SECRET not in json.dumps(elsewhere) + log.text + repr(LOGIN)
    # The sign-in lives in a directory of its own, which is gone.
    kept = next(a for a in login["arguments"] if "/sign-in-" in a)
    assert not Path(kept).exists()
    assert not list(tmp_path.glob("sign-in-*"))
    pushed = next(c for c in calls(bin_folder) if "push" in c["arguments"])
    assert pushed["arguments"][-1] == REFERENCE
    if name == "docker":  # its own directory knows no contexts: the server is named
        assert pushed["environment"]["DOCKER_HOST"] == "unix:///var/run/docker.sock"
    else:
        assert "v2s2" in pushed["arguments"]


def test_the_sign_in_directory_is_nobody_elses(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    run = child.run

    def looked(command: list[str], **more: object) -> child.Ended:
        modes.extend(
            stat.S_IMODE(Path(a).parent.stat().st_mode) for a in command if "/sign-in-" in a
        )
        return run(command, **more)  # type: ignore[arg-type]

    install(bin_folder, "podman")
    engine = engine_for("podman", "x86_64")
    monkeypatch.setattr(child, "run", looked)
    LocalBuild(engine, Log()).push(REFERENCE, LOGIN)
    assert modes
    assert set(modes) == {0o700}


def test_a_refused_sign_in_pushes_nothing(bin_folder: Path) -> None:
    install(
        bin_folder, "podman", login={"errors": ["Error: invalid username/password"], "code": 125}
    )
    with pytest.raises(DeployError, match=r"sign in to registry.test:5000: Error: invalid user"):
        LocalBuild(engine_for("podman", "x86_64"), Log()).push(REFERENCE, LOGIN)
    assert not any("push" in call["arguments"] for call in calls(bin_folder))


def test_a_cancelled_build_ends_with_all_that_it_started(
    bin_folder: Path, context: Path, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    install(bin_folder, "buildah", build={"child": str(pids), "lines": ["STEP 1"], "sleeps_s": 120})

    def cancelled(event: Event) -> None:
        if event.message == "STEP 1":
            raise RunCancelledError("the run was cancelled")

    began = time.monotonic()
    with pytest.raises(RunCancelledError):
        LocalBuild(engine_for("buildah", "x86_64"), cancelled).build(context, REFERENCE, "x86_64")
    assert time.monotonic() - began < 60
    for pid in map(int, pids.read_text().split()):
        assert ended(pid)


def ended(pid: int) -> bool:
    """A signal takes a moment; who collects the exit code is not waited for."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_a_silent_build_is_heard_of_and_can_be_cancelled(
    bin_folder: Path, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "SILENCE_S", 0.2)
    install(bin_folder, "buildah", build={"sleeps_s": 120})

    def cancelled(event: Event) -> None:
        if event.message.startswith("Still at it"):
            raise RunCancelledError("the run was cancelled")

    with pytest.raises(RunCancelledError):
        LocalBuild(engine_for("buildah", "x86_64"), cancelled).build(context, REFERENCE, "x86_64")


def test_a_command_that_takes_too_long_is_ended(bin_folder: Path) -> None:
    install(bin_folder, "podman", push={"sleeps_s": 120})
    command = [str(bin_folder / "podman"), "push", "x"]
    with pytest.raises(DeployError, match=r"podman push has not ended within"):
        child.run(command, environment=os.environ, limit_s=1)


def test_what_a_command_leaves_behind_does_not_hold_the_reader(
    bin_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "SILENCE_S", 0.3)
    pids = tmp_path / "pids"
    install(bin_folder, "podman", push={"child": str(pids), "lines": ["done"]})
    ended = child.run([str(bin_folder / "podman"), "push", "x"], environment=os.environ, limit_s=60)
    psutil.Process(int(pids.read_text().split()[1])).kill()
    assert (ended.code, ended.output) == (0, "done\n")


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="cannot be started: No such file"):
        child.run([str(tmp_path / "none")], environment=os.environ, limit_s=5)
