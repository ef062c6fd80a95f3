"""A model server brought into a cluster: applied, watched until it serves, else taken back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from advisor.errors import AdvisorError, DeployError
from deploy.kubernetes.cluster import Cluster, name_of
from deploy.kubernetes.objects import (
    LABEL_DEPLOYMENT,
    LABEL_MANAGED,
    MANAGED_BY,
    NAME,
    SERVING,
    Manifest,
    Serving,
    namespace_of,
    objects_of,
    token_secret,
)
from deploy.target import Emit, Event

STEP = "cluster"
HEARTBEAT_S = 20.0
GONE_LIMIT_S = 600.0
# Reasons of a waiting container after which no more waiting helps, unless the image is changed.
HOPELESS = ("InvalidImageName", "CreateContainerConfigError", "CreateContainerError")


class ModelInCluster:
    """One deployment's objects in one cluster. Every verb blocks."""

    def __init__(self, cluster: Cluster, deployment: str, poll_seconds: float) -> None:
        self.cluster = cluster
        self.namespace = namespace_of(deployment)
        self._deployment = deployment
        self._poll_s = poll_seconds

    def install(self, serving: Serving, emit: Emit, token: str = "") -> Serving | None:
        """Apply the objects and wait until every pod of them serves; what ran before, to go back.

        Fine to repeat. Raises DeployError; then the version before serves again, or where there
        was none, nothing is left.
        """
        former = self.running()
        self._own_namespace()
        try:
            self._apply(serving, emit, token)
            self._serves(serving, emit)
        except AdvisorError as error:
            emit(Event(step=STEP, level="error", message=f"{error}"))
            left = self._taken_back(former, emit, token)
            raise DeployError(f"{error}; {left}") from error
        return former

    def go_back(self, former: Serving | None, emit: Emit, token: str = "") -> None:
        """To the version before, whose ReplicaSet is still there; with none, to nothing."""
        if former is None:
            self.prune(emit)
            return
        self._apply(former, emit, token)
        self._serves(former, emit)
        emit(Event(step=STEP, message="The version before serves again"))

    def running(self) -> Serving | None:
        """What the objects in the cluster were made from, None when there are none."""
        found = self.cluster.read("Deployment", NAME, self.namespace)
        written = (found or {}).get("metadata", {}).get("annotations", {}).get(SERVING)
        return Serving.model_validate_json(written) if written else None

    def url(self) -> str:
        """Where pods of the same cluster call it."""
        return f"http://{NAME}.{self.namespace}.svc/invocations"

    def pods(self) -> list[Manifest]:
        """The model server's pods."""
        return self.cluster.listed("Pod", self.namespace, f"{LABEL_DEPLOYMENT}={self._deployment}")

    def digests(self) -> set[str]:
        """Digests of the images that ready pods run, as their nodes pulled them."""
        return {
            status["imageID"].rpartition("@")[2]
            for pod in self.pods()
            if is_ready(pod)
            for status in pod["status"].get("containerStatuses", [])
        }

    def prune(self, emit: Emit) -> list[str]:
        """Delete the namespace with all in it and wait until it is gone; what went.

        Fine to repeat. Raises DeployError when it is somebody else's, or would not go.
        """
        self._own_namespace()
        if not self.cluster.delete("Namespace", self.namespace):
            return []
        emit(Event(step=STEP, message=f"Deleting the namespace {self.namespace} with all in it"))
        for _ in self._ticks(GONE_LIMIT_S):
            if self.cluster.read("Namespace", self.namespace) is None:
                return [f"Kubernetes Namespace {self.namespace} of {self.cluster.name}"]
        raise DeployError(
            f"the namespace {self.namespace} of {self.cluster.name} is still there after "
            f"{GONE_LIMIT_S / 60:.0f} minutes; look at what holds it (its finalizers), and destroy "
            "again"
        )

    def _own_namespace(self) -> None:
        """Raises DeployError when a namespace of that name is not this deployment's."""
        found = self.cluster.read("Namespace", self.namespace)
        if found is None:
            return
        labels = found["metadata"].get("labels", {})
        if (labels.get(LABEL_MANAGED), labels.get(LABEL_DEPLOYMENT)) != (
            MANAGED_BY, self._deployment,
        ):  # fmt: skip
            raise DeployError(
                f"the cluster {self.cluster.name} has a namespace {self.namespace} that this "
                "product did not make; give the deployment another name"
            )

    def _apply(self, serving: Serving, emit: Emit, token: str) -> None:
        wanted = objects_of(serving)
        if serving.token:
            # Before the pods, which read it when they start.
            wanted.insert(2, token_secret(serving, token))
        for manifest in wanted:
            self.cluster.apply(manifest)
            emit(Event(step=STEP, message=f"{name_of(manifest)} is applied", resource=NAME))
        names = {(m["kind"], m["metadata"]["name"]) for m in wanted}
        for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget"):
            if (kind, NAME) not in names and self.cluster.delete(kind, NAME, self.namespace):
                emit(Event(step=STEP, message=f"{kind} {NAME} is not needed any more"))

    def _serves(self, serving: Serving, emit: Emit) -> None:
        """Wait until every pod is of the new version and ready. Raises DeployError with the pods'
        own reasons."""
        told, told_at = "", time.monotonic()
        limit_s = serving.start_s + 900.0
        for _ in self._ticks(limit_s):
            found = self.cluster.read("Deployment", NAME, self.namespace)
            if found is None:
                raise DeployError(
                    f"the Deployment {NAME} of {self.namespace} was deleted meanwhile"
                )
            wanted = max(serving.replicas_min, found["spec"].get("replicas", 1))
            if is_rolled_out(found, wanted):
                said = f"{wanted} of {wanted} pods serve"
                emit(Event(step=STEP, level="done", message=said))
                return
            reasons = self._reasons()
            failed = condition(found, "Progressing")
            if failed.get("reason") == "ProgressDeadlineExceeded" or any(
                word in reasons for word in HOPELESS
            ):
                raise DeployError(
                    f"the pods of {self.namespace} do not come up: "
                    f"{reasons or failed.get('message', 'no pod tells why')}"
                )
            status = found.get("status", {})
            updated = status.get("updatedReplicas", 0)
            said = f"{status.get('readyReplicas', 0)} pods ready, {updated} of the new version"
            said += f" of {wanted}" + (f": {reasons}" if reasons else "")
            if said != told or time.monotonic() - told_at > HEARTBEAT_S:
                told, told_at = said, time.monotonic()
                emit(Event(step=STEP, level="progress", message=said))
        raise DeployError(
            f"the pods of {self.namespace} do not serve after {limit_s / 60:.0f} minutes: "
            f"{self._reasons() or 'no pod tells why'}"
        )

    def _reasons(self) -> str:
        """Why pods are not ready, in Kubernetes' own words, each once."""
        found = [reason for pod in self.pods() for reason in why_not(pod)]
        return "; ".join(dict.fromkeys(found))

    def _taken_back(self, former: Serving | None, emit: Emit, token: str) -> str:
        try:
            self.go_back(former, emit, token)
        except AdvisorError as error:
            return f"not taken back: {error}"
        return "the version before serves again" if former else "its objects are gone again"

    def _ticks(self, limit_s: float) -> Iterator[None]:
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            yield
            time.sleep(self._poll_s)


