"""Models with classes of the person's own: refused, or loaded by a recorded decision."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import malicious
import numpy as np
import pytest

from advisor.errors import ArtifactError, InputError, UnknownCodeError, UnsafeArtifactError
from deploy import asking
from deploy.acceptance import Acceptance, Decision, decided, decision_of
from deploy.artifact import Artifact, inspect, look_again
from deploy.bundle.pack import pack
from deploy.cli import main
from deploy.measurement import Measurement
from deploy.safety.confine import Limits
from deploy.targets import local_process

RUNTIME = Path(__file__).resolve().parents[2] / "deploy/bundle/runtime"
sys.path.insert(0, str(RUNTIME))

from model_server import accepted  # noqa: E402

TRAIN = """\
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin


class Clipper(TransformerMixin, BaseEstimator):
    def __init__(self, top=1.0):
        self.top = top

    def fit(self, rows, y=None):
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows):
        return np.clip(rows, -self.top, self.top)


def doubled(rows):
    return rows * 2


if __name__ == "__main__":
    import json
    import sys

    import joblib
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    rows = np.random.default_rng(0).normal(size=(80, 3))
    steps = Clipper(0.5), FunctionTransformer(doubled), LogisticRegression()
    model = make_pipeline(*steps).fit(rows, rows[:, 0] > 0.1)
    joblib.dump(model, sys.argv[1])
    print(json.dumps(model.predict_proba(rows[:5]).tolist()))
"""
ROWS = np.random.default_rng(0).normal(size=(80, 3))[:5]
HARMFUL = (
    ("os", "system"), ("posix", "system"), ("builtins", "eval"), ("subprocess", "Popen"),
    ("importlib", "import_module"), ("pip", "main"), ("cloudpickle", "loads"), ("dill", "loads"),
    ("numpy", "load"), ("numpy.f2py.crackfortran", "myeval"), ("joblib", "load"), ("torch", "load"),
    ("setuptools.sandbox", "run_setup"), ("model_server.locate", "locate"), ("mine", "__reduce__"),
    ("pydoc", "locate"), ("_io", "open"), ("code", "InteractiveInterpreter"), ("deploy.cli", "main"),
    ("mine", "a.b"), ("os.path", "join"),
)  # fmt: skip
NEED = {
    "model": {"format": "joblib", "size_mb": 1, "memory_mb": 200, "service_time_ms": 2},
    "traffic": {"mode": "realtime", "requests_per_month": 100_000},
    "placement": {"clouds": ["own-hardware"], "node_hourly_usd": 0.1},
}
REASON = "our own clipping step, read by two of us"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[Any]]:
    """(model file, folder with its code, what it answers to `ROWS`), made by a training script."""
    folder = tmp_path_factory.mktemp("own")
    code = folder / "code"
    code.mkdir()
    (code / "train.py").write_text(TRAIN)
    model = folder / "own.joblib"
    said = subprocess.run(
        [sys.executable, str(code / "train.py"), str(model)],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    return model, code, json.loads(said.stdout)


@pytest.fixture(scope="module")
def artifact(trained: tuple[Path, Path, list[Any]]) -> Artifact:
    model, code, _ = trained
    return inspect(model, decision=decided(REASON, "Ada", code))


def test_without_a_decision_it_is_refused_and_says_how_to_decide(
    trained: tuple[Path, Path, list[Any]],
) -> None:
    with pytest.raises(UnknownCodeError, match=r"__main__\.Clipper.*--accept-unsafe, --code") as no:
        inspect(trained[0])
    assert "__main__.doubled" in no.value.findings[-1]


def test_a_decision_is_kept_with_who_when_what_and_why(
    trained: tuple[Path, Path, list[Any]], artifact: Artifact
) -> None:
    held = artifact.accepted
    assert artifact.safety.verdict == "accepted"
    assert held is not None
    assert (held.by, held.reason, held.digest) == ("Ada", REASON, artifact.digest)
    assert abs((datetime.now(UTC) - held.at).total_seconds()) < 600
    assert held.names == [("__main__", "Clipper", "train"), ("__main__", "doubled", "train")]
    assert "2 of them are outside the allow-list" in held.findings[-2] + held.findings[-1]
    assert "Ada accepted on" in held.sentence
    assert REASON in held.sentence
    assert look_again(trained[0], held) == artifact


def test_from_refusal_to_an_endpoint_that_answers_as_trained_and_back(
    trained: tuple[Path, Path, list[Any]],
    advisor_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The whole way at a terminal: plan (refused, accepted), apply, predict, destroy."""
    model, code, wanted = trained
    need, out, rows = tmp_path / "need.json", tmp_path / "plan.json", tmp_path / "rows.json"
    need.write_text(json.dumps(NEED))
    rows.write_text(
        json.dumps({"instances": ROWS.tolist(), "parameters": {"method": "predict_proba"}})
    )
    plan = ["plan", "--target", "docker-host", "--model", str(model), "--requirements", str(need),
            "--out", str(out), "--name", "own"]  # fmt: skip
    decide = ["--accept-unsafe", REASON, "--code", str(code)]
    assert main(plan) == 2
    assert "--accept-unsafe, --code" in capsys.readouterr().err
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
    assert main(plan + decide) == 2
    assert not out.exists()
    monkeypatch.setattr(sys, "stdin", Terminal("accept\n"))
    assert main(plan + decide) == 0
    assert "ada accepted on" in " ".join(capsys.readouterr().out.split())
    assert main(["apply", str(out), "--yes"]) == 0
    try:
        (bundle,) = (advisor_home / "deployments/own").glob("bundle-*")
        told = json.loads((bundle / "bundle.json").read_text())["model"]["accepted"]
        assert (told["by"], told["reason"]) == ("ada", REASON)
        assert str(code) not in json.dumps(told)
        assert (bundle / "code/train.py").read_text() == TRAIN
        capsys.readouterr()
        assert main(["predict", "own", "--input", str(rows)]) == 0
        said = json.loads(capsys.readouterr().out)
        np.testing.assert_allclose(said["predictions"], wanted, rtol=1e-9)
    finally:
        assert main(["destroy", "own", "--yes"]) == 0
    assert "Nothing of own is left" in capsys.readouterr().out
    assert local_process.strays(advisor_home.resolve()) == []


