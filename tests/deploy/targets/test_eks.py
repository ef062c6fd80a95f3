"""What a sized recommendation means for a cluster and the objects in it; no account is asked."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.errors import InputError, PreflightError
from advisor.prices import load_book
from advisor.recommend import recommend
from advisor.requirements import Requirements, parse
from deploy.artifact import Artifact, SafetyReport
from deploy.aws.cluster_access import admin_arn, token
from deploy.aws.clusters import cluster_wanted, serving_of
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.wanted import Wanted
from deploy.kubernetes.node_scaler import scaler_objects
from deploy.kubernetes.objects import Manifest, Serving, objects_of, token_secret
from deploy.kubernetes.rollout import is_rolled_out, why_not
from deploy.registry import target_for
from deploy.requests import PlanRequest
from deploy.targets.eks import EksTarget

DOOR = AwsSettings(cluster_cidrs=("203.0.113.7/32",))
GIVEN: dict[str, dict[str, Any]] = {
    "model": {"format": "onnx", "size_mb": 1, "memory_mb": 300, "service_time_ms": 8},
    "traffic": {
        "mode": "realtime", "requests_per_month": 400_000_000, "pattern": "business-hours",
        "request_mb": 0.0005, "response_mb": 0.0005,
    },
    "service": {"p95_ms": 100, "availability_percent": 99},
}  # fmt: skip


def need(**sections: dict[str, Any]) -> Requirements:
    names = GIVEN.keys() | sections.keys()
    return parse({name: GIVEN.get(name, {}) | sections.get(name, {}) for name in names})


def request(wanted: Requirements, machine: str = "", **more: Any) -> PlanRequest:
    ranked = recommend(wanted, options=["eks"], doubt=False).option("eks")
    assert ranked is not None
    if machine:
        ranked = ranked.model_copy(update={"machine": machine})
    artifact = Artifact(
        path=Path("model.onnx"),
        format="onnx",
        size_bytes=1000,
        digest="cd" * 32,
        safety=SafetyReport(verdict="safe"),
    )
    return PlanRequest(name="fraud", artifact=artifact, need=wanted, ranked=ranked, **more)


def made(wanted: Wanted, kind: str) -> list[str]:
    return [i for i, found in wanted.template.resources(wanted.parameters) if found.endswith(kind)]


def of_kind(objects: list[Manifest], kind: str) -> Manifest:
    (found,) = [o for o in objects if o["kind"] == kind]
    return found


def test_the_option_names_its_target() -> None:
    assert isinstance(target_for("eks"), EksTarget)


def test_the_nodes_are_the_recommendations() -> None:
    asked = request(need(placement={"arm": False}))
    ranked, wanted = asked.ranked, cluster_wanted(asked, "ab" * 32, DOOR)
    given = wanted.parameters
    assert given["Machine"] == ranked.machine
    assert (given["MinNodes"], given["MaxNodes"]) == (
        str(ranked.replicas.min), str(ranked.replicas.max),
    )  # fmt: skip
    assert (given["AmiType"], given["Purchase"]) == ("AL2023_x86_64_STANDARD", "on-demand")
    assert (given["TargetType"], given["TargetPort"]) == ("instance", "30080")
    assert made(wanted, "PodIdentityAssociation") == ["ScalerIdentity"]
    spot = request(need(placement={"spot": True}))
    assert cluster_wanted(spot, "", DOOR).parameters["Purchase"] == "spot"
    arm = cluster_wanted(request(need(placement={"arm": True}), "c8g.large"), "", DOOR)
    assert (arm.architecture, arm.parameters["AmiType"]) == ("arm64", "AL2023_ARM_64_STANDARD")
    gpu = request(need(placement={"arm": False}), "g5.xlarge")
    assert cluster_wanted(gpu, "", DOOR).parameters["AmiType"] == "BOTTLEROCKET_x86_64_NVIDIA"
    (container,) = of_kind(objects_of(serving_of(gpu, DOOR)), "Deployment")["spec"]["template"][
        "spec"
    ]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_a_steady_load_needs_nothing_that_scales() -> None:
    even = request(need(traffic={"pattern": "steady", "requests_per_month": 1_000_000}))
    assert even.ranked.replicas.min == even.ranked.replicas.max
    wanted = cluster_wanted(even, "", DOOR)
    assert made(wanted, "PodIdentityAssociation") == []
    assert "Metrics" not in [i for i, _ in wanted.template.resources(wanted.parameters)]
    kinds = {o["kind"] for o in objects_of(serving_of(even, DOOR))}
    assert "HorizontalPodAutoscaler" not in kinds


def test_a_sealed_cluster_has_as_many_endpoints_as_are_priced() -> None:
    asked = request(need(control={"private_network": True}))
    wanted = cluster_wanted(asked, "", DOOR)
    endpoints = made(wanted, "VPCEndpoint")
    assert made(wanted, "InternetGateway") == []
    (line,) = [x for x in asked.ranked.lines if x.name == "Private endpoints"]
    assert line.quantity == (len(endpoints) - 1) * 2 * 730  # S3's is for nothing; two zones


def test_an_existing_cluster_gets_the_objects_only() -> None:
    asked = request(need(placement={"existing_cluster": True}), settings={"cluster": "platform"})
    assert not [x for x in asked.ranked.lines if x.name == "Cluster control plane"]
    wanted = cluster_wanted(asked, "", AwsSettings())
    assert made(wanted, "::Cluster") + made(wanted, "::VPC") + made(wanted, "::Role") == []
    serving = serving_of(asked, AwsSettings())
    service = of_kind(objects_of(serving), "Service")
    assert service["spec"]["type"] == "ClusterIP"
    spread = of_kind(objects_of(serving), "Deployment")["spec"]["template"]["spec"]["affinity"]
    assert list(spread["podAntiAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    with pytest.raises(InputError, match="cluster is 7"):
        cluster_wanted(replace(asked, settings={"cluster": 7}), "", AwsSettings())


def serving(**given: Any) -> Serving:
    sizes: dict[str, Any] = {
        "deployment": "fraud", "image": "repository@sha256:1", "replicas_min": 1,
        "replicas_max": 1, "cpu_request_m": 500, "memory_request_mb": 300,
        "memory_limit_mb": 1000, "scale_at_cpu_m": 700, "start_s": 61,
    }  # fmt: skip
    return Serving(**(sizes | given))


@given(
    low=st.integers(1, 5), more=st.integers(0, 5), beside=st.booleans(), own=st.booleans(),
    start_s=st.integers(1, 4000), token=st.booleans(),
)  # fmt: skip
def test_objects_fit_together_whatever_was_sized(
    low: int, more: int, beside: bool, own: bool, start_s: int, token: bool
) -> None:
    """What no schema looks at: selectors, ports, probes, bounds."""
    wanted = serving(
        replicas_min=low, replicas_max=low + more, beside=beside, own_nodes=own, start_s=start_s,
        node_port=30080 if own else None, token=token, callers=["10.77.0.0/16"],
    )  # fmt: skip
    objects = objects_of(wanted)
    assert [o["kind"] for o in objects][:1] == ["Namespace"]
    deployment = of_kind(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    service, policy = of_kind(objects, "Service"), of_kind(objects, "NetworkPolicy")
    assert service["spec"]["selector"].items() <= labels
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    listens = next(int(e["value"]) for e in container["env"] if e["name"] == "PORT")
    assert {ports[p["targetPort"]] for p in service["spec"]["ports"]} == {listens}
    assert {p["port"] for r in policy["spec"]["ingress"] for p in r["ports"]} == {listens}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert ports[container[probe]["httpGet"]["port"]] == listens
    patience = container["startupProbe"]
    assert patience["failureThreshold"] * patience["periodSeconds"] >= start_s
    assert deployment["spec"]["progressDeadlineSeconds"] > start_s
    scalers = [o for o in objects if o["kind"] == "HorizontalPodAutoscaler"]
    assert len(scalers) == (more > 0)
    assert ("replicas" in deployment["spec"]) == (more == 0)
    for scaler in scalers:
        bounds = scaler["spec"]
        assert (bounds["minReplicas"], bounds["maxReplicas"]) == (low, low + more)
        assert bounds["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    roll = deployment["spec"]["strategy"]["rollingUpdate"]
    assert roll["maxSurge"] + roll["maxUnavailable"] == 1  # Kubernetes refuses none of both
    assert ("MODEL_SERVER_TOKEN" in {e["name"] for e in container["env"]}) == token
    assert Serving.model_validate_json(wanted.model_dump_json()) == wanted
    if token:
        source = next(e for e in container["env"] if e["name"] == "MODEL_SERVER_TOKEN")
        secret = token_secret(wanted, "value")
        reference = source["valueFrom"]["secretKeyRef"]
        assert secret["metadata"]["name"] == reference["name"]
        assert reference["key"] in secret["stringData"]


def test_a_pod_has_no_rights_and_writes_nothing_but_its_scratch() -> None:
    spec = of_kind(objects_of(serving()), "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    dockerfile = Path("deploy/bundle/dockerfile.py").read_text(encoding="utf-8")
    assert f"USER {spec['securityContext']['runAsUser']}" in dockerfile
    within = container["securityContext"]
    assert within["readOnlyRootFilesystem"] is True
    assert within["capabilities"] == {"drop": ["ALL"]}
    assert [m["mountPath"] for m in container["volumeMounts"]] == ["/tmp"]
    assert of_kind(objects_of(serving()), "NetworkPolicy")["spec"]["egress"] == []


def test_pods_fit_on_every_machine_that_the_prices_know() -> None:
    """Two beside each other, and the cluster's own pods: on the smallest node too."""
    book, asked = load_book(), request(need())
    for name in sorted(book.machines("ec2", "us-east-1").name):
        machine = book.machine("ec2", "us-east-1", str(name))
        memory_mb = machine.memory_gib * 1024
        if memory_mb < 2048 or machine.gpu_count:
            continue
        sizing = asked.ranked.sizing.model_copy(
            update={"vcpu": machine.vcpu, "memory_mb": memory_mb}
        )
        ranked = asked.ranked.model_copy(update={"sizing": sizing, "machine": machine.name})
        found = serving_of(replace(asked, ranked=ranked), DOOR)
        pods = 2 if found.beside else 1
        assert pods * found.cpu_request_m + 400 + 60 <= machine.vcpu * 1000, machine.name
        assert pods * found.memory_request_mb + 850 <= memory_mb, machine.name
        assert found.memory_request_mb <= found.memory_limit_mb <= memory_mb, machine.name


