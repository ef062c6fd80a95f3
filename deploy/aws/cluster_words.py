"""Kubernetes objects in a plan, and how a service inside a cluster is called."""

from __future__ import annotations

from deploy.aws.stack_seen import sample_body
from deploy.kubernetes.objects import Serving, namespace_of, objects_of
from deploy.target import Plan, PlannedResource


def planned_objects(serving: Serving, *, update: bool) -> list[PlannedResource]:
    """Each object as the plan lists it; server-side apply changes only what differs."""
    count = f"{serving.replicas_min}"
    count += f"–{serving.replicas_max}" if serving.scales else ""
    room = f"{serving.cpu_request_m}m CPU, {serving.memory_request_mb} MiB"
    details = {
        "Deployment": f"{count} pods, each books {room}",
        "NetworkPolicy": "calls come in from the network and the cluster, nothing goes out",
    }
    if not serving.beside:
        details["Deployment"] += (
            "; a new version's pod has no room beside an old one, which goes first"
        )
    return [
        PlannedResource(
            action="update" if update else "create",
            kind=f"Kubernetes {found['kind']}",
            name=_name(found["metadata"]["name"], serving),
            detail=details.get(found["kind"], ""),
        )
        for found in objects_of(serving)
    ]


def _name(name: str, serving: Serving) -> str:
    namespace = namespace_of(serving.deployment)
    return name if name == namespace else f"{namespace}/{name}"


def snippets_inside(url: str, plan: Plan) -> dict[str, str]:
    """A curl line and Python for a pod of the same cluster."""
    body = sample_body(plan.parameters)
    quoted = body.replace("'", "'\\''")
    curl = (
        "# from a pod of the same cluster\n"
        f"curl -s -H 'Content-Type: application/json' -d '{quoted}' {url}"
    )
    python = "\n".join(
        [
            "import urllib.request",
            "",
            f'url = "{url}"',
            f"body = {body.encode()!r}",
            'headers = {"Content-Type": "application/json"}',
            "call = urllib.request.Request(url, data=body, headers=headers)",
            "print(urllib.request.urlopen(call).read().decode())",
        ]
    )
    return {"curl": curl, "python": python}