def is_rolled_out(deployment: Manifest, wanted: int) -> bool:
    """Has the controller seen the newest spec, and are as many pods of it available and no other?"""
    status: dict[str, int] = deployment.get("status", {})
    newest: int = deployment["metadata"].get("generation", 1)
    asked: int = deployment["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    return (
        status.get("observedGeneration", 0) >= newest
        and asked >= wanted
        and updated >= wanted
        and status.get("availableReplicas", 0) >= wanted
        and status.get("replicas", 0) == updated
    )


def is_ready(pod: Manifest) -> bool:
    """Does Kubernetes send requests to it?"""
    status: str = condition(pod, "Ready").get("status", "")
    return status == "True"


def condition(manifest: Manifest, kind: str) -> dict[str, Any]:
    """The condition of that type; empty when there is none."""
    found = manifest.get("status", {}).get("conditions", [])
    return next((c for c in found if c["type"] == kind), {})


def why_not(pod: Manifest) -> Iterator[str]:
    """What a pod that does not run says: no room, no image, a server that ends."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield f"{scheduled.get('reason', '')} ({scheduled.get('message', '')})"
    for status in pod.get("status", {}).get("containerStatuses", []):
        waiting = status.get("state", {}).get("waiting", {})
        if waiting and waiting.get("reason") != "ContainerCreating":
            yield f"{waiting['reason']} ({waiting.get('message', '')})"