def test_what_scales_nodes_finds_this_clusters_group_only() -> None:
    objects = scaler_objects("mda-fraud", "1.34", "eu-central-1")
    (container,) = of_kind(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(":v1.34.0")
    assert any(w.endswith("k8s.io/cluster-autoscaler/mda-fraud") for w in container["command"])
    bindings = [o for o in objects if o["kind"].endswith("Binding")]
    accounts = {s["name"] for o in bindings for s in o["subjects"]}
    assert accounts == {of_kind(objects, "ServiceAccount")["metadata"]["name"]}
    for rule in of_kind(objects, "ClusterRole")["rules"]:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert "secrets" not in rule["resources"]


def test_a_token_is_a_question_to_sts_bound_to_the_cluster(monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    made = token("mda-fraud", Aws("eu-central-1", AwsSettings()))
    start, _, encoded = made.partition(".")
    assert start == "k8s-aws-v1"
    url = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    parts, query = urlsplit(url), parse_qs(urlsplit(url).query)
    assert parts.hostname == "sts.eu-central-1.amazonaws.com"
    assert query["Action"] == ["GetCallerIdentity"]
    assert query["X-Amz-SignedHeaders"] == ["host;x-k8s-aws-id"]
    assert 0 < int(query["X-Amz-Expires"][0]) <= 900
    assert "=" not in encoded


def test_the_root_user_cannot_administer_a_cluster(monkeypatch: Any) -> None:
    aws = Aws("eu-central-1", AwsSettings())
    for arn, fine in (
        ("arn:aws:iam::123456789012:root", False),
        ("arn:aws:iam::123456789012:user/ann", True),
    ):
        aws.__dict__["identity"] = {"account": "123456789012", "arn": arn}
        if fine:
            assert admin_arn(aws) == arn
        else:
            with pytest.raises(PreflightError, match="ADVISOR_AWS_CLUSTER_ADMIN_ARN"):
                admin_arn(aws)


def test_a_rollout_is_done_when_every_pod_is_new_and_available() -> None:
    done: dict[str, Any] = {
        "metadata": {"generation": 2}, "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2,
                   "availableReplicas": 2},
    }  # fmt: skip
    assert is_rolled_out(done, 2)
    for change in (
        {"observedGeneration": 1}, {"replicas": 3}, {"updatedReplicas": 1}, {"availableReplicas": 1},
    ):  # fmt: skip
        assert not is_rolled_out(done | {"status": done["status"] | change}, 2), change
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}
    pod = {"status": {"conditions": [], "containerStatuses": [waiting]}}
    assert list(why_not(pod)) == ["ImagePullBackOff (not found)"]
