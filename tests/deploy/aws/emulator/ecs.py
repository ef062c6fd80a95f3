"""ECS, the load balancer's data plane and the HTTP API's way in, as far as the product uses them.

A service is one process of the bundle's own server, however many tasks it counts; a task that runs
once is a process of the same image. Addresses that only a network knows are reached by making the
emulator the HTTP proxy of that process.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import botocore.session
from builds import session_of
from containers import Container, healthy, passed_on, stop
from ministack import app as ministack
from ministack.core.responses import get_account_id, get_region
from ministack.services import alb, apigateway, cloudformation, cloudwatch_logs, ec2, iam

CLUSTER = "AWS::ECS::Cluster"
TASK = "AWS::ECS::TaskDefinition"
SERVICE = "AWS::ECS::Service"
PROVIDERS = "AWS::ECS::ClusterCapacityProviderAssociations"
MACHINES = "AWS::AutoScaling::AutoScalingGroup"
COMPUTE = "AWS::Batch::ComputeEnvironment"
QUEUE = "AWS::Batch::JobQueue"
JOB = "AWS::Batch::JobDefinition"
LINK = "AWS::ApiGatewayV2::VpcLink"
GROUP = "AWS::ElasticLoadBalancingV2::TargetGroup"
# MiniStack knows these, but runs no container without a Docker engine.
OWN = {
    CLUSTER, TASK, SERVICE, "AWS::ECS::CapacityProvider", PROVIDERS,
}  # fmt: skip
PULLS = {"AWS::ECR::Repository"}


class EcsWorld:
    """What a cluster, a task definition and a service are checked for, and what they start."""

    images: Any
    containers: list[Container]
    machines: dict[str, tuple[dict[str, Any], Container]]

    def task_checks(self, task: Any) -> None:
        from resources import _image, _role

        given = task.properties
        for role in ("ExecutionRoleArn", "TaskRoleArn"):
            _role(given[role])
        (container,) = given["ContainerDefinitions"]
        stored = _image(container["Image"])
        if stored is None:
            raise ValueError(f"CannotPullContainerError: {container['Image']}: not found")
        group = container["LogConfiguration"]["Options"]["awslogs-group"]
        if group not in cloudwatch_logs._log_groups:
            raise ValueError(f"the log group {group} does not exist")
        if given["RequiresCompatibilities"] == ["FARGATE"] and given["NetworkMode"] != "awsvpc":
            raise ValueError("Fargate only supports network mode awsvpc")
        task.image = (container["Image"], stored["imageDigest"])

    def job_checks(self, job: Any) -> None:
        from resources import _image, _role

        container = job.properties["ContainerProperties"]
        _role(container["JobRoleArn"])
        stored = _image(container["Image"])
        if stored is None:
            raise ValueError(f"CannotPullContainerError: {container['Image']}: not found")
        job.image = (container["Image"], stored["imageDigest"])

    def start_service(self, service: Any) -> None:
        from resources import _config_digest, _image

        given = service.properties
        task = self.task_of(given["TaskDefinition"])
        if self.get(CLUSTER, given["Cluster"]) is None:  # type: ignore[attr-defined]
            raise ValueError(f"Cluster not found: {given['Cluster']}")
        for wanted in given.get("CapacityProviderStrategy", []):
            if wanted["CapacityProvider"] not in self._providers(given["Cluster"]):
                raise ValueError("The specified capacity provider was not found.")
        for balancer in given["LoadBalancers"]:
            group = balancer["TargetGroupArn"]
            if group not in alb._tgs:
                raise ValueError(f"The target group {group} does not exist")
            if not alb._tgs[group]["LoadBalancerArns"] and not any(
                group in json.dumps(x) for x in alb._listeners.values()
            ):
                raise ValueError(f"The target group {group} has no associated load balancer")
        stored = _image(task.image[0])
        if stored is None:
            raise ValueError(f"CannotPullContainerError: {task.image[0]}: not found")
        (definition,) = task.properties["ContainerDefinitions"]
        secrets = {
            given["Name"]: secret_value(task.properties["ExecutionRoleArn"], given["ValueFrom"])
            for given in definition.get("Secrets", [])
        }
        container = self.images.run(
            _config_digest(stored), service.name, *definition.get("Command", []), secrets=secrets
        )
        self.containers.append(container)
        why_not = healthy(container, 60)
        if why_not:
            stop(container)
            raise ValueError(
                f"Resource handler returned message: ECS Deployment Circuit Breaker was triggered "
                f"({why_not})"
            )
        service.container, service.image = container, task.image
        # A count that is not said is 1 at first, and later the one that there is.
        service.count = int(given.get("DesiredCount", service.count or 1))

    def providers_are_free(self, associations: Any) -> None:
        """Refused as ECS does while a service of the cluster uses one of them."""
        given = associations.properties
        for service in self.all(SERVICE):  # type: ignore[attr-defined]
            used = [
                s["CapacityProvider"]
                for s in service.properties.get("CapacityProviderStrategy", [])
            ]
            if service.properties["Cluster"] == given["Cluster"] and set(used) & set(
                given["CapacityProviders"]
            ):
                raise ValueError("The specified capacity provider is in use and cannot be removed.")

    def _providers(self, cluster: str) -> set[str]:
        """What a cluster's services may run on."""
        made = self.get(CLUSTER, cluster)  # type: ignore[attr-defined]
        added = [a for a in self.all(PROVIDERS) if a.properties["Cluster"] == cluster]  # type: ignore[attr-defined]
        return {
            name
            for holder in (made, *added)
            if holder is not None
            for name in holder.properties.get("CapacityProviders", [])
        }

    def start_machines(self, name: str, given: dict[str, Any]) -> Container | None:
        """What a machine's own start-up script runs; None for machines behind no balancer."""
        from resources import _config_digest, _image

        if not given.get("TargetGroupARNs"):
            return None
        template = ec2._launch_templates[given["LaunchTemplate"]["LaunchTemplateId"]]
        script = _script(given)
        (line,) = [
            text for text in script.replace("\\\n", " ").splitlines() if "docker run" in text
        ]
        *words, image, command = shlex.split(line)
        secrets = {}
        for name in [words[n + 1] for n, word in enumerate(words) if word == "--env"]:
            (wanted,) = re.findall(
                rf"{name}=\"\$\(aws secretsmanager get-secret-value .*--secret-id '([^']+)'", script
            )
            secrets[name] = secret_value(_role_of(given, template), wanted)
        stored = _image(image)
        if stored is None:
            raise ValueError(f"the machines cannot pull {image}")
        container = self.images.run(_config_digest(stored), name, command, secrets=secrets)
        self.containers.append(container)
        count = 0 if healthy(container, 60) else int(given["DesiredCapacity"])
        for group in given["TargetGroupARNs"]:
            alb._targets[group] = [{"Id": f"i-{n:017x}", "Port": 8080} for n in range(count)]
        return container

    def rolled(self, stack: str, given: dict[str, Any], container: Container | None) -> None:
        """What CloudFormation waits for between the machines of a group that a stack updates: the
        reports that their start-up script makes. Raises ValueError, as a stack's update fails."""
        if container is None:
            return
        known = cloudformation._stacks[stack]
        groups = json.loads(known["_template_body"])["Resources"]
        ((logical_id, group),) = [(n, r) for n, r in groups.items() if r["Type"] == MACHINES]
        waits = group["UpdatePolicy"]["AutoScalingRollingUpdate"]["WaitOnResourceSignals"]
        if isinstance(waits, dict):
            condition, yes, no = waits["Fn::If"]
            waits = yes if known["_conditions"][condition] else no
        if not waits:
            return
        reports = f"--stack '{stack}' --resource {logical_id} --region '{get_region()}'"
        if reports not in _script(given):
            stop(container)
            raise ValueError("Failed to receive 1 resource signal(s) within the specified duration")
        if not all(alb._targets[target] for target in given["TargetGroupARNs"]):
            stop(container)
            raise ValueError(
                "Received 1 FAILURE signal(s) out of 1. Unable to satisfy 100% "
                "MinSuccessfulInstancesPercent requirement"
            )

    def task_of(self, arn: str) -> Any:
        for task in self.all(TASK):  # type: ignore[attr-defined]
            if task.arn == arn:
                return task
        raise ValueError(f"Unable to describe task definition {arn}")

    def behind(self, listener_arn: str) -> Container | None:
        """The server that a listener's requests reach."""
        listener = alb._listeners.get(listener_arn)
        if listener is None:
            return None
        groups = json.dumps(listener["DefaultActions"])
        for resource in self.made.values():  # type: ignore[attr-defined]
            for balancer in resource.properties.get("LoadBalancers", []):
                if isinstance(balancer, dict) and balancer.get("TargetGroupArn", "?") in groups:
                    found: Container | None = resource.container
                    return found
        for given, container in self.machines.values():
            if any(group in groups for group in given.get("TargetGroupARNs", [])):
                return container
        return None

    def through_balancer(
        self, method: str, url: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """A request to a load balancer's own name."""
        parts = urlsplit(url)
        for arn, balancer in alb._lbs.items():
            if balancer["DNSName"] == parts.hostname:
                for listener_arn, listener in alb._listeners.items():
                    wanted = parts.port or (443 if parts.scheme == "https" else 80)
                    if listener["LoadBalancerArn"] == arn and listener["Port"] == wanted:
                        return self.through_listener(
                            listener_arn, method, parts.path, headers, body
                        )
        return 502, {"content-type": "text/plain"}, f"no such host: {parts.hostname}".encode()

    def through_listener(
        self, listener: str, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        container = self.behind(listener)
        if container is None:
            return 503, {"content-type": "text/plain"}, b"no target"
        return passed_on(container, method, path, body, headers)


def secret_value(role_arn: str, secret: str) -> str:
    """A secret as whoever works as that role reads it: the role's own policy decides."""
    session = session_of(role_arn)
    client = botocore.session.get_session().create_client(
        "secretsmanager",
        region_name=get_region(),
        endpoint_url=f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        aws_access_key_id=session["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=session["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=session["AWS_SESSION_TOKEN"],
    )
    value: str = client.get_secret_value(SecretId=secret)["SecretString"]
    return value


def _script(given: dict[str, Any]) -> str:
    """What a group's machines run when they start."""
    template = ec2._launch_templates[given["LaunchTemplate"]["LaunchTemplateId"]]
    data = template["Versions"][-1]["LaunchTemplateData"]["UserData"]
    return base64.b64decode(data).decode()


def _role_of(group: dict[str, Any], template: dict[str, Any]) -> str:
    """The role of a group's machines."""
    profile = template["Versions"][-1]["LaunchTemplateData"]["IamInstanceProfile"]["Arn"]
    found = iam._instance_profiles[profile.rpartition("/")[2]]
    arn: str = (
        found["Roles"][0]["Arn"]
        if isinstance(found["Roles"][0], dict)
        else next(r["Arn"] for r in iam._roles.values() if r["RoleName"] == found["Roles"][0])
    )
    return arn


def open_gateways(world: Any) -> None:
    """HTTP APIs answer under the names that AWS gives them, and pass through their VPC links."""
    ministack._EXECUTE_API_RE = re.compile(r"^([a-f0-9]{8})\.execute-api\.[a-z0-9.-]+(?::\d+)?$")
    proxy = apigateway._invoke_http_proxy

    async def invoked(
        integration: dict[str, Any], path: str, method: str, headers: Any, body: bytes, query: Any
    ) -> Any:
        if integration.get("connectionType") != "VPC_LINK":
            return await proxy(integration, path, method, headers, body, query)
        link = integration.get("connectionId")
        if not any(r.name == link for r in world.all(LINK)):
            return 500, {"Content-Type": "application/json"}, b'{"message": "no such VPC link"}'
        uri = integration["integrationUri"]
        return world.through_listener(uri, method, path, dict(headers), body)

    apigateway._invoke_http_proxy = invoked


class BatchCalls:
    """The operations of AWS Batch that the product asks for; a job runs to its end at once."""

    world: Any
    endpoint = ""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}

    def _SubmitJob(self, given: dict[str, Any]) -> dict[str, Any]:
        import faults

        definition = self._definition(given["jobDefinition"])
        if self.world.get(QUEUE, given["jobQueue"]) is None:
            raise ValueError(f"no such queue: {given['jobQueue']}")
        job = str(uuid.uuid4())
        container = definition.properties["ContainerProperties"]
        values = definition.properties["Parameters"] | given.get("parameters", {})
        command = [
            values[w.removeprefix("Ref::")] if w.startswith("Ref::") else w
            for w in container["Command"]
        ]
        fault = faults.FAULTS.take("job")
        stream = f"mda/default/{uuid.uuid4().hex}"
        out: dict[str, Any] = {"logStreamName": stream}
        if fault:
            code, out["reason"] = 1, fault.message
        else:
            keys = {
                "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_ENDPOINT_URL": self.endpoint, "AWS_DEFAULT_REGION": get_region(),
            }  # fmt: skip
            code, lines = self.world.images.run_once(definition.image[1], command, keys)
            streams = cloudwatch_logs._log_groups[
                container["LogConfiguration"]["Options"]["awslogs-group"]
            ]["streams"]
            streams[stream] = log_stream(lines)
        self.jobs[job] = {
            "jobName": given["jobName"], "jobId": job, "jobQueue": given["jobQueue"],
            "status": "FAILED" if code else "SUCCEEDED", "startedAt": 1,
            "statusReason": "Essential container in task exited",
            "jobDefinition": given["jobDefinition"], "container": out,
        }  # fmt: skip
        return {"jobName": given["jobName"], "jobId": job}

    def _DescribeJobs(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"jobs": [self.jobs[j] for j in given["jobs"] if j in self.jobs]}

    def _ListJobs(self, given: dict[str, Any]) -> dict[str, Any]:
        wanted = [n for f in given.get("filters", []) for n in f["values"]]
        return {"jobSummaryList": [
            {k: job[k] for k in ("jobId", "jobName", "status")}
            for job in self.jobs.values() if job["jobName"] in wanted
        ]}  # fmt: skip

    def _DescribeJobQueues(self, given: dict[str, Any]) -> dict[str, Any]:
        found = [q for n in given["jobQueues"] if (q := self.world.get(QUEUE, n))]
        return {"jobQueues": [
            {"jobQueueName": q.name, "jobQueueArn": q.arn, "state": "ENABLED", "status": "VALID",
             "priority": 1, "computeEnvironmentOrder": []} for q in found
        ]}  # fmt: skip

    def _DescribeComputeEnvironments(self, given: dict[str, Any]) -> dict[str, Any]:
        found = [e for n in given["computeEnvironments"] if (e := self.world.get(COMPUTE, n))]
        return {"computeEnvironments": [
            {"computeEnvironmentName": e.name, "computeEnvironmentArn": e.arn, "state": "ENABLED",
             "status": "VALID"} for e in found
        ]}  # fmt: skip

    def _DescribeJobDefinitions(self, given: dict[str, Any]) -> dict[str, Any]:
        found = [d for d in self.world.all(JOB) if d.name == given["jobDefinitionName"]]
        return {"jobDefinitions": [
            {"jobDefinitionName": d.name, "jobDefinitionArn": d.arn, "revision": 1,
             "type": "container", "status": "ACTIVE"} for d in found
        ]}  # fmt: skip

    def _definition(self, name: str) -> Any:
        found = self.world.get(JOB, name)
        if found is None:
            raise ValueError(f"no such job definition: {name}")
        return found


def log_stream(lines: list[str]) -> dict[str, Any]:
    """A log stream that MiniStack reads back."""
    now = int(time.time() * 1000)
    return {
        "events": [{"timestamp": now, "message": text, "ingestionTime": now} for text in lines],
        "uploadSequenceToken": "1", "creationTime": now, "firstEventTimestamp": now,
        "lastEventTimestamp": now, "lastIngestionTime": now,
    }  # fmt: skip


class EcsCalls(BatchCalls):
    """The operations of ECS and the one of VPC links that the product asks for."""

    world: Any
    endpoint = ""

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, str] = {}  # of the requests that began the tasks
        self.commands: dict[str, dict[str, Any]] = {}

    def _DescribeClusters(self, given: dict[str, Any]) -> dict[str, Any]:
        found = [self.world.get(CLUSTER, name) for name in given["clusters"]]
        return {"clusters": [
            {"clusterName": c.name, "clusterArn": c.arn, "status": "ACTIVE"} for c in found if c
        ]}  # fmt: skip

    def _DescribeServices(self, given: dict[str, Any]) -> dict[str, Any]:
        found = [self.world.get(SERVICE, name) for name in given["services"]]
        return {"services": [self._service(s) for s in found if s], "failures": []}

    def _service(self, service: Any) -> dict[str, Any]:
        properties = service.properties
        network = properties["NetworkConfiguration"]["AwsvpcConfiguration"]
        alive = service.container is not None and service.container.process.poll() is None
        return {
            "serviceName": service.name, "serviceArn": service.arn, "status": "ACTIVE",
            "runningCount": service.count if alive else 0,
            "desiredCount": service.count,
            "taskDefinition": properties["TaskDefinition"],
            **({"launchType": properties["LaunchType"]} if "LaunchType" in properties else {}),
            "capacityProviderStrategy": [
                {"capacityProvider": s["CapacityProvider"], "weight": s["Weight"]}
                for s in properties.get("CapacityProviderStrategy", [])
            ],
            "networkConfiguration": {"awsvpcConfiguration": {
                "subnets": network["Subnets"], "securityGroups": network["SecurityGroups"],
                "assignPublicIp": network["AssignPublicIp"],
            }},
            "events": [{"id": "1", "createdAt": datetime.now(UTC), "message": "a task ended"}],
        }  # fmt: skip

    def _ListTasks(self, given: dict[str, Any]) -> dict[str, Any]:
        if self.world.get(CLUSTER, given["cluster"]) is None:
            from services import ServiceError

            raise ServiceError("ClusterNotFoundException", "Cluster not found.")
        if "startedBy" in given:
            return {"taskArns": [
                arn for arn, task in self.tasks.items()
                if task["startedBy"] == given["startedBy"] and task["lastStatus"] != "STOPPED"
            ]}  # fmt: skip
        service = self.world.get(SERVICE, given["serviceName"])
        return {"taskArns": [self._arn_of(given["cluster"], "service")] if service else []}

    def _DescribeTasks(self, given: dict[str, Any]) -> dict[str, Any]:
        tasks = []
        for arn in given["tasks"]:
            if arn in self.tasks:
                tasks.append(self.tasks[arn])
                continue
            (service,) = [s for s in self.world.all(SERVICE) if s.properties["Cluster"] in arn]
            tasks.append({
                "taskArn": arn, "lastStatus": "RUNNING",
                "taskDefinitionArn": service.properties["TaskDefinition"],
                "containers": [{"name": "model", "image": service.image[0],
                                "imageDigest": service.image[1]}],
            })  # fmt: skip
        return {"tasks": tasks}

    def _RunTask(self, given: dict[str, Any]) -> dict[str, Any]:
        token = given.get("clientToken", "")
        if token in self.tokens:  # the same request once more
            return {"tasks": [dict(self.tasks[self.tokens[token]])], "failures": []}
        definition = self.world.task_of(given["taskDefinition"])
        arn = self._arn_of(given["cluster"], uuid.uuid4().hex)
        (override,) = given["overrides"]["containerOverrides"]
        task = {
            "taskArn": arn, "taskDefinitionArn": definition.arn, "lastStatus": "PROVISIONING",
            "startedBy": given.get("startedBy", ""), "containers": [{"name": "model"}],
        }  # fmt: skip
        self.tasks[arn] = task
        if token:
            self.tokens[token] = arn
        group = definition.properties["ContainerDefinitions"][0]["LogConfiguration"]["Options"][
            "awslogs-group"
        ]
        streams = cloudwatch_logs._log_groups[group]["streams"]
        runner = threading.Thread(
            target=self._run, args=(task, definition, override, streams), daemon=True
        )
        runner.start()
        return {"tasks": [dict(task)], "failures": []}

    def _run(self, task: dict[str, Any], definition: Any, override: Any, streams: Any) -> None:
        import faults

        fault = faults.FAULTS.take("task")
        lines: list[str] = []
        if fault:
            task["stoppedReason"] = fault.message
        else:
            environment = {e["name"]: e["value"] for e in override["environment"]}
            code, lines = self.world.images.run_once(
                definition.image[1], override["command"],
                environment | {"http_proxy": self.endpoint, "no_proxy": ""},
            )  # fmt: skip
            task["containers"][0]["exitCode"] = code
            task["stoppedReason"] = "Essential container in task exited"
        if lines:
            streams[f"mda/model/{task['taskArn'].rpartition('/')[2]}"] = log_stream(lines)
        task["lastStatus"] = "STOPPED"

    def _SendCommand(self, given: dict[str, Any]) -> dict[str, Any]:
        """Runs to its end at once: `docker run … IMAGE ask URL`."""
        from resources import _image

        (script,) = given["Parameters"]["commands"]
        words = shlex.split(script)
        variables = dict(w[6:].split("=", 1) for w in words if w.startswith("--env="))
        image = next(w for w in words if ".dkr.ecr." in w)
        command = words[words.index(image) + 1 :]
        stored = _image(image)
        assert stored is not None
        code, lines = self.world.images.run_once(
            stored["imageDigest"], command, variables | {"http_proxy": self.endpoint}
        )
        number = str(uuid.uuid4())
        self.commands[number] = {
            "CommandId": number, "InstanceId": given["InstanceIds"][0],
            "Status": "Failed" if code else "Success", "StatusDetails": f"exit code {code}",
            "StandardOutputContent": "\n".join(lines), "StandardErrorContent": "",
        }  # fmt: skip
        return {"Command": {"CommandId": number}}

    def _GetCommandInvocation(self, given: dict[str, Any]) -> dict[str, Any]:
        return self.commands[given["CommandId"]]

    def _StopTask(self, given: dict[str, Any]) -> dict[str, Any]:
        task = self.tasks[given["task"]]
        task["lastStatus"] = "STOPPED"
        return {"task": task}

    def _GetVpcLinks(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"Items": [
            {"Name": r.properties["Name"], "VpcLinkId": r.name, "SecurityGroupIds": [],
             "SubnetIds": r.properties["SubnetIds"]}
            for r in self.world.all(LINK)
        ]}  # fmt: skip

    def _arn_of(self, cluster: str, name: str) -> str:
        return f"arn:aws:ecs:{get_region()}:{get_account_id()}:task/{cluster}/{name}"
