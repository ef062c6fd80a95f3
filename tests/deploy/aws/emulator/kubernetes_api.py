"""The API servers of emulated EKS clusters: /_kubernetes/CLUSTER/... on the emulator's own port.

Who calls is found out as EKS does it: the bearer token is a signed question to STS, and the cluster's
access entries say who may. Each object is held against Kubernetes' published schema (strictly, by
kubernetes-validate), and against what an API server refuses besides. Behind it controllers work that
really run the bundle (`kubernetes_pods.py`).
"""

from __future__ import annotations

import copy
import json
import re
import uuid
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

import kubernetes_validate
from faults import FAULTS
from kubernetes_pods import Pods
from ministack.services import eks

ROOT = "/_kubernetes/"
VERSION = "1.34"
ENTRY = "AWS::EKS::AccessEntry"
ADMIN = "cluster-access-policy/AmazonEKSClusterAdminPolicy"
APPLY = "application/apply-patch+yaml"
PLACE = re.compile(
    r"^(?:/api/v1|/apis/[a-z0-9.]+/v\d+)(?:/namespaces/(?P<namespace>[^/]+)(?=/.))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?P<proxy>/proxy(?P<path>/.*))?$"
)
WIDE = ("namespaces", "nodes", "clusterroles", "clusterrolebindings")
Answer = tuple[int, dict[str, str], bytes]


class Refused(Exception):
    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


