"""A security scanner (checkov) over every template; each finding is mended or justified in a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from template_views import decided, views

from deploy.aws.templates import DIRECTORY, Template
from deploy.aws.templates import load as load_template

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-scanner" / "bin" / "python"
SKIPS: list[dict[str, Any]] = yaml.safe_load(
    (DIRECTORY / "scanner_skips.yaml").read_text(encoding="utf-8")
)["skips"]
NAMES = sorted(
    path.name for path in DIRECTORY.glob("*.yaml") if "AWSTemplateFormatVersion" in path.read_text()
)


load = cache(load_template)


class Finding(NamedTuple):
    check: str
    resource: str  # template.yaml LogicalId
    view: str


def test_each_skip_names_what_is_there_and_why() -> None:
    for skip in SKIPS:
        assert set(skip) <= {"check", "resources", "views", "why"}, skip
        assert len(skip["why"].split()) >= 10, skip
        for resource in skip["resources"]:
            name, logical_id = resource.split()
            assert logical_id in load(name).content["Resources"], resource


def test_a_view_decides_conditions_and_keeps_the_rest() -> None:
    template = load("ecs-fargate.yaml")
    private = decided(template, {"Reach": "private"})["Resources"]
    listener = private["Listener"]["Properties"]
    assert (listener["Protocol"], listener["Port"]) == ("HTTP", 80)
    assert "SslPolicy" not in listener
    assert "Api" not in private
    with_certificate = decided(template, {"Reach": "certificate"})["Resources"]
    assert with_certificate["Listener"]["Properties"]["Protocol"] == "HTTPS"
    assert "Fn::If" not in json.dumps([with_certificate, private])


def test_every_resource_is_made_in_some_view() -> None:
    """But the scheduled changes of serverless endpoints, which are alike and follow the sizing."""
    for name in NAMES:
        made = {i for _, content in views(load(name)) for i in content["Resources"]}
        missing = set(load(name).content["Resources"]) - made
        assert not {m for m in missing if not m.startswith("Change")}, name


def test_findings_and_skips_are_held_against_each_other() -> None:
    skips = [
        {"check": "A", "resources": ["t.yaml One", "t.yaml Two"], "views": ["gateway-*"], "why": ""}
    ]
    found = [Finding("A", "t.yaml One", "gateway-iam"), Finding("A", "t.yaml One", "certificate")]
    assert unexcused(found, skips) == ["A t.yaml One (certificate)"]
    assert unused(found, skips) == ["A t.yaml Two"]


@pytest.mark.slow
def test_a_scanner_finds_nothing_that_is_not_justified(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("no scanner is installed; run: python tools/scanner_venv.py")
    written = [
        write(tmp_path, template, view, content)
        for template in map(load, NAMES)
        for view, content in views(template)
    ]
    # What a scanner must find, so that a scan of nothing does not pass.
    open_door = {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicRead"}}
    content = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": {"Open": open_door}}
    write(tmp_path, Template("sample.yaml", ""), "open", content)

    report = scanned(tmp_path)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["checkov_version"].startswith("3.")
    found = [
        Finding(f["check_id"], f"{template}.yaml {f['resource'].split('.')[-1]}", view)
        for f in report["results"]["failed_checks"]
        for template, view in [Path(f["file_path"]).name.split(".")[:2]]
    ]
    looked_at = {Path(f["file_path"]).name for f in report["results"]["passed_checks"]}
    assert set(written) <= looked_at
    ours = [f for f in found if f.view != "open"]
    assert {"CKV_AWS_20", "CKV_AWS_53"} <= {f.check for f in found if f.view == "open"}
    assert unexcused(ours, SKIPS) == []
    assert unused(ours, SKIPS) == []


def unexcused(found: Iterable[Finding], skips: list[dict[str, Any]]) -> list[str]:
    return sorted(
        f"{f.check} {f.resource} ({f.view})"
        for f in found
        if not any(excuses(skip, resource, f) for skip in skips for resource in skip["resources"])
    )


def unused(found: list[Finding], skips: list[dict[str, Any]]) -> list[str]:
    return sorted(
        f"{skip['check']} {resource}"
        for skip in skips
        for resource in skip["resources"]
        if not any(excuses(skip, resource, f) for f in found)
    )


def excuses(skip: dict[str, Any], resource: str, finding: Finding) -> bool:
    return (
        skip["check"] == finding.check
        and resource == finding.resource
        and any(fnmatch(finding.view, pattern) for pattern in skip.get("views", ["*"]))
    )


def write(folder: Path, template: Template, view: str, content: dict[str, Any]) -> str:
    path = folder / f"{Path(template.name).stem}.{view}.json"
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path.name


def scanned(folder: Path) -> dict[str, Any]:
    """checkov's report; no network, nothing downloaded, nothing sent."""
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("scanner_offline.py")), "--directory", str(folder),
         "--framework", "cloudformation", "--skip-download", "--compact", "--output", "json"],
        capture_output=True, text=True, timeout=500, check=False, cwd=folder,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "TMPDIR": str(folder.parent),
             "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"},
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert "NETWORK" not in done.stderr, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report
