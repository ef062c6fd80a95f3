"""Functions that run: MiniStack keeps Lambda's state and doors, and the "image" of a function is the
unpacked bundle, started with its own ENTRYPOINT and CMD against a Runtime API on the loopback.

Checked here besides, because MiniStack leaves it out: that image, role and log group are there, what
digest an image resolves to, reservations, and releases through CodeDeploy, which look at alarms.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from containers import Container, entrypoint
from ministack.core.responses import get_account_id, get_region
from ministack.services import cloudformation, cloudwatch, cloudwatch_logs, lambda_svc

sys.path.append(str(Path(__file__).resolve().parents[4]))
from benchmarks.lambda_runtime import Environment

FUNCTION = "AWS::Lambda::Function"
ALIAS = "AWS::Lambda::Alias"
APPLICATION = "AWS::CodeDeploy::Application"
GROUP = "AWS::CodeDeploy::DeploymentGroup"
OPERATIONS = ServiceModel(Loader().load_service_model("lambda", "service-2"))
LEFT_UNRESERVED = 100
DIMENSION = "lambda:function:ProvisionedConcurrency"


class FunctionWorld:
    """Execution environments, by function and version; and the checks."""

    images: Any
    containers: list[Container]

    def open_functions(self) -> None:
        """Put our way of running images in the place of MiniStack's, which needs a Docker engine."""
        self.environments: dict[tuple[str, str], Environment] = {}
        self.pulled: dict[str, tuple[str, str]] = {}  # config and manifest digest, by image
        lambda_svc._execute_function_docker = self._execute
        get_function = lambda_svc._get_function

        def found(name: str, qualifier: str | None = None) -> Any:
            status, headers, body = get_function(name, qualifier)
            answer = json.loads(body)
            if status == 200 and "ImageUri" in answer["Code"]:
                image = answer["Code"]["ImageUri"]
                resolved = f"{image.rpartition(':')[0]}@{self.pulled[image][1]}"
                answer["Code"]["ResolvedImageUri"] = resolved
            return status, headers, json.dumps(answer).encode()

        lambda_svc._get_function = found

    def function_made(self, properties: dict[str, Any]) -> None:
        """What Lambda looks at when a function is made or gets new code."""
        from resources import DOCKER_MANIFEST, _config_digest, _image, _role

        _role(properties["Role"])
        image = properties["Code"]["ImageUri"]
        stored = _image(image)
        if stored is None:
            raise ValueError(f"Source image {image} does not exist. Provide a valid source image.")
        if stored["imageManifestMediaType"] != DOCKER_MANIFEST:
            raise ValueError("The image manifest, config or layer media type is not supported.")
        self.pulled[image] = (_config_digest(stored), stored["imageDigest"])
        group = properties["LoggingConfig"]["LogGroup"]
        if group not in cloudwatch_logs._log_groups:
            raise ValueError(f"the log group {group} does not exist")

    def function_kept(self, name: str, properties: dict[str, Any]) -> None:
        """CloudFormation waits until the function is active, and sets its reservation; MiniStack's
        does neither."""
        function = lambda_svc._functions[name]
        function["config"] |= {"State": "Active", "LastUpdateStatus": "Successful"}
        wanted = properties.get("ReservedConcurrentExecutions")
        others = sum(f["concurrency"] or 0 for n, f in lambda_svc._functions.items() if n != name)
        limit = json.loads(lambda_svc._get_account_settings()[2])["AccountLimit"]
        if wanted and int(wanted) > limit["ConcurrentExecutions"] - others - LEFT_UNRESERVED:
            raise ValueError(
                "Specified ReservedConcurrentExecutions for function decreases account's "
                f"UnreservedConcurrentExecution below its minimum value of [{LEFT_UNRESERVED}]."
            )
        function["concurrency"] = int(wanted) if wanted else None

    def released(self, physical: str, new: dict[str, Any], stack: str) -> None:
        """An alias that moves on is moved by CodeDeploy, which stops where an alarm rings."""
        name = new["FunctionName"].rpartition(":")[2]
        current = lambda_svc._functions[name]["aliases"][new["Name"]]["FunctionVersion"]
        if current == str(new["FunctionVersion"]):
            return
        template = json.loads(cloudformation._stacks[stack]["_template_body"])
        (alias,) = [r for r in template["Resources"].values() if r["Type"] == ALIAS]
        if "CodeDeployLambdaAliasUpdate" not in alias.get("UpdatePolicy", {}):
            return
        group = self.get(GROUP, name)  # type: ignore[attr-defined]
        if group is None or self.get(APPLICATION, name) is None:  # type: ignore[attr-defined]
            raise ValueError(f"No deployment group {name}")
        for alarm in group.properties["AlarmConfiguration"]["Alarms"]:
            if alarm["Name"] not in cloudwatch._alarms:
                raise ValueError(f"Could not find alarm {alarm['Name']}.")
            if cloudwatch._alarms[alarm["Name"]]["StateValue"] == "ALARM":
                raise ValueError(
                    "CodeDeploy deployment d-EMULATOR1 stopped and rolled back: one or more alarms "
                    f"have been activated according to the Amazon CloudWatch metrics: {alarm['Name']}"
                )

    def ready_checks(self, given: dict[str, Any]) -> None:
        """A scalable target of instances kept ready."""
        word, name, alias = given["ResourceId"].split(":")
        if (word, given["ScalableDimension"]) != ("function", DIMENSION):
            raise ValueError(f"Unsupported resource type or scalable dimension: {given}")
        if alias not in lambda_svc._functions.get(name, {"aliases": {}})["aliases"]:
            raise ValueError(f"Function not found: {given['ResourceId']}")
        if len(given.get("ScheduledActions", [])) > 200:
            raise ValueError("a scalable target takes 200 scheduled actions")

    def forget_environments(self, name: str = "") -> None:
        """Stop those of a function, or all."""
        for key in [k for k in self.environments if not name or k[0] == name]:
            self.environments.pop(key).stop()

    def _execute(self, func: dict[str, Any], event: dict[str, Any], request: str) -> dict[str, Any]:
        """One invocation, as MiniStack's own executors answer it."""
        config = func.get("config") or func
        key = (config["FunctionName"], str(config["Version"]))
        environment = self.environments.get(key)
        if environment is None or environment.process.poll() is not None:
            environment = self.environments[key] = self._start(config)
        well, answer = environment.invoke(event, float(config["Timeout"]))
        return {"body": answer} if well else {"body": answer, "error": True}

    def _start(self, config: dict[str, Any]) -> Environment:
        root = self.images.path(self.pulled[config["ImageUri"]][0])
        command = [*entrypoint(root / "Dockerfile"), *_command(root / "Dockerfile")]
        if command[0] != "python":
            raise ValueError(f"the image starts {command[0]!r}, which only its own base image has")
        log = self.images.directory / f"{config['FunctionName']}-{config['Version']}.log"
        environment = Environment(
            [self.images.python, *command[1:]], root, log, config["FunctionArn"]
        )
        self.containers.append(Container(environment.process, environment.port, log))
        return environment


