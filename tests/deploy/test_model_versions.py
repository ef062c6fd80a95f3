"""Models saved by older libraries: they predict what they predicted there, or a sentence says why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from advisor.errors import ArtifactError
from deploy.artifact import inspect

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "versions"), str(HERE.parents[1] / "deploy/bundle/runtime")]

import environments  # noqa: E402
from model_server import loaders  # noqa: E402
from model_server.payload import Decoder  # noqa: E402
from model_server.signature import Signature  # noqa: E402

# What these are made of is not in scikit-learn any more: refused, with the reason.
MAY_BE_REFUSED = {"one-three": {"boosting", "histogram"}}


@pytest.mark.slow
@pytest.mark.parametrize("name", environments.WANTED)
def test_models_of_older_libraries_predict_the_same_or_say_why(name: str, tmp_path: Path) -> None:
    try:
        expected = environments.trained(name, tmp_path)
    except RuntimeError as missing:
        pytest.skip(str(missing))
    expected.pop("libraries")
    served, told = 0, {}
    for file, wanted in expected.items():
        try:
            artifact = inspect(tmp_path / file)
        except ArtifactError as refused:
            told[file] = str(refused)
            continue
        assert artifact.signature is not None
        signature = Signature.of(artifact.signature.model_dump())
        model = loaders.load(artifact.format, tmp_path / file, signature)
        output = model.predict(Decoder(signature).batch(wanted["rows"]), "default")
        _agree(file, output.as_json(), output.probabilities, wanted)
        served += 1
    assert served >= 10
    assert {file.split(".")[0] for file in told} <= MAY_BE_REFUSED.get(name, set()), told
    assert all("saved with" in why for why in told.values()), told


def _agree(file: str, rows: list[Any], probabilities: Any, wanted: dict[str, Any]) -> None:
    labels = [r["label"] if isinstance(r, dict) else r for r in rows]
    if isinstance(wanted["values"][0], float):
        np.testing.assert_allclose(labels, wanted["values"], rtol=1e-6, err_msg=file)
    else:
        assert labels == wanted["values"], file
    if probabilities is not None:
        np.testing.assert_allclose(
            probabilities, wanted["probabilities"], rtol=1e-4, atol=1e-6, err_msg=file
        )
