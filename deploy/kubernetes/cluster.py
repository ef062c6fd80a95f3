"""One Kubernetes cluster, through the official client: server-side apply, reading, deleting, asking.

Every call has a time limit; every failure is told in one sentence.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from advisor.errors import DeployError
from deploy.kubernetes.objects import Manifest

FIELD_MANAGER = "model-deployment-advisor"
APPLY = "application/apply-patch+yaml"
LIMIT_S = 30.0
ASK_LIMIT_S = 300.0
NOT_FOUND = 404
WAYS_OUT = {
    401: "; sign in again and repeat", 403: "; ask whoever runs the cluster",
    429: "; repeat in a minute",
}  # fmt: skip


class Kind(NamedTuple):
    """Where the API server keeps objects of a kind."""

    prefix: str
    plural: str
    namespaced: bool = True


KINDS = {
    "Namespace": Kind("/api/v1", "namespaces", False),
    "Node": Kind("/api/v1", "nodes", False),
    "Pod": Kind("/api/v1", "pods"),
    "Secret": Kind("/api/v1", "secrets"),
    "Service": Kind("/api/v1", "services"),
    "ServiceAccount": Kind("/api/v1", "serviceaccounts"),
    "Deployment": Kind("/apis/apps/v1", "deployments"),
    "ReplicaSet": Kind("/apis/apps/v1", "replicasets"),
    "HorizontalPodAutoscaler": Kind("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "NetworkPolicy": Kind("/apis/networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": Kind("/apis/policy/v1", "poddisruptionbudgets"),
    "ClusterRole": Kind("/apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": Kind("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "Role": Kind("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Kind("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
}


@dataclass(frozen=True)
class Answer:
    """What a service in the cluster answered."""

    status: int
    content_type: str
    body: bytes
    latency_ms: float


class ClusterError(DeployError):
    """The API server refused or failed; `status` is HTTP's, 0 where it was not reached."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Cluster:
    """An API server by its address. `token` is asked for each call: tokens are short-lived.

    `ca_data` is the server's certificate authority as PEM in base64; "" trusts the machine's own.
    """

    def __init__(self, name: str, url: str, ca_data: str, token: Callable[[], str]) -> None:
        self.name = name
        self._url = url
        self._ca = ca_data
        self._token = token

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Manifest:
        """Server-side apply: make it, or change what is ours of it. The object as it now is.

        Raises ClusterError with the server's own reason.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        if dry_run:
            query["dryRun"] = "All"
        what = f"apply {name_of(manifest)}"
        return self._json("PATCH", path_of(manifest), what, query, manifest, APPLY)

    def read(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """The object, None when there is none."""
        try:
            return self._json("GET", _path(kind, namespace, name), f"read {kind} {name}")
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def listed(self, kind: str, namespace: str = "", labels: str = "") -> list[Manifest]:
        """Every object of the kind, of one namespace where it is given."""
        query = {"labelSelector": labels} if labels else {}
        found = self._json("GET", _path(kind, namespace), f"list each {kind}", query)
        items: list[Manifest] = found["items"]
        return items

    def delete(self, kind: str, name: str, namespace: str = "") -> bool:
        """Ask for the object to go; False when there is none. It may take a while: see `read`."""
        query = {"propagationPolicy": "Foreground"}
        try:
            self._json("DELETE", _path(kind, namespace, name), f"delete {kind} {name}", query)
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return False
            raise
        return True

    def version(self) -> str:
        """Major and minor version, such as "1.34"."""
        found = self._json("GET", "/version", "ask for the version")
        return f"{found['major']}.{found['minor'].rstrip('+')}"

    def ask(
        self, service: str, namespace: str, path: str, body: bytes, content_type: str
    ) -> Answer:
        """POST to a service through the API server, which passes it on.

        An answer with an error status is an answer; raises ClusterError when there was none.
        """
        url = f"{self._url}{_path('Service', namespace, service)}/proxy{path}"
        began = time.monotonic()
        with self._told(f"ask the service {service}"):
            # The bytes as they are: the client's own call would write JSON again.
            got = self._client.pool_manager.request(
                "POST", url, body=body, headers=self._headers(content_type, "*/*"),
                timeout=ASK_LIMIT_S,
            )  # fmt: skip
        latency_ms = (time.monotonic() - began) * 1000
        return Answer(got.status, got.headers.get("content-type", ""), got.data, latency_ms)

    def _json(
        self,
        method: str,
        path: str,
        doing: str,
        query: dict[str, str] | None = None,
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        url = f"{self._url}{path}" + (f"?{urlencode(query)}" if query else "")
        with self._told(doing):
            got = self._client.request(
                method, url, headers=self._headers(content_type, "application/json"), body=body,
                _request_timeout=LIMIT_S,
            )  # fmt: skip
            found: dict[str, Any] = json.loads(got.data)
        return found

    def _headers(self, content_type: str, accept: str) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._token()}",
            "Content-Type": content_type,
            "Accept": accept,
            "User-Agent": FIELD_MANAGER,
        }

    @cached_property
    def _client(self) -> Any:
        """The official client's connections, which trust this cluster's authority only."""
        from kubernetes.client import Configuration  # a second's import, for those who need it
        from kubernetes.client.rest import RESTClientObject
        from urllib3.util import Retry

        configuration = Configuration(host=self._url)
        # Whatever is called here may come twice and makes nothing twice, so that every method is
        # repeated: once when the connection broke, and for some seconds when it is told to wait.
        configuration.retries = Retry(
            total=4, connect=0, read=1, redirect=0, status=4, allowed_methods=None,
            status_forcelist=(429,), backoff_factor=0.5, raise_on_status=False,
        )  # fmt: skip
        if not self._ca:
            return RESTClientObject(configuration)
        with tempfile.NamedTemporaryFile(suffix=".pem") as authority:
            authority.write(base64.b64decode(self._ca))
            authority.flush()
            configuration.ssl_ca_cert = authority.name
            context = ssl.create_default_context(cafile=authority.name)
            made = RESTClientObject(configuration)
            # Read now: the file goes.
            made.pool_manager.connection_pool_kw |= {"ssl_context": context, "ca_certs": None}
            return made

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """The client's errors in one sentence."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError, MaxRetryError

        try:
            yield
        except ApiException as error:
            why = _reason(error.body) or str(error.reason)
            status = error.status or 0
            raise ClusterError(
                f"the cluster {self.name} would not {doing}: {why}{WAYS_OUT.get(status, '')}",
                status,
            ) from None
        except HTTPError as error:
            met = error.reason if isinstance(error, MaxRetryError) else error
            raise ClusterError(
                f"the API server of the cluster {self.name} was not reached to {doing} "
                f"({type(met).__name__}); it may let this machine in by its network only"
            ) from None
        except ValueError as error:
            raise ClusterError(
                f"the cluster {self.name} answered no JSON when asked to {doing}: {error}"
            ) from None


def name_of(manifest: Manifest) -> str:
    """Kind and name, as people say them."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def path_of(manifest: Manifest) -> str:
    """Where the API server keeps the object."""
    found = manifest["metadata"]
    return _path(manifest["kind"], found.get("namespace", ""), found["name"])


def _path(kind: str, namespace: str, name: str = "") -> str:
    known = KINDS[kind]
    within = f"/namespaces/{quote(namespace)}" if known.namespaced and namespace else ""
    return f"{known.prefix}{within}/{known.plural}" + (f"/{quote(name)}" if name else "")


def _reason(body: Any) -> str:
    """The message of a Status object, else the beginning of what came."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()[:300]
