"""What runs in an emulated cluster: objects kept, and the controllers that work on them.

The pods of one version of a Deployment are one process of the bundle's own server, however many they
count. Nodes are those of the cluster's node groups; a pod waits that no node has a place for.
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

from containers import Container, healthy, stop
from faults import FAULTS
from ministack.core.responses import (
    get_account_id,
    get_region,
    set_request_account_id,
    set_request_region,
)
from ministack.services import alb, eks

BUILT_IN = ("default", "kube-system")
SCALER = ("deployments", "kube-system", "cluster-autoscaler")
START_LIMIT_S = 60.0
Key = tuple[str, str, str]


@dataclass
class Revision:
    """One version of a Deployment's pods."""

    hash: str
    template: dict[str, Any]
    container: Container | None = None
    digest: str = ""
    why_not: tuple[str, str] | None = None  # reason and message of a container that waits
    failed: bool = False
    starting: bool = False
    process: Container | None = None  # also while it is not ready yet
    gone: bool = False  # with its Deployment

    @property
    def serves(self) -> bool:
        return self.container is not None and self.container.process.poll() is None


class Pods:
    """One cluster."""

    def __init__(self, world: Any, cluster: str) -> None:
        self.world = world
        self.cluster = cluster
        self.account, self.region = get_account_id(), get_region()
        self.objects: dict[Key, dict[str, Any]] = {}
        self.revisions: dict[Key, list[Revision]] = {}
        self.attached: dict[str, set[str]] = {}  # target groups by group of machines
        self._lock = threading.RLock()
        for name in BUILT_IN:
            self.objects["namespaces", "", name] = {
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {}},
            }  # fmt: skip

    def stored(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        return self.objects.get((plural, namespace, name))

    def store(self, key: Key, made: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            self.objects[key] = made
            if key[0] == "deployments" and key != SCALER:
                self._rolled(key, made)
        return self.read(*key) or {}

    def read(self, plural: str, namespace: str, name: str) -> dict[str, Any] | None:
        named = (o for o in self.listed(plural, namespace) if o["metadata"]["name"] == name)
        return next(named, None)

    def listed(self, plural: str, namespace: str) -> list[dict[str, Any]]:
        if plural == "nodes":
            return self._nodes()
        if plural == "pods":
            return [
                pod for key in list(self.revisions) if not namespace or key[1] == namespace
                for pod in self._pods(key)
            ]  # fmt: skip
        found = [
            copy.deepcopy(o) for (p, ns, _), o in list(self.objects.items())
            if p == plural and (not namespace or ns == namespace)
        ]  # fmt: skip
        if plural == "deployments":
            for item in found:
                meta = item["metadata"]
                self._with_status((plural, meta["namespace"], meta["name"]), item)
        return found

    def delete(self, plural: str, namespace: str, name: str) -> None:
        with self._lock:
            if plural == "namespaces":
                for key in [k for k in self.objects if k[1] == name]:
                    self._gone(key)
            self._gone((plural, namespace, name))
            self._balance()

    def stop(self) -> None:
        with self._lock:
            for key in list(self.objects):
                self._gone(key)

    def attach(self, machines: str, group: str) -> None:
        """The nodes of a group of machines are behind a target group from now on."""
        with self._lock:
            self.attached.setdefault(machines, set()).add(group)
            self._balance()

    def behind_service(self, namespace: str, name: str) -> Container | str:
        """The pod that a service's port reaches, from the control plane; else why there is none."""
        service, _, port = name.partition(":")
        found = self.objects.get(("services", namespace, service))
        if found is None:
            return f'services "{service}" not found'
        ports = [p for p in found["spec"]["ports"] if p["name"] == port or str(p["port"]) == port]
        for key in self.revisions:
            if key[1] != namespace:
                continue
            for revision in self.revisions[key]:
                if revision.serves and self._reaches(found, ports, revision, namespace):
                    assert revision.container is not None
                    return revision.container
        return f'no endpoints available for service "{name}"'

    def _reaches(
        self, service: dict[str, Any], ports: list[Any], revision: Revision, namespace: str
    ) -> bool:
        labels = revision.template["metadata"]["labels"]
        if not ports or not service["spec"]["selector"].items() <= labels.items():
            return False
        (container,) = revision.template["spec"]["containers"]
        named = {p["name"]: p["containerPort"] for p in container["ports"]}
        number = named.get(ports[0]["targetPort"], ports[0]["targetPort"])
        if str(number) not in {e.get("value") for e in container["env"] if e["name"] == "PORT"}:
            return False
        policies = [
            o["spec"] for (p, ns, _), o in self.objects.items()
            if p == "networkpolicies" and ns == namespace
            and o["spec"]["podSelector"].get("matchLabels", {}).items() <= labels.items()
        ]  # fmt: skip
        # The control plane is no pod: only a block of addresses lets it in.
        return not policies or any(
            any("ipBlock" in source for source in rule.get("from", []))
            and any(p["port"] == number for p in rule.get("ports", []))
            for policy in policies
            for rule in policy.get("ingress", [])
        )

    def _rolled(self, key: Key, made: dict[str, Any]) -> None:
        """The Deployment controller: another template is another revision, started beside."""
        template = made["spec"]["template"]
        written = json.dumps(template, sort_keys=True).encode()
        number = hashlib.sha256(written).hexdigest()[:10]
        known = self.revisions.setdefault(key, [])
        current = next((r for r in known if r.hash == number), None)
        if current:
            known.remove(current)
            current.failed, current.why_not = False, None
        else:
            current = Revision(number, template)
        known.append(current)
        if current.serves:
            self._settled(key)
            return
        if current.starting:
            return  # applied once more meanwhile
        current.starting = True
        threading.Thread(target=self._start, args=(key, current), daemon=True).start()

    def _start(self, key: Key, revision: Revision) -> None:
        set_request_account_id(self.account)
        set_request_region(self.region)
        try:
            self._run(key, revision)
        except ValueError as error:
            revision.why_not = ("CrashLoopBackOff", str(error))
        with self._lock:
            revision.starting = False
            if key not in self.objects and revision.container:
                stop(revision.container)
            elif revision.serves and not revision.why_not:
                self._settled(key)
            else:
                time.sleep(0.2)  # the reason is seen before the deadline is
                revision.failed = True

    def _run(self, key: Key, revision: Revision) -> None:
        from resources import _config_digest, _image

        spec = revision.template["spec"]
        (container,) = spec["containers"]
        fault = FAULTS.take("pod")
        if fault:
            revision.why_not = (fault.code, fault.message)
            return
        refused = self._not_admitted(key[1], spec)
        if refused:
            revision.why_not = refused
            return
        stored = _image(container["image"])
        if stored is None:
            revision.why_not = ("ImagePullBackOff", f"{container['image']}: not found")
            return
        revision.digest = stored["imageDigest"]
        secrets = {
            variable["name"]: self._secret(key[1], **variable["valueFrom"]["secretKeyRef"])
            for variable in container["env"]
            if "valueFrom" in variable
        }
        made = self.world.images.run(
            _config_digest(stored), key[1], *container["args"], secrets=secrets
        )
        self.world.containers.append(made)
        revision.process = made
        if revision.gone:
            stop(made)
        why_not = healthy(made, START_LIMIT_S)
        if why_not:
            stop(made)
            revision.why_not = ("CrashLoopBackOff", why_not)
            return
        revision.container = made

    def _secret(self, namespace: str, name: str, key: str) -> str:
        value: str = self.objects["secrets", namespace, name]["stringData"][key]
        return value

    def _not_admitted(self, namespace: str, spec: dict[str, Any]) -> tuple[str, str] | None:
        """Service account, secrets, and the restricted pod security standard of the namespace."""
        account = spec.get("serviceAccountName", "default")
        if account != "default" and ("serviceaccounts", namespace, account) not in self.objects:
            return ("FailedCreate", f'serviceaccount "{account}" not found')
        (container,) = spec["containers"]
        for variable in container["env"]:
            wanted = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
            if wanted and ("secrets", namespace, wanted) not in self.objects:
                return ("CreateContainerConfigError", f'secret "{wanted}" not found')
        within = container.get("securityContext", {})
        labels = self.objects["namespaces", "", namespace]["metadata"].get("labels", {})
        if labels.get("pod-security.kubernetes.io/enforce") == "restricted" and not (
            spec["securityContext"].get("runAsNonRoot")
            and spec["securityContext"].get("seccompProfile")
            and within.get("allowPrivilegeEscalation") is False
            and within.get("capabilities", {}).get("drop") == ["ALL"]
            and not any("hostPath" in v for v in spec.get("volumes", []))
        ):
            return ("FailedCreate", 'violates PodSecurity "restricted:latest"')
        return None

    def _settled(self, key: Key) -> None:
        """The newest revision serves: the ones before it end."""
        for revision in self.revisions[key][:-1]:
            if revision.container:
                stop(revision.container)
                revision.container = None
        self._balance()

    def _balance(self) -> None:
        """The load balancers that the nodes are behind find the pods through the node port."""
        for machines, groups in self.attached.items():
            for group in groups:
                if group not in alb._tgs:
                    continue
                container = self._through_node(int(alb._tgs[group]["Port"]))
                ids = [f"i-{n:017x}" for n in range(len(self._nodes()))] if container else []
                alb._targets[group] = [{"Id": i, "Port": alb._tgs[group]["Port"]} for i in ids]
                self.world.machines.pop(f"{machines}/nodes", None)
                if container:
                    known = {"TargetGroupARNs": [group]}
                    self.world.machines[f"{machines}/nodes"] = (known, container)

    def _through_node(self, port: int) -> Container | None:
        for (plural, namespace, name), service in list(self.objects.items()):
            if plural == "services" and any(
                p.get("nodePort") == port for p in service["spec"]["ports"]
            ):
                found = self.behind_service(
                    namespace, f"{name}:{service['spec']['ports'][0]['name']}"
                )
                return found if isinstance(found, Container) else None
        return None

    def _groups(self) -> list[dict[str, Any]]:
        return [g for g in eks._nodegroups.values() if g["clusterName"] == self.cluster]

    def _nodes(self) -> list[dict[str, Any]]:
        nodes = []
        for group in self._groups():
            arch = "arm64" if "ARM" in group["amiType"] else "amd64"
            for number in range(group["scalingConfig"]["desiredSize"]):
                nodes.append({
                    "apiVersion": "v1", "kind": "Node",
                    "metadata": {"name": f"ip-10-77-0-{number + 4}.ec2.internal", "labels": {
                        "kubernetes.io/arch": arch, "kubernetes.io/os": "linux",
                    }},
                    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
                })  # fmt: skip
        return nodes

    def _wanted(self, key: Key) -> int:
        found = self.objects[key]["spec"]
        count = int(found.get("replicas", 1))
        scaler = self.objects.get(("horizontalpodautoscalers", key[1], key[2]))
        if scaler:
            bounds = scaler["spec"]
            count = min(max(count, bounds["minReplicas"]), bounds["maxReplicas"])
            found["replicas"] = count
        return count

    def _places(self, revision: Revision) -> int:
        """Nodes that the scheduler would put a pod of this revision on, one on each."""
        wanted = revision.template["spec"].get("nodeSelector", {}).items()
        fitting = [n for n in self._nodes() if wanted <= n["metadata"]["labels"].items()]
        apart = revision.template["spec"].get("affinity", {}).get("podAntiAffinity", {})
        hard = apart.get("requiredDuringSchedulingIgnoredDuringExecution")
        return len(fitting) if hard else 1000 * len(fitting)

    def _scheduled(self, key: Key, revision: Revision) -> int:
        """Pods that have a node; what scales the nodes adds some where it is there and may."""
        wanted = self._wanted(key)
        if wanted > self._places(revision) and SCALER in self.objects:
            for group in self._groups():
                sizes = group["scalingConfig"]
                sizes["desiredSize"] = min(sizes["maxSize"], max(wanted, sizes["desiredSize"]))
        return min(wanted, self._places(revision))

    def _with_status(self, key: Key, item: dict[str, Any]) -> None:
        if not self.revisions.get(key):
            return
        newest, wanted = self.revisions[key][-1], self._wanted(key)
        item["spec"]["replicas"] = wanted
        up = self._scheduled(key, newest) if newest.serves else 0
        old = any(r.serves for r in self.revisions[key][:-1])
        late = newest.failed
        item["status"] = {
            "observedGeneration": item["metadata"]["generation"],
            "replicas": wanted + old, "updatedReplicas": wanted, "readyReplicas": up,
            "availableReplicas": up,
            "conditions": [{
                "type": "Progressing", "status": "False" if late else "True",
                "reason": "ProgressDeadlineExceeded" if late else "ReplicaSetUpdated",
            }],
        }  # fmt: skip

    def _pods(self, key: Key) -> list[dict[str, Any]]:
        out = []
        for revision in self.revisions[key]:
            newest = revision is self.revisions[key][-1]
            if not newest and not revision.serves:
                continue
            wanted, placed = self._wanted(key), self._scheduled(key, revision)
            for number in range(wanted):
                out.append(_pod(key, revision, number, number < placed))
        return out

    def _gone(self, key: Key) -> None:
        self.objects.pop(key, None)
        for revision in self.revisions.pop(key, []):
            revision.gone = True
            if revision.process:
                stop(revision.process)


def _pod(key: Key, revision: Revision, number: int, placed: bool) -> dict[str, Any]:
    ready = revision.serves and placed
    image = revision.template["spec"]["containers"][0]["image"]
    repository = image.split("@")[0]
    status: dict[str, Any] = {
        "conditions": [
            {"type": "Ready", "status": "True" if ready else "False"},
            {"type": "PodScheduled", "status": "True" if placed else "False",
             **({} if placed else {"reason": "Unschedulable",
                                   "message": "no node has room that is apart from the others"})},
        ],
        "containerStatuses": [{
            "name": "model", "ready": ready, "image": image,
            "imageID": f"{repository}@{revision.digest}",
            "state": {"waiting": dict(zip(("reason", "message"), revision.why_not, strict=True))}
            if revision.why_not else {},
        }],
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"{key[2]}-{revision.hash}-{number}", "namespace": key[1],
                     "labels": revision.template["metadata"]["labels"]},
        "spec": revision.template["spec"], "status": status,
    }  # fmt: skip
