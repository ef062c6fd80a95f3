"""This machine as a target: the bundle's server as a process of its own, on the loopback address.

Each deployment has a directory under `deploy.home.home()/deployments`: the bundle, the log, and
`server.json`, which names the process once it is ready. A server in that directory that
`server.json` does not name is a left-over of an interrupted apply and is stopped by the next verb.
Two people at once are kept apart by a file lock.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

from advisor.errors import AdvisorError, DeployError, InputError, PreflightError
from deploy.bundle.pack import pack
from deploy.requests import PlanRequest, check_name
from deploy.sample import sample_request
from deploy.target import (
    DestroyReport,
    Emit,
    Finding,
    Plan,
    Prediction,
    Proof,
    State,
    Status,
    Target,
)
from deploy.targets import (
    local_back,
    local_checks,
    local_process,
    local_resources,
    local_start,
)
from deploy.targets.local_process import LOOPBACK, Server
from deploy.targets.local_record import (
    BUNDLE_VARIANT,
    STOP_GRACE_S,
    Parameters,
    alone,
    directory,
    event,
    in_words,
    live,
    log_of,
    parameters,
    processes,
    recorded,
)

HERE = "this machine"
LEAST_READY_LIMIT_S = 60
LEAST_PREDICT_LIMIT_S = 30
TOLD_ERROR_CHARACTERS = 500
NO_SAMPLE = '{"instances": [...]}'


class LocalTarget(Target):
    """One server process on 127.0.0.1. Costs nothing and needs no account and no Docker."""

    name = "local"
    proven_by: Proof = "real process"
    proven_on = "2026-11-22"

    def preflight(self, request: PlanRequest) -> list[Finding]:
        """Model file, runtime library, memory, disk, port and name. Raises InputError."""
        return local_checks.findings(request, live(request.name))

    def plan(self, request: PlanRequest) -> Plan:
        """What apply will start. Keeps nothing on disk. Raises PreflightError, InputError."""
        if request.public:
            raise InputError(
                f"public is true, but this machine listens on {LOOPBACK} only; leave it out, or "
                "choose an option in a cloud"
            )
        port = local_checks.asked_port(request)
        running = live(request.name)
        findings = local_checks.findings(request, running)
        blocking = [f"{f.message}; {f.fix}" for f in findings if f.blocking and not f.ok]
        if blocking:
            raise PreflightError(" — ".join(blocking))
        need, artifact = request.need, request.artifact
        with in_words(), tempfile.TemporaryDirectory(prefix="bundle-") as scratch:
            bundle_hash = pack(artifact, Path(scratch) / "bundle", variant=BUNDLE_VARIANT).hash
        local_start.remember(artifact)
        sample = sample_request(artifact.signature)
        return Plan(
            name=request.name,
            option=request.ranked.option,
            target=self.name,
            variant=request.ranked.deploy_variant,
            model_path=str(artifact.path.resolve()),
            model_format=artifact.format,
            model_digest=artifact.digest,
            bundle_hash=bundle_hash,
            account=HERE,
            region=HERE,
            monthly_usd=0.0,
            monthly_usd_high=0.0,
            resources=local_resources.planned(request.name, bundle_hash, port, running),
            public=[f"nothing: listens on {LOOPBACK} only"],
            permissions=["none: runs as you, without your environment variables"],
            expected_minutes=round((need.model.load_time_s + 10) / 60, 2),
            proven_by=self.proven_by,
            proven_on=self.proven_on,
            requirements=need.model_dump(mode="json"),
            parameters=Parameters(
                port=port,
                ready_limit_s=max(LEAST_READY_LIMIT_S, 4 * need.model.load_time_s + 30),
                predict_limit_s=max(LEAST_PREDICT_LIMIT_S, (need.model.service_time_ms or 0) / 100),
                sample=sample.body.decode() if sample else None,
                sample_note=sample.note if sample else "",
            ).model_dump(),
            findings=findings,
        )

    def plan_rollback(self, stands: Plan, earlier: Sequence[Plan]) -> Plan:
        """The bundle that served before, on the port that was asked for now."""
        return local_back.plan_back(stands, earlier)

    def apply(self, plan: Plan, emit: Emit) -> Status:
        """Start the server and wait until it is ready; at most the plan's `ready_limit_s`.

        A ready server of this very bundle is returned as it is. On failure the new process and
        its files are gone again, and a server that was ready before serves again. Raises
        StalePlanError when the model file changed, DeployError with the log's last lines.
        """
        check_name(plan.name)
        with alone(plan, emit):
            before = live(plan.name)
            if before is not None and _serves(before, plan):
                emit(event("start", f"Process {before.pid} already runs this plan", "done"))
                server = before
            else:
                try:
                    with in_words():
                        server = local_start.replace(plan, before, emit)
                except AdvisorError as error:
                    _undo(plan, before, emit, error)
                    raise
            local_start.tidy(plan.name, server)
        return self._running(plan, server)

    def status(self, plan: Plan) -> Status:
        """Look at the process and ask it. Never raises for a deployment that is gone."""
        server = recorded(plan.name)
        if server is None:
            starting = [p.pid for p in local_process.strays(directory(plan.name))]
            if starting:
                return self._not_running(plan, "applying", f"process {starting[0]} is starting")
            return self._not_running(plan, "destroyed", f"{plan.name} is not on this machine")
        if server.process() is None:
            tail = local_process.log_tail(log_of(plan.name))
            return self._not_running(
                plan,
                "failed",
                f"the server (process {server.pid}) is gone; apply the plan again to start it"
                f"{', the log ends' + tail if tail else ''}",
            )
        if not local_process.is_ready(server.port):
            return self._not_running(
                plan, "failed", f"process {server.pid} does not answer; apply again to restart it"
            )
        return self._running(plan, server)

    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """One POST to /invocations. Raises DeployError with the server's own words."""
        server = live(plan.name)
        if server is None:
            raise DeployError(f"{plan.name} does not run on this machine; apply its plan first")
        began = time.monotonic()
        try:
            with httpx.Client(trust_env=False, timeout=parameters(plan).predict_limit_s) as client:
                answer = client.post(
                    f"{server.endpoint}/invocations",
                    content=body,
                    headers={"content-type": content_type},
                )
        except httpx.TransportError as error:
            said = str(error) or type(error).__name__
            raise DeployError(
                f"{server.endpoint} did not answer ({said}); see {log_of(plan.name)}"
            ) from None
        latency_ms = (time.monotonic() - began) * 1000
        if answer.is_error:
            raise DeployError(
                f"{server.endpoint}/invocations answered {answer.status_code}: "
                f"{answer.text[:TOLD_ERROR_CHARACTERS]}"
            )
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        return Prediction(
            body=answer.json() if kind == "application/json" else answer.text,
            content_type=kind,
            status_code=answer.status_code,
            latency_ms=round(latency_ms, 3),
        )

    def destroy(self, plan: Plan, emit: Emit) -> DestroyReport:
        """Stop the process, prove its port closed, remove the files. Fine to repeat.

        Blocks until all is gone. Raises DeployError when a process does not end.
        """
        check_name(plan.name)
        own = directory(plan.name)
        removed: list[str] = []
        with alone(plan, emit):
            server = recorded(plan.name)
            for process in processes(plan.name):
                emit(event("stop", f"Stopping process {process.pid}"))
                local_process.stop(process, STOP_GRACE_S)
                removed.append(f"process {process.pid}")
            left = [f"process {process.pid}" for process in processes(plan.name)]
            if server is not None and removed:
                emit(event("stop", _port_sentence(server.port)))
                removed.append(f"port {server.port}")
            if own.exists():
                shutil.rmtree(own)
                removed.append(str(own))
        done = f"Nothing of {plan.name} is left on this machine"
        emit(event("destroy", done if removed else f"{done}: nothing was there", "done"))
        return DestroyReport(name=plan.name, removed=removed, left_behind=left)

    def _running(self, plan: Plan, server: Server) -> Status:
        own = directory(plan.name)
        return Status(
            name=plan.name,
            option=plan.option,
            target=self.name,
            state="running",
            message=f"{plan.name} answers on {server.endpoint}",
            endpoint=server.endpoint,
            outputs={
                "pid": str(server.pid),
                "port": str(server.port),
                "log": str(log_of(plan.name)),
                "bundle": str(own / server.bundle),
                "bundle_hash": server.bundle_hash,
                "model_digest": server.model_digest,
                "started_at": server.started_at,
            },
            resources=[f"process {server.pid}", f"port {server.port}", str(own)],
            snippets=_snippets(server.endpoint, parameters(plan).sample),
        )

    def _not_running(self, plan: Plan, state: State, message: str) -> Status:
        return Status(
            name=plan.name, option=plan.option, target=self.name, state=state, message=message
        )


