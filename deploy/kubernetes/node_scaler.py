"""What adds and removes nodes of a managed group on AWS: the Kubernetes project's Cluster Autoscaler.

Its permissions in the account come by pod identity, bound to the service account's name.
"""

from __future__ import annotations

from typing import Any

from deploy.kubernetes.objects import LABEL_MANAGED, MANAGED_BY, Manifest

NAME = "cluster-autoscaler"
NAMESPACE = "kube-system"
IMAGE = "registry.k8s.io/autoscaling/cluster-autoscaler"
USER = 65534
IDLE = "5m"
LABELS = {"app.kubernetes.io/name": NAME, LABEL_MANAGED: MANAGED_BY}
READ = ["get", "list", "watch"]
# Of the project's own example for AWS, less what only other providers' drivers need.
RULES: list[tuple[list[str], list[str], list[str]]] = [
    ([""], ["nodes"], [*READ, "update", "patch", "delete"]),
    ([""], ["namespaces", "persistentvolumeclaims", "persistentvolumes", "pods",
            "replicationcontrollers", "services"], READ),
    ([""], ["pods/eviction", "events"], ["create", "patch"]),
    ([""], ["pods/status"], ["update"]),
    (["apps"], ["daemonsets", "replicasets", "statefulsets"], READ),
    (["batch"], ["jobs", "cronjobs"], READ),
    (["policy"], ["poddisruptionbudgets"], READ),
    (["resource.k8s.io"], ["deviceclasses", "resourceclaims", "resourceslices"], READ),
    (["storage.k8s.io"], ["csidrivers", "csinodes", "csistoragecapacities", "storageclasses",
                          "volumeattachments"], READ),
]  # fmt: skip
OWN_RULES: list[tuple[list[str], list[str], list[str]]] = [
    ([""], ["configmaps"], ["create", *READ, "update", "delete"]),
    (["coordination.k8s.io"], ["leases"], ["create", "get", "update"]),
]


def scaler_objects(cluster: str, version: str, region: str) -> list[Manifest]:
    """Everything that it takes, for a cluster of that name and minor version ("1.34")."""
    return [
        _made("v1", "ServiceAccount"),
        _made("rbac.authorization.k8s.io/v1", "ClusterRole", wide=True, rules=_rules(RULES)),
        _made("rbac.authorization.k8s.io/v1", "Role", rules=_rules(OWN_RULES)),
        _binding("ClusterRoleBinding", "ClusterRole", wide=True),
        _binding("RoleBinding", "Role"),
        _made("apps/v1", "Deployment", spec=_deployment(cluster, version, region)),
    ]


def _deployment(cluster: str, version: str, region: str) -> dict[str, Any]:
    found = f"asg:tag=k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/{cluster}"
    container = {
        "name": NAME,
        "image": f"{IMAGE}:v{version}.0",
        "command": [
            "./cluster-autoscaler", "--cloud-provider=aws", f"--node-group-auto-discovery={found}",
            "--balance-similar-node-groups", "--skip-nodes-with-system-pods=false",
            f"--scale-down-unneeded-time={IDLE}", "--v=2",
        ],
        "env": [{"name": "AWS_REGION", "value": region}],
        "resources": {"requests": {"cpu": "50m", "memory": "100Mi"}, "limits": {"memory": "300Mi"}},
        "livenessProbe": {
            "httpGet": {"path": "/health-check", "port": 8085}, "periodSeconds": 30,
            "initialDelaySeconds": 60,
        },
        "ports": [{"name": "metrics", "containerPort": 8085, "protocol": "TCP"}],
        "securityContext": {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }  # fmt: skip
    return {
        "replicas": 1,
        "revisionHistoryLimit": 1,
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": {
                "serviceAccountName": NAME,
                "priorityClassName": "system-cluster-critical",
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER,
                    "fsGroup": USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
            },
        },
    }


def _rules(given: list[tuple[list[str], list[str], list[str]]]) -> list[dict[str, list[str]]]:
    return [{"apiGroups": g, "resources": r, "verbs": v} for g, r, v in given]


def _binding(kind: str, role: str, *, wide: bool = False) -> Manifest:
    return _made(
        "rbac.authorization.k8s.io/v1", kind, wide=wide,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": NAME},
        subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    )  # fmt: skip


def _made(api: str, kind: str, *, wide: bool = False, **rest: Any) -> Manifest:
    where = {} if wide else {"namespace": NAMESPACE}
    return {"apiVersion": api, "kind": kind,
            "metadata": {"name": NAME, "labels": LABELS, **where}, **rest}  # fmt: skip
