"""For every built-in rule a requirement that a person could give, in which it is seen to fire.

The answers are those that differ from BASE. The option named fits otherwise where the rule warns
or prefers, so that the same cases hold through `recommend` as well.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from advisor.requirements import Requirements, parse
from advisor.rule_fields import PlanFacts

BASE: dict[str, dict[str, Any]] = {
    "model": {"format": "onnx", "size_mb": 120, "memory_mb": 600, "service_time_ms": 20},
    "traffic": {"mode": "realtime", "requests_per_month": 2_000_000},
    "service": {"p95_ms": 500},
    "team": {"devops_skill": "intermediate"},
}
GCP = {"placement.clouds": ["gcp"], "placement.regions": ["us-central1"]}
AZURE = {"placement.clouds": ["azure"], "placement.regions": ["eastus"]}
OWN = {
    "placement.clouds": ["own-hardware"],
    "placement.node_hourly_usd": 0.1,
    "service.availability_percent": 99,
}
CLUSTER = {"placement.clouds": ["kubernetes"], "placement.node_hourly_usd": 0.1}
GPU = {"model.gpu": True, "model.format": "torch"}
BATCH = {"traffic.mode": "batch"}
ASYNC = {"traffic.mode": "async"}
STEADY = {"traffic.requests_per_month": 400_000_000, "model.service_time_ms": 20}
SPIKY = {"traffic.pattern": "rare", "service.p95_ms": 20_000}


@dataclass(frozen=True)
class Case:
    """A rule, an option, answers under which it fires; `says` stands in its sentence."""

    rule: str
    option: str
    says: str
    answers: dict[str, Any] = field(default_factory=dict)
    plan: PlanFacts | None = None  # for rules of the plan phase


def need(answers: dict[str, Any]) -> Requirements:
    data = copy.deepcopy(BASE)
    for path, value in answers.items():
        section, name = path.split(".")
        data.setdefault(section, {})[name] = value
    return parse(data)


CASES = (
    # where and how
    Case("cloud", "vertex-online", "runs on Google Cloud; you allow AWS"),
    Case("hosting", "ec2", "is self-hosted; you ask for managed", {"control.hosting": "managed"}),
    Case("mode", "aws-batch", "serves async, batch; you ask for real-time"),
    Case("residency", "ec2", "us-east-1 lies outside EU", {"control.data_residency": "eu"}),
    Case(
        "region-not-offered", "lambda-url", "not offered in eu-south-2",
        {"placement.regions": ["eu-south-2"]},
    ),
    # requests
    Case(
        "payload-in", "sagemaker-realtime", "800 MB request > 25 MB limit",
        {"traffic.request_mb": 800},
    ),
    Case(
        "payload-out", "lambda-url", "7.5 MB response > 6 MB limit", {"traffic.response_mb": 7.5}
    ),
    Case(
        "processing-time", "lambda-apigateway", "40 s for one request > 30 s limit",
        {"model.service_time_ms": 40_000, "service.p95_ms": 60_000},
    ),
    Case(
        "client-payload", "sagemaker-realtime", "10 MB requests keep the 25 MB",
        {"traffic.request_mb": 10},
    ),
    Case(
        "transfer-not-known", "sagemaker-realtime", "answers that leave for the internet",
        {"traffic.requests_per_month": 2_000_000_000},
    ),
    Case("binary-payload", "lambda-url", "may have 4.5 MB", {"traffic.request_mb": 5}),
    Case(
        "queued-payload", "lambda-url", "2 MB > 1 MB of an asynchronous call",
        ASYNC | {"traffic.request_mb": 2},
    ),
    Case("shared-endpoint", "vertex-online", "takes 1.5 MB", GCP | {"traffic.request_mb": 2}),
    Case(
        "idle-timeout", "ecs-fargate", "90 s without a byte > 60 s idle timeout",
        {"model.service_time_ms": 90_000, "service.p95_ms": 600_000,
         "traffic.requests_per_month": 2000},
    ),
    # model, memory, machine
    Case(
        "format", "azureml-batch", "cannot serve a model of format other",
        AZURE | BATCH | {"model.format": "other"},
    ),
    Case("memory", "lambda-url", "12,000 MB of memory > 10,240 MB limit", {"model.memory_mb": 12_000}),
    Case(
        "model-in-memory", "sagemaker-serverless", "7,000 MB model > 6,144 MB",
        {"model.size_mb": 7000, "model.memory_mb": 5000},
    ),
    Case(
        "own-node-memory", "docker-host", "20,000 MB of memory > 16 GB of your node",
        OWN | {"model.memory_mb": 20_000},
    ),
    Case("gpu", "ecs-fargate", "needs a GPU, and there is none", GPU),
    Case(
        "own-node-gpu", "docker-host", "your node has none",
        GPU | {"placement.clouds": ["aws", "own-hardware"]},
    ),
    Case("image-size", "lambda-url", "GB image with the model > 10 GB", {"model.size_mb": 10_000}),
    Case(
        "disk", "sagemaker-serverless", "5,500 MB model > 5 GB of disk", {"model.size_mb": 5500}
    ),
    Case(
        "start-up", "sagemaker-serverless", "240 s to load the model > 180 s",
        {"model.load_time_s": 240},
    ),
    Case(
        "initialisation", "lambda-url", "15 s to load the model > 10 s",
        {"model.load_time_s": 15, "service.p95_ms": 60_000},
    ),
    Case("threads", "lambda-url", "8 threads for a request > 5.8", {"model.threads_per_request": 8}),
    Case("gpu-unused", "ec2", "a joblib model would leave it idle", GPU | {"model.format": "joblib"}),
    Case("gpu-quota", "ec2", "no quota for GPU machines", GPU),
    # control
    Case(
        "private-network", "lambda-url", "cannot be kept off the internet",
        {"control.private_network": True},
    ),
    Case(
        "perimeter", "vertex-batch", "does not join your network",
        GCP | BATCH | {"control.private_network": True},
    ),
    Case("host-access", "sagemaker-realtime", "no access to the host", {"control.host_access": True}),
    Case(
        "custom-container", "azureml-batch", "no container image of your own",
        AZURE | BATCH | {"control.custom_container": True},
    ),
    Case("canary", "ec2", "by hand", {"control.canary": True}),
    Case(
        "canary-own-tooling", "kubernetes", "a rollout controller that you run",
        CLUSTER | {"control.canary": True},
    ),
    Case(
        "several-models", "sagemaker-serverless", "3 models for one endpoint; it takes one",
        {"control.models_per_endpoint": 3},
    ),
    Case("models-in-memory", "ec2", "all 3 models stay loaded", {"control.models_per_endpoint": 3}),
    # starts, availability, quotas
    Case(
        "cold-starts", "lambda-url", "waits 0.15 to 10 s for a start",
        {"service.cold_starts_ok": False, "traffic.pattern": "spiky"},
    ),
    Case(
        "availability", "sagemaker-realtime", "99.99 % asked > 99.95 %",
        {"service.availability_percent": 99.99},
    ),
    Case(
        "availability-two-zones", "sagemaker-serverless", "99.995 % asked",
        {"service.availability_percent": 99.995},
    ),
    Case(
        "availability-one-machine", "docker-host", "99.9 % asked > 99.5 %",
        OWN | {"service.availability_percent": 99.9},
    ),
    Case("no-sla", "sagemaker-serverless", "99.5 % rests on running in two zones"),
    Case(
        "gpu-split", "ec2", "its layers lie on 2 of them",
        GPU | {"model.gpu_memory_gb": 150, "service.p95_ms": 20_000},
        PlanFacts(gpu_cards=2, machine="g7e.12xlarge"),
    ),
    Case(
        "no-sla-queued", "sagemaker-async", "wait in the queue while a lost machine is replaced", ASYNC
    ),
    Case(
        "one-machine", "docker-host", "95 to 99 % are seen, and you ask for 99.5 %",
        OWN | {"service.availability_percent": 99.5},
    ),
    Case(
        "concurrency", "sagemaker-serverless", "250 requests at once in the busiest hour > 200",
        {"traffic.requests_per_month": 100_000_000, "model.service_time_ms": 100,
         "traffic.peak_requests_per_second": 2500},
    ),
    Case(
        "concurrency-quota", "lambda-url", "requests at once in the busiest hour > 1,000",
        {"traffic.requests_per_month": 50_000_000, "model.service_time_ms": 1000,
         "service.p95_ms": 5000, "traffic.peak_requests_per_second": 1200},
    ),
    Case(
        "request-rate", "azureml-online", "761 requests/s in the busiest hour > 500",
        AZURE | {"traffic.requests_per_month": 2_000_000_000, "model.service_time_ms": 2},
    ),
    Case(
        "request-rate-quota", "lambda-url", "requests/s in the busiest hour > 10,000",
        {"traffic.requests_per_month": 400_000_000, "model.service_time_ms": 2,
         "traffic.peak_requests_per_second": 12_000},
    ),
    Case(
        "bandwidth", "azureml-online", "MB/s in the busiest hour > 5 MB/s",
        AZURE | {"traffic.requests_per_month": 20_000_000, "traffic.request_mb": 1},
    ),
    Case(
        "small-batches", "lambda-url", "> 1.45 that one call of 900 s can do",
        BATCH | {"traffic.requests_per_month": 150_000_000},
    ),
    # once sized and priced
    Case(
        "sizing", "sagemaker-realtime", "target",
        {"service.p95_ms": 10, "model.service_time_ms": 200},
        PlanFacts(infeasible_because="p95 of 90 ms > 10 ms target", min_p95_ms=90.0),
    ),
    Case(
        "budget", "sagemaker-realtime", "a month > $5 budget", {"budget.monthly_usd": 5},
        PlanFacts(monthly_usd=71.2, replicas_min=2, replicas_max=2),
    ),
    Case(
        "deadline", "sagemaker-async", "h to the answer > 0.01 h deadline",
        ASYNC | {"service.deadline_h": 0.01, "model.service_time_ms": 60_000},
        PlanFacts(monthly_usd=71.2, finish_h=0.09),
    ),
    Case(
        "instances", "azureml-online", "instances > 50 for a deployment",
        AZURE | {"traffic.requests_per_month": 500_000_000, "model.service_time_ms": 1500,
                 "service.p95_ms": 4500},
        PlanFacts(replicas_min=64, replicas_max=64, monthly_usd=90_000.0),
    ),
    Case(
        "sla-replicas", "sagemaker-realtime", "fewest replicas 1: the SLA of 99.95 % asks for 2",
        {"service.availability_percent": 99},
        PlanFacts(replicas_min=1, replicas_max=2),
    ),
    Case(
        "cold-start-tail", "lambda-url", "% of the requests meet a cold start",
        {"traffic.requests_per_month": 3000, "service.p95_ms": 20_000},
        PlanFacts(cold_start_share=0.17),
    ),
    Case(
        "busy", "sagemaker-realtime", "% busy in the busiest hour",
        {"service.max_utilisation": 0.85, "traffic.requests_per_month": 5_000_000_000,
         "service.p95_ms": 2000},
        PlanFacts(utilisation=0.8, replicas_min=2, replicas_max=4),
    ),
    # how it is bought
    Case(
        "spot-interruption", "aws-batch", "at two minutes' notice or less",
        BATCH | {"traffic.requests_per_month": 30_000_000, "placement.spot": True},
        PlanFacts(purchase="spot"),
    ),
    Case(
        "spot-alone", "ec2", "a single spot machine answers",
        {"traffic.requests_per_month": 200_000, "placement.spot": True,
         "placement.spot_alone": True},
        PlanFacts(purchase="spot", replicas_min=1, replicas_max=1),
    ),
    Case(
        "committed-term", "ec2", "a commitment (3 years) is owed to the end of its term",
        {"placement.commitment": "3y"}, PlanFacts(purchase="3y"),
    ),
    Case(
        "purchase-not-as-asked", "sagemaker-realtime", "priced on demand",
        {"placement.commitment": "1y"}, PlanFacts(purchase_note="no rate is known: priced on demand"),
    ),
    # what self-hosting means
    Case("yours-to-run", "ecs-fargate", "scaling, monitoring and security are yours"),
    Case("cluster-skill", "eks", "more DevOps knowledge than basic", {"team.devops_skill": "basic"}),
    Case("server-skill", "ec2", "nobody runs servers", {"team.devops_skill": "none"}),
    Case("launch-time", "eks", "weeks to production", {"team.weeks_to_launch": 2}),
    Case(
        "idle-machines", "sagemaker-realtime", "replicas that run day and night: 2",
        {"traffic.requests_per_month": 10_000},
        PlanFacts(replicas_min=2, replicas_max=2),
    ),
    Case(
        "residency-by-name", "ec2", "eu-west-2 is called EU but stands in another territory",
        {"control.data_residency": "eu", "placement.regions": ["eu-west-2"]},
    ),
    Case(
        "residency-yours", "docker-host", "is yours to see to",
        OWN | {"control.data_residency": "eu"},
    ),
    # the founding tables
    Case("quick-launch", "sagemaker-realtime", "weeks: 1", {"team.weeks_to_launch": 1}),
    Case("little-control", "sagemaker-realtime", "little control", {"control.level": "low"}),
    Case("much-control", "ecs-fargate", "high control", {"control.level": "high"}),
    Case("full-control", "sagemaker-realtime", "full control ends", {"control.level": "full"}),
    Case("cost-control", "ec2", "control over cost", {"priorities.cost": 5}),
    Case("steady-volume-managed", "sagemaker-realtime", "hours of pure computing a month", STEADY),
    Case("steady-volume-own", "ecs-ec2", "keep machines of your own busy", STEADY),
    Case("skill-managed", "sagemaker-realtime", "is basic", {"team.devops_skill": "basic"}),
    Case("skill-none", "ec2", "knowledge that is not there", {"team.devops_skill": "none"}),
    Case("skill-short", "eks", "more DevOps knowledge", {"team.devops_skill": "basic"}),
    Case("skill-expert", "eks", "experts", {"team.devops_skill": "expert"}),
    # real-time or batch
    Case("batch-job", "sagemaker-batch", "nobody waits", BATCH),
    Case(
        "queue-for-large", "sagemaker-async", "may wait", ASYNC | {"traffic.request_mb": 800,
                                                                  "traffic.requests_per_month": 3000},
    ),
    Case("always-on", "sagemaker-realtime", "always on", STEADY),
    Case("comes-and-goes", "sagemaker-serverless", "nothing is paid in between", SPIKY),
    Case(
        "ready-all-week", "lambda-url", "kept ready round the clock",
        {"service.cold_starts_ok": False}, PlanFacts(replicas_min=1, replicas_max=2),
    ),
    Case(
        "hardly-any", "lambda-url", "65.8 requests a day",
        {"traffic.requests_per_month": 2000, "service.p95_ms": 20_000},
    ),
    Case(
        "few", "sagemaker-serverless", "3,288 requests a day",
        {"traffic.requests_per_month": 100_000},
    ),
    Case(
        "many", "sagemaker-realtime", "657,534 requests a day",
        {"traffic.requests_per_month": 20_000_000},
    ),
    Case(
        "tight-tail", "sagemaker-serverless", "p99 below 500 ms",
        {"service.percentile": 99, "service.p95_ms": 400, "traffic.requests_per_month": 20_000_000},
    ),
    Case(
        "sustained-rate", "sagemaker-serverless", "requests/s all month",
        {"traffic.requests_per_month": 50_000_000},
    ),
    Case(
        "steady-function", "lambda-url", "60,000,000 steady requests",
        {"traffic.requests_per_month": 60_000_000},
    ),
    # models, releases, platform
    Case(
        "models-on-demand", "sagemaker-realtime", "460 models", {"control.models_per_endpoint": 460}
    ),
    Case("canary-built-in", "ecs-fargate", "are built in", {"control.canary": True}),
    Case("simple-container", "ecs-fargate", "ECS on Fargate", {"control.custom_container": True}),
    Case(
        "gpu-container", "ecs-ec2", "a container with a GPU",
        GPU | {"control.custom_container": True},
    ),
    Case(
        "beyond-few", "sagemaker-serverless", "657,534 requests a day without great peaks",
        {"traffic.requests_per_month": 20_000_000},
    ),
    Case(
        "server-on-function", "lambda-url", "only behind an adapter",
        {"control.custom_container": True},
    ),
    Case(
        "machines-by-hand", "ec2", "2 machines that nobody but you",
        {"service.availability_percent": 99.9}, PlanFacts(replicas_min=2, replicas_max=2),
    ),
    Case(
        "long-jobs", "aws-batch", "1,800 s for one request",
        ASYNC | {"service.max_processing_s": 1800, "traffic.requests_per_month": 3000},
    ),
    Case("cluster-there", "eks", "run already", {"placement.existing_cluster": True}),
    Case("cluster-for-one", "eks", "for a single service"),
)  # fmt: skip
