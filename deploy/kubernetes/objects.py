"""The Kubernetes objects of one model server, whichever cluster they go to.

Pure functions: `Serving` in, objects as the API server takes them out. What a cluster needs besides,
such as something that scales its nodes, is not in here.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

Manifest = dict[str, Any]

NAME = "model"  # of every object in the deployment's own namespace
PORT = 8080  # the bundle's
PORT_NAME = "http"
USER = 10001  # the bundle's image makes it
TOKEN_SECRET, TOKEN_KEY = "model-token", "token"  # names, no values
MANAGED_BY = "model-deployment-advisor"
LABEL_MANAGED = "app.kubernetes.io/managed-by"
LABEL_DEPLOYMENT = "model-deployment-advisor/deployment"
SERVING = "model-deployment-advisor/serving"  # annotation: what the objects were made from
DRAIN_S = 10  # before a pod that ends stops listening, so that nobody is still sent to it
STOP_S = 60
HISTORY = 2  # old ReplicaSets kept for going back
PROBE_S = 5
SCALE_IN_S = 300


class Serving(BaseModel):
    """One model server as it is to run. Sizes come from the sizing; CPU in thousandths of a core."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    deployment: str
    image: str  # by digest, or "" while it is not built
    replicas_min: int = Field(ge=1)
    replicas_max: int = Field(ge=1)
    cpu_request_m: int = Field(ge=1)
    memory_request_mb: int = Field(ge=1)
    memory_limit_mb: int = Field(ge=1)
    scale_at_cpu_m: int = Field(ge=1)  # mean CPU of a pod that scaling holds
    start_s: int = Field(ge=1)  # how long a pod may take until it answers
    architecture: str = "amd64"
    gpus: int = 0
    own_nodes: bool = False  # a node for each replica; else wherever there is room
    beside: bool = True  # a new pod finds room beside an old one
    node_port: int | None = None  # what a load balancer sends to; None: inside the cluster only
    callers: list[str] = Field(default_factory=list)  # CIDRs that may call; empty: any pod
    token: bool = False  # does the server check a bearer token?
    labels: dict[str, str] = Field(default_factory=dict)

    @property
    def scales(self) -> bool:
        return self.replicas_max > self.replicas_min


def namespace_of(deployment: str) -> str:
    """The namespace that holds all of a deployment, and goes with it."""
    return f"mda-{deployment}"


def objects_of(serving: Serving) -> list[Manifest]:
    """Every object, in the order in which they are applied."""
    found = [
        namespace(serving),
        _made("v1", "ServiceAccount", serving, automountServiceAccountToken=False),
        service(serving),
        network_policy(serving),
        deployment(serving),
    ]
    if serving.scales:
        found.append(autoscaler(serving))
    if serving.replicas_max > 1:
        found.append(disruption_budget(serving))
    return found


def namespace(serving: Serving) -> Manifest:
    """The namespace, in which no pod gets rights that the model server does not need."""
    enforced = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace_of(serving.deployment),
            "labels": labels_of(serving) | enforced,
        },
    }


def deployment(serving: Serving) -> Manifest:
    """The pods. Where something scales them, how many is left to that."""
    fixed = {} if serving.scales else {"replicas": serving.replicas_min}
    # With room beside, the new pod answers before the old one goes.
    roll = {"maxSurge": 1, "maxUnavailable": 0} if serving.beside else {
        "maxSurge": 0, "maxUnavailable": 1,
    }  # fmt: skip
    return _made(
        "apps/v1", "Deployment", serving,
        annotations={SERVING: serving.model_dump_json()},
        spec={
            **fixed,
            "selector": {"matchLabels": selector_of(serving)},
            "revisionHistoryLimit": HISTORY,
            "progressDeadlineSeconds": serving.start_s + 300,
            "minReadySeconds": PROBE_S,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": roll},
            "template": {
                "metadata": {"labels": labels_of(serving)},
                "spec": _pod(serving),
            },
        },
    )  # fmt: skip


def service(serving: Serving) -> Manifest:
    """The address inside the cluster; with a node port also that of each node that has a pod."""
    port: dict[str, Any] = {
        "name": PORT_NAME,
        "port": 80,
        "targetPort": PORT_NAME,
        "protocol": "TCP",
    }
    if serving.node_port is None:
        spec: dict[str, Any] = {"type": "ClusterIP"}
    else:
        port["nodePort"] = serving.node_port
        # Local: a node without a pod fails the balancer's health check, and no hop is added.
        spec = {"type": "NodePort", "externalTrafficPolicy": "Local"}
    return _made(
        "v1", "Service", serving,
        spec=spec | {"selector": selector_of(serving), "ports": [port]},
    )  # fmt: skip