def _undo(plan: Plan, before: Server | None, emit: Emit, error: AdvisorError) -> None:
    try:
        with in_words():
            local_start.undo(plan, before, emit)
    except DeployError as second:
        raise DeployError(f"{error}; and taking that back failed: {second}") from second


def _serves(server: Server, plan: Plan) -> bool:
    return server.bundle_hash == plan.bundle_hash and parameters(plan).port in (None, server.port)


def _port_sentence(port: int) -> str:
    if local_process.is_free(port):
        return f"Port {port} is closed"
    return f"Port {port} is ours no longer: {local_process.holder(port)} has it now"


def _snippets(endpoint: str, sample: str | None) -> dict[str, str]:
    url = f"{endpoint}/invocations"
    body = sample or NO_SAMPLE
    python_body = repr(json.loads(sample)) if sample else NO_SAMPLE
    quoted = body.replace("'", "'\\''")
    return {
        "curl": f"curl -s -X POST {url} -H 'Content-Type: application/json' -d '{quoted}'",
        "python": "\n".join(
            [
                "import json, urllib.request",
                "",
                f"body = json.dumps({python_body}).encode()",
                f'request = urllib.request.Request("{url}", body, '
                '{"Content-Type": "application/json"})',
                "print(json.load(urllib.request.urlopen(request)))",
            ]
        ),
    }
