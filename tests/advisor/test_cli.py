"""The terminal: exit codes, one line on stderr, and the promised JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pypdf import PdfReader

from advisor.cli import main

GOOD = """
model: {format: onnx, size_mb: 20, memory_mb: 300, service_time_ms: 12}
traffic: {mode: realtime, requests_per_month: 3000000}
"""
NOTHING = """
model: {format: onnx, size_mb: 20, memory_mb: 300, service_time_ms: 60000}
traffic: {mode: realtime, requests_per_month: 1000}
service: {p95_ms: 5000}
"""


@pytest.fixture
def file(tmp_path: Path):
    def write(text: str, name: str = "need.yaml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_json_has_the_promised_shape(file, capsys) -> None:
    assert main(["recommend", file(GOOD), "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert {
        "schema_version", "verdict", "winner", "close_call", "confidence", "ranking", "excluded",
        "unpriced", "flips", "relaxations", "warnings", "prices_as_of",
    } <= set(answer)  # fmt: skip
    assert answer["schema_version"] == 1
    first = answer["ranking"][0]
    assert {
        "option", "kind", "score", "contributions", "region", "machine", "purchase", "replicas",
        "p95_ms", "monthly_usd", "at_least", "people_monthly_usd", "total_monthly_usd", "lines",
        "reasons",
    } <= set(first)  # fmt: skip
    assert set(first["monthly_usd"]) == {"low", "expected", "high"}
    assert set(first["replicas"]) == {"min", "max"}
    assert {
        "name", "quantity", "unit", "unit_price_usd", "usd", "source", "as_of",
    } <= set(first["lines"][0])  # fmt: skip
    assert first["monthly_usd"]["expected"] == pytest.approx(sum(x["usd"] for x in first["lines"]))
    assert {"option", "rule", "because", "source"} <= set(answer["excluded"][0])
    assert {"field", "from", "to", "winner"} <= set(answer["flips"][0])


def test_yaml_and_json_files_say_the_same(file, capsys) -> None:
    as_json = json.dumps(
        {
            "model": {"format": "onnx", "size_mb": 20, "memory_mb": 300, "service_time_ms": 12},
            "traffic": {"mode": "realtime", "requests_per_month": 3000000},
        }
    )
    main(["recommend", file(GOOD)])
    first = capsys.readouterr().out
    main(["recommend", file(as_json, "need.json")])
    assert capsys.readouterr().out == first


def test_a_record_is_written_to_a_file_and_read_as_requirements(file, capsys, tmp_path) -> None:
    pdf, again = tmp_path / "decision.pdf", tmp_path / "again.json"
    asked = file("name: Größe & Ümlaut\n" + GOOD)
    assert main(["recommend", asked, "--out", str(pdf), "--deciders", "Ada"]) == 0
    assert capsys.readouterr().out == ""
    reader = PdfReader(pdf)
    assert reader.metadata is not None
    assert str(reader.metadata.title).startswith("Größe & Ümlaut: run the model on")
    attached = tmp_path / "record.json"
    attached.write_bytes(reader.attachments["decision-record.json"][0])
    assert main(["recommend", str(attached), "--out", str(again), "--deciders", "Ada"]) == 0
    assert json.loads(again.read_text()) == json.loads(attached.read_text())


@pytest.mark.parametrize(
    ("out", "said"),
    [("answer.docx", "does not say which format"), ("no/such/folder.txt", "cannot write")],
)
def test_a_file_that_cannot_be_written_is_said(file, capsys, tmp_path, out: str, said: str) -> None:
    assert main(["recommend", file(NOTHING), "--out", str(tmp_path / out)]) == 2
    assert said in capsys.readouterr().err


def test_nothing_fits_is_exit_code_3(file, capsys) -> None:
    assert main(["recommend", file(NOTHING)]) == 3
    out = capsys.readouterr().out
    assert "NOTHING FITS" in out
    assert "service.p95_ms" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("20", "-20", 1), "model.size_mb is -20"),
        (GOOD + "modle: {}\n", "modle is not a known key"),
        (GOOD + "placement: {regions: [us-esat-1]}\n", "us-esat-1"),
        (GOOD + "today: {option: ec3}\n", "ec3"),
        ("model: [", "not valid YAML"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(file, capsys, text: str, said: str) -> None:
    assert main(["recommend", file(text)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_a_missing_file_and_an_unknown_preset(capsys) -> None:
    assert main(["recommend", "no-such-file.yaml"]) == 2
    assert main(["recommend", "preset:nothing"]) == 2
    assert "fraud-detection" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["requirements", "usage", "policy", "record"])
def test_schemas_are_json_schema(capsys, what: str) -> None:
    assert main(["schema", what]) == 0
    assert "properties" in json.loads(capsys.readouterr().out)


def test_options_lists_all_and_shows_one(capsys) -> None:
    assert main(["options"]) == 0
    assert len(capsys.readouterr().out.strip().splitlines()) == 17
    assert main(["options", "sagemaker-realtime"]) == 0
    out = capsys.readouterr().out
    assert "max_request_mb: 25 MB" in out
    assert "2026-11-22" in out
    assert main(["options", "sagemaker"]) == 2


def test_a_policy_rules_out_and_is_named(file, capsys) -> None:
    policy = file(
        "rules:\n"
        "  - id: no-ec2\n"
        "    kind: exclude\n"
        "    phase: need\n"
        "    options: [ec2]\n"
        '    when: "true"\n'
        "    because: our platform team runs no bare machines\n"
        "    source: platform handbook\n",
        "policy.yaml",
    )
    assert main(["recommend", file(GOOD), "--policies", policy, "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    ours = [e for e in answer["excluded"] if e["rule"] == "no-ec2"]
    assert ours[0]["option"] == "ec2"
    assert answer["policies"]


def test_a_bad_policy_names_file_and_rule(file, capsys) -> None:
    policy = file(
        "rules:\n"
        "  - {id: typo, kind: exclude, phase: need, when: 'need.request_gb > 1.0',\n"
        "     because: x, source: y}\n",
        "policy.yaml",
    )
    assert main(["recommend", file(GOOD), "--policies", policy]) == 2
    error = capsys.readouterr().err
    assert "policy.yaml" in error
    assert "typo" in error
    assert "request_gb" in error


def test_as_a_module_from_a_shell(file) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "advisor", "recommend", file(GOOD)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""
    assert "Ranked" in done.stdout


def test_policies_of_the_environment_count(file, capsys, monkeypatch) -> None:
    policy = file(
        "rules: [{id: no-ec2, kind: exclude, phase: need, options: [ec2], when: 'true',\n"
        "         because: no bare machines, source: platform handbook}]\n",
        "team.yaml",
    )
    monkeypatch.setenv("ADVISOR_POLICIES", policy)
    assert main(["recommend", file(GOOD), "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "ec2" in {e["option"] for e in answer["excluded"] if e["rule"] == "no-ec2"}
    assert answer["policies"] == [policy]
