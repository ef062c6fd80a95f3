"""A model with a class of its own, in a real browser: refused, accepted with its code, serving, gone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_server import is_open, open_page
from playwright.sync_api import Page, expect
from test_journey import is_gone, server_process, start, try_here

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TRAIN = """\
import json
import sys

import joblib
import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from clipping import Clipper

rows = np.random.default_rng(0).normal(size=(80, 3))
model = make_pipeline(Clipper(0.5), LogisticRegression()).fit(rows, rows[:, 0] > 0.1)
joblib.dump(model, sys.argv[1])
print(json.dumps(model.predict_proba(rows[:1])[0].tolist()))
print(json.dumps(rows[:1].tolist()))
"""
CLIPPING = """\
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
"""


def test_a_pipeline_with_a_class_of_its_own_is_accepted_with_its_code_and_serves(
    app: str, home: Path, page: Page, tmp_path: Path
) -> None:
    (tmp_path / "clipping.py").write_text(CLIPPING)
    (tmp_path / "train.py").write_text(TRAIN)
    model = tmp_path / "clipped.joblib"
    said = subprocess.run(
        [sys.executable, "train.py", str(model)],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    ).stdout.splitlines()  # fmt: skip
    expected, rows = (json.loads(line) for line in said[-2:])

    open_page(page, app)
    try_here(page)
    page.locator("input[type=file]").set_input_files(model)
    expect(page.get_by_text("It needs code that this product does not know.")).to_be_visible()
    expect(page.get_by_text(re.compile("clipping.*Clipper")).first).to_be_visible()
    expect(page.get_by_role("button", name="Load it in confinement")).to_be_disabled()

    page.locator(".st-key-own_code input[type=file]").set_input_files(tmp_path / "clipping.py")
    page.get_by_role("textbox", name="Your name").fill("Ada")
    page.get_by_role("textbox", name="Why it may be loaded").fill("our own step, read by two of us")
    page.get_by_text("I know where this file and this code come from").click()
    page.get_by_role("button", name="Load it in confinement").click()
    expect(page.get_by_text("Accepted", exact=True)).to_be_visible()
    expect(page.get_by_text(re.compile("Ada accepted on")).first).to_be_visible()

    box = page.get_by_role("textbox", name="Name of the deployment")
    box.fill("own-code")
    box.press("Enter")
    expect(page.get_by_text("own-code server")).to_be_visible()
    start(page)
    expect(page.get_by_text("A real prediction came back")).to_be_visible()

    asked = page.get_by_role("textbox", name="Ask for a prediction (JSON)")
    asked.fill(json.dumps({"instances": rows}))
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.get_by_text("200", exact=True)).to_be_visible()
    expect(
        page.get_by_text(re.compile(rf"predictions.*{expected[0]:.6f}"[:-1])).first
    ).to_be_visible()

    process, port = server_process(home, "own-code")
    page.get_by_text("Yes, remove own-code").click()
    page.get_by_role("button", name="Destroy").click()
    expect(page.get_by_text("Gone: nothing of it runs")).to_be_visible()
    assert is_gone(process)
    assert not is_open(port)