@pytest.mark.slow
def test_other_code_than_accepted_is_neither_packed_nor_planned(
    trained: tuple[Path, Path, list[Any]], tmp_path: Path
) -> None:
    model, code, _ = trained
    mine = tmp_path / "code"
    mine.mkdir()
    (mine / "train.py").write_text((code / "train.py").read_text())
    found = inspect(model, decision=decided(REASON, "Ada", mine))
    (mine / "train.py").write_text((code / "train.py").read_text() + "\n# more\n")
    with pytest.raises(ArtifactError, match="changed since it was accepted"):
        pack(found, tmp_path / "bundle")
    with pytest.raises(UnsafeArtifactError, match="not what was accepted"):
        look_again(model, found.accepted)


def test_own_code_can_still_do_nothing_but_compute(tmp_path: Path) -> None:
    """It is run in the confined process, where writing is refused."""
    canary = tmp_path / "canary"
    code = tmp_path / "code"
    code.mkdir()
    (code / "steps.py").write_text(f"open({str(canary)!r}, 'w').close()\nclass Step: pass\n")
    model = tmp_path / "model.pkl"
    model.write_bytes(b"csteps\nStep\n.")
    with pytest.raises(ArtifactError, match="code of steps does not start here"):
        inspect(model, decision=decided(REASON, "Ada", code))
    assert not canary.exists()


@pytest.mark.slow
def test_own_code_that_never_ends_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "steps.py").write_text("while True: pass\n")
    model = tmp_path / "model.pkl"
    model.write_bytes(b"csteps\nStep\n.")
    with pytest.raises(ArtifactError, match="processor time"):
        inspect(
            model, decision=decided(REASON, "Ada", tmp_path / "code"),
            limits=Limits(cpu_s=3, wall_s=60),
        )  # fmt: skip