def operation_in(method: str, path: str) -> str:
    """Lambda's name for a REST call, "" when it is none."""
    for pattern, verb, name in _ROUTES:
        if verb == method and pattern.fullmatch(path.rstrip("/")):
            return name
    return ""


def codedeploy_application(world: Any, name: str) -> dict[str, Any]:
    """The answer of GetApplication. Raises ServiceError when there is none."""
    from services import ServiceError

    if world.get(APPLICATION, name) is None:
        said = f"No application found for name: {name}"
        raise ServiceError("ApplicationDoesNotExistException", said)
    return {"application": {"applicationName": name, "computePlatform": "Lambda"}}


def arn_of(service: str, kind: str, name: str) -> str:
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{kind}:{name}"


def _command(dockerfile: Path) -> list[str]:
    (line,) = re.findall(r"(?m)^CMD (\[.*\])$", dockerfile.read_text(encoding="utf-8"))
    found: list[str] = json.loads(line)
    return found


def _routes() -> list[tuple[re.Pattern[str], str, str]]:
    routes = []
    for name in OPERATIONS.operation_names:
        http = OPERATIONS.operation_model(name).http
        path = http["requestUri"].partition("?")[0].rstrip("/")
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path))
        routes.append((re.compile(pattern), http["method"], name))
    return routes


_ROUTES = _routes()