class KubernetesApis:
    """Every cluster's API server, in whichever account and region."""

    def __init__(self, world: Any, endpoint: str) -> None:
        self.world = world
        self.endpoint = endpoint
        self.pods: dict[str, Pods] = {}

    def opened(self, cluster: str) -> None:
        """A cluster was made: its address is here."""
        found = eks._clusters[cluster]
        found |= {"endpoint": f"{self.endpoint}{ROOT}{cluster}", "status": "ACTIVE",
                  "version": VERSION}  # fmt: skip
        found["certificateAuthority"] = {"data": ""}  # plain HTTP, on the loopback address
        self.pods[cluster] = Pods(self.world, cluster)

    def closed(self, cluster: str) -> None:
        """It goes, with all that runs in it."""
        found = self.pods.pop(cluster, None)
        if found:
            found.stop()

    def reset(self) -> None:
        for cluster in list(self.pods):
            self.closed(cluster)

    def answer(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        """What the API server answers; a Status object when it refuses."""
        cluster, _, rest = path.removeprefix(ROOT).partition("/")
        rest = f"/{rest}"
        given = {k: v[0] for k, v in parse_qs(query, keep_blank_values=True).items()}
        try:
            pods = self.pods.get(cluster)
            if pods is None:
                raise Refused(404, "NotFound", f"no cluster {cluster}")
            self._authenticated(cluster, headers)
            if (method, rest) == ("GET", "/version"):
                return _json(200, {"major": "1", "minor": VERSION.partition(".")[2]})
            place = PLACE.match(rest)
            if place is None:
                raise Refused(404, "NotFound", "the server could not find the requested resource")
            if place["proxy"]:
                return self._proxied(pods, place, method, headers, body)
            fault = FAULTS.take(f"kubernetes.{method} {place['plural']}")
            if fault:
                raise Refused(fault.status, fault.code, fault.message)
            return self._object(pods, place, method, given, headers, body)
        except Refused as error:
            return _json(error.status, {
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": error.status,
                "reason": error.reason, "message": error.message,
            })  # fmt: skip

    def _authenticated(self, cluster: str, headers: dict[str, str]) -> None:
        token = headers.get("authorization", "").removeprefix("Bearer ")
        caller = eks._verify_eks_token(token, cluster) if token else None
        if caller is None:
            raise Refused(401, "Unauthorized", "Unauthorized")
        arns = {caller.principal_arn, eks._role_arn_from_assumed_role(caller.principal_arn)}
        for entry in self.world.all(ENTRY):
            given = entry.properties
            if given["ClusterName"] == cluster and given["PrincipalArn"] in arns:
                policies = [p["PolicyArn"] for p in given.get("AccessPolicies", [])]
                if any(p.endswith(ADMIN) for p in policies):
                    return
        raise Refused(403, "Forbidden", f"{caller.principal_arn} is let in by no access entry")

    def _object(
        self, pods: Pods, place: Any, method: str, query: dict[str, str],
        headers: dict[str, str], body: bytes,
    ) -> Answer:  # fmt: skip
        plural, namespace = place["plural"], place["namespace"] or ""
        name = unquote(place["name"] or "")
        key = (plural, namespace, name)
        if method == "GET" and not name:
            wanted = dict(
                part.split("=", 1) for part in query.get("labelSelector", "").split(",") if part
            )
            items = [
                item for item in pods.listed(plural, namespace)
                if wanted.items() <= item["metadata"].get("labels", {}).items()
            ]  # fmt: skip
            return _json(200, {"kind": "List", "apiVersion": "v1", "items": items})
        if method == "PATCH":
            return _json(200, self._applied(pods, key, query, headers, body))
        found = pods.read(*key)
        if found is None:
            raise Refused(404, "NotFound", f'{plural} "{name}" not found')
        if method == "GET":
            return _json(200, found)
        if method == "DELETE":
            pods.delete(*key)
            return _json(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
        raise Refused(405, "MethodNotAllowed", f"{method} is not emulated")

    def _applied(
        self, pods: Pods, key: tuple[str, str, str], query: dict[str, str],
        headers: dict[str, str], body: bytes,
    ) -> dict[str, Any]:  # fmt: skip
        plural, namespace, name = key
        if headers.get("content-type") != APPLY or not query.get("fieldManager"):
            raise Refused(400, "BadRequest", "only server-side apply with a manager is emulated")
        given = json.loads(body)
        validated(given)
        meta = given["metadata"]
        if (meta["name"], meta.get("namespace", "")) != (name, namespace):
            raise Refused(400, "BadRequest", "the name of the object does not match the URL")
        if namespace and pods.read("namespaces", "", namespace) is None:
            raise Refused(404, "NotFound", f'namespaces "{namespace}" not found')
        before = pods.stored(*key)
        if plural == "deployments":
            _deployment_rules(given, before)
        if query.get("dryRun"):
            return dict(given)
        made = copy.deepcopy(given)
        made["metadata"] |= {
            "uid": before["metadata"]["uid"] if before else str(uuid.uuid4()),
            "creationTimestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "generation": 1,
        }
        if before:
            kept = before.get("spec", {}).get("replicas")
            if plural == "deployments" and kept is not None:
                made["spec"].setdefault("replicas", kept)
            changed = before.get("spec") != made.get("spec")
            made["metadata"]["generation"] = before["metadata"]["generation"] + changed
        return pods.store(key, made)

    def _proxied(
        self, pods: Pods, place: Any, method: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        name = unquote(place["name"])
        fault = FAULTS.take("kubernetes.proxy")
        if fault:
            raise Refused(fault.status, fault.code, fault.message)
        if place["plural"] != "services":
            raise Refused(404, "NotFound", "only services are proxied here")
        found = pods.behind_service(place["namespace"], name)
        if isinstance(found, str):
            raise Refused(503, "ServiceUnavailable", found)
        from containers import forward

        passed = {k: v for k, v in headers.items() if k != "authorization"}
        status, kind, answer = forward(found, method, place["path"], body, passed)
        return status, {"content-type": kind}, answer


def validated(manifest: dict[str, Any]) -> None:
    """Raises Refused with what the published schema does not allow."""
    try:
        _schema_check(json.dumps(manifest, sort_keys=True))
    except kubernetes_validate.ValidationError as error:
        where = ".".join(str(p) for p in error.path)
        raise Refused(
            422, "Invalid", f"{manifest['kind']} is invalid: {where}: {error.message}"
        ) from None


@cache
def _schema_check(text: str) -> None:
    kubernetes_validate.validate(json.loads(text), VERSION, strict=True)


def _deployment_rules(given: dict[str, Any], before: dict[str, Any] | None) -> None:
    """What no schema says, and the API server refuses all the same."""
    spec = given["spec"]
    selector = spec["selector"]["matchLabels"]
    if not selector.items() <= spec["template"]["metadata"]["labels"].items():
        raise Refused(422, "Invalid", "`selector` does not match template `labels`")
    if before and before["spec"]["selector"] != spec["selector"]:
        raise Refused(422, "Invalid", "spec.selector: field is immutable")
    volumes = {v["name"] for v in spec["template"]["spec"].get("volumes", [])}
    for container in spec["template"]["spec"]["containers"]:
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                raise Refused(422, "Invalid", f"volumeMounts: {mount['name']} not found")
        resources = container.get("resources", {})
        for what, most in resources.get("limits", {}).items():
            asked = resources.get("requests", {}).get(what, most)
            if _amount(asked) > _amount(most):
                raise Refused(422, "Invalid", f"{what}: request must be at most the limit")


def _amount(text: str) -> float:
    units = {"m": 1e-3, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    for unit, factor in units.items():
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(text)


def cluster_versions() -> dict[str, Any]:
    """EKS's DescribeClusterVersions."""
    return {"clusterVersions": [
        {"clusterVersion": VERSION, "defaultVersion": True, "versionStatus": "STANDARD_SUPPORT"}
    ]}  # fmt: skip


def _json(status: int, content: dict[str, Any]) -> Answer:
    return status, {"content-type": "application/json"}, json.dumps(content).encode()