def test_an_exploit_beside_own_classes_is_refused_whoever_decides(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    path = tmp_path / "model.pkl"
    path.write_bytes(
        b"(c__main__\nClipper\ncposix\nsystem\n(V" + f"touch {canary}".encode() + b"\ntRl."
    )
    with pytest.raises(UnsafeArtifactError, match=r"do not load it") as refused:
        inspect(path, decision=decided(REASON, "Ada"))
    assert not isinstance(refused.value, UnknownCodeError)
    assert not canary.exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", malicious.CORPUS)
def test_no_hostile_file_is_loaded_by_a_decision(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "upload").mkdir()
    path = malicious.CORPUS[name](tmp_path / "upload", str(canary))
    with pytest.raises(ArtifactError):
        inspect(path, decision=decided(REASON, "Ada"))
    assert not canary.exists()


@pytest.mark.parametrize("name", HARMFUL)
def test_what_harmful_files_name_cannot_be_accepted(name: tuple[str, str], tmp_path: Path) -> None:
    module, last = name
    assert not accepted.can_be(module, last)
    with pytest.raises(Exception, match="nothing that anybody may accept"):
        accepted.take({"names": [[module, last, module]]}, tmp_path)
    assert not accepted.holds(module, last)


def test_accepted_names_must_be_classes_or_functions_of_that_package(tmp_path: Path) -> None:
    (tmp_path / "stepsof.py").write_text(
        "from shutil import rmtree as system\nfrom sys import path as held\n"
    )
    for name, words in (("system", "really comes from"), ("held", "neither a class")):
        accepted.take({"names": [["stepsof", name, "stepsof"]]}, tmp_path)
        with pytest.raises(Exception, match=words):
            accepted.find("stepsof", name)
    accepted.take(None, None)
    sys.path.remove(str(tmp_path))


def test_the_file_may_hold_own_functions_and_not_call_them(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "steps.py").write_text("def act(x):\n    return x\n")
    model = tmp_path / "model.pkl"
    model.write_bytes(b"csteps\nact\n(I1\ntR.")
    with pytest.raises(UnsafeArtifactError, match=r"tries to call steps\.act"):
        inspect(model, decision=decided(REASON, "Ada", tmp_path / "code"))


def test_code_that_is_not_there_is_asked_for(trained: tuple[Path, Path, list[Any]]) -> None:
    with pytest.raises(ArtifactError, match=r"Clipper, which was defined in the training script"):
        inspect(trained[0], decision=decided(REASON, "Ada"))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: decided("why not", "Ada"), "7 characters"),
        (lambda _: decided(REASON, " "), "nobody is named"),
        (lambda at: decided(REASON, "Ada", at / "none"), "there is no code"),
        (lambda at: decided(REASON, "Ada", at / "file.py"), "is no folder"),
    ],
)
def test_a_decision_that_says_nothing_is_none(
    make: Callable[[Path], Decision], words: str, tmp_path: Path
) -> None:
    (tmp_path / "file.py").write_text("")
    with pytest.raises(InputError, match=words):
        make(tmp_path)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_at_a_terminal_the_word_has_to_be_typed(
    trained: tuple[Path, Path, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, code, _ = trained
    monkeypatch.setenv("USER", "ada")
    for typed in ("", "yes\n", "y\n"):
        monkeypatch.setattr(sys, "stdin", Terminal(typed or "\n"))
        with pytest.raises(InputError, match="was not accepted; nothing was loaded"):
            asking.decision_for(model, REASON, code)
    monkeypatch.setattr(sys, "stdin", Terminal("accept\n"))
    decision = asking.decision_for(model, REASON, code)
    assert decision is not None
    assert decision.by == "ada"
    assert "__main__.Clipper" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO("accept\n"))
    with pytest.raises(InputError, match="nobody is there"):
        asking.decision_for(model, REASON, code)
    with pytest.raises(InputError, match="--accept-unsafe"):
        asking.decision_for(model, None, code)
    assert asking.decision_for(model, None, None) is None


def test_a_decision_outlives_its_json() -> None:
    held = Acceptance(
        by="Ada", at=datetime.now(UTC), reason=REASON, digest="0" * 64, names=[("a", "B", "a")]
    )
    assert Acceptance.model_validate_json(held.model_dump_json()) == held
    assert decision_of(held) == Decision(by="Ada", at=held.at, reason=REASON)
    assert "accepted" in Measurement.model_fields