def autoscaler(serving: Serving) -> Manifest:
    """Pods between the bounds of the sizing, by the CPU that they use."""
    return _made(
        "autoscaling/v2", "HorizontalPodAutoscaler", serving,
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME},
            "minReplicas": serving.replicas_min,
            "maxReplicas": serving.replicas_max,
            "metrics": [{
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    # Of a pod, not of its request: the request only books room.
                    "target": {"type": "AverageValue", "averageValue": f"{serving.scale_at_cpu_m}m"},
                },
            }],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": SCALE_IN_S}},
        },
    )  # fmt: skip


def disruption_budget(serving: Serving) -> Manifest:
    """When nodes are renewed, one pod at a time."""
    return _made(
        "policy/v1", "PodDisruptionBudget", serving,
        spec={"maxUnavailable": 1, "selector": {"matchLabels": selector_of(serving)}},
    )  # fmt: skip


def network_policy(serving: Serving) -> Manifest:
    """Calls come in from where callers are; nothing goes out, for the model is in the image."""
    sources = [{"ipBlock": {"cidr": cidr}} for cidr in serving.callers]
    return _made(
        "networking.k8s.io/v1", "NetworkPolicy", serving,
        spec={
            "podSelector": {"matchLabels": selector_of(serving)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{
                "from": [*sources, {"namespaceSelector": {}}],
                "ports": [{"protocol": "TCP", "port": PORT}],
            }],
            "egress": [],
        },
    )  # fmt: skip


def token_secret(serving: Serving, value: str) -> Manifest:
    """The bearer token that the server checks; made when it is applied, never part of a plan."""
    return _made(
        "v1", "Secret", serving, name=TOKEN_SECRET, type="Opaque", stringData={TOKEN_KEY: value}
    )


def labels_of(serving: Serving) -> dict[str, str]:
    """What every object carries."""
    return serving.labels | selector_of(serving) | {LABEL_MANAGED: MANAGED_BY}


def selector_of(serving: Serving) -> dict[str, str]:
    """What finds the pods; it never changes, for a Deployment's selector cannot."""
    return {"app.kubernetes.io/name": NAME, LABEL_DEPLOYMENT: serving.deployment}


def _pod(serving: Serving) -> dict[str, Any]:
    gpus = {"nvidia.com/gpu": str(serving.gpus)} if serving.gpus else {}
    environment = [{"name": "PORT", "value": str(PORT)}]
    secret = {
        "name": "MODEL_SERVER_TOKEN",
        "valueFrom": {"secretKeyRef": {"name": TOKEN_SECRET, "key": TOKEN_KEY}},
    }
    container = {
        "name": NAME,
        "image": serving.image,
        "args": ["serve"],
        "env": [*environment, *([secret] if serving.token else [])],
        "ports": [{"name": PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
        "resources": {
            "requests": {
                "cpu": f"{serving.cpu_request_m}m", "memory": f"{serving.memory_request_mb}Mi",
            } | gpus,
            # No limit on CPU: it would slow answers down while the node has processors to spare.
            "limits": {"memory": f"{serving.memory_limit_mb}Mi"} | gpus,
        },
        "startupProbe": _probe("/ready", periodSeconds=PROBE_S,
                               failureThreshold=-(-serving.start_s // PROBE_S)),
        "readinessProbe": _probe("/ready", periodSeconds=PROBE_S, failureThreshold=2),
        "livenessProbe": _probe("/live", periodSeconds=10, failureThreshold=3),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_S}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - the container's
    }  # fmt: skip
    return {
        "serviceAccountName": NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": DRAIN_S + STOP_S,
        "nodeSelector": {"kubernetes.io/os": "linux", "kubernetes.io/arch": serving.architecture},
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_placement(serving),
        "containers": [container],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
    }  # fmt: skip


def _placement(serving: Serving) -> dict[str, Any]:
    """Over zones where there are several; a node for each replica where the nodes are sized so."""
    selector = {"matchLabels": selector_of(serving)}
    spread = {
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": selector,
    }
    # Of its own revision only: a new pod may start beside an old one.
    apart = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": selector,
        "matchLabelKeys": ["pod-template-hash"],
    }
    if serving.own_nodes:
        rule: dict[str, Any] = {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}
    else:
        weighted = {"weight": 100, "podAffinityTerm": apart}
        rule = {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}
    return {"topologySpreadConstraints": [spread], "affinity": {"podAntiAffinity": rule}}


def _probe(path: str, **more: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": PORT_NAME}, "timeoutSeconds": PROBE_S, **more}


def _made(
    api: str,
    kind: str,
    serving: Serving,
    *,
    name: str = NAME,
    annotations: dict[str, str] | None = None,
    **rest: Any,
) -> Manifest:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": namespace_of(serving.deployment),
            "labels": labels_of(serving),
            **({"annotations": annotations} if annotations else {}),
        },
        **rest,
    }
