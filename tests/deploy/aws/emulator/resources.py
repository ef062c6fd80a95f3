"""CloudFormation resource types that MiniStack lacks, and a check of the properties of all."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from clusters import CLUSTER as KUBERNETES
from clusters import NODES, ClusterWorld
from containers import Container, Images, healthy, stop
from ecs import JOB, MACHINES, OWN, PROVIDERS, SERVICE, TASK, EcsWorld, open_gateways
from faults import FAULTS
from functions import ALIAS, FUNCTION, FunctionWorld
from ministack.core.responses import (
    AccountRegionScopedDict,
    get_account_id,
    get_region,
    set_request_account_id,
    set_request_region,
)
from ministack.services import alb, cloudformation, cloudwatch, ecr, iam, s3, tagging
from ministack.services.cloudformation import (
    changesets,
    engine,
    handlers,
    provisioners,
    stacks,
)
from sagemaker_rules import scaling_checks, serverless_checks
from schema import Schema

ENDPOINT = "AWS::SageMaker::Endpoint"
CONFIG = "AWS::SageMaker::EndpointConfig"
MODEL = "AWS::SageMaker::Model"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
BUCKET = "AWS::S3::Bucket"
SECRET = "AWS::SecretsManager::Secret"
ROLLING = ("CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
INSTANCE_TYPES = (
    ServiceModel(Loader().load_service_model("sagemaker", "service-2"))
    .shape_for("ProductionVariantInstanceType")
    .enum
)
PREFIX = {ENDPOINT: "endpoint", CONFIG: "endpoint-config", MODEL: "model"}
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
TAGS = "Tags"


@dataclass
class Resource:
    """One made resource: its type, its properties as sent, and when."""

    type: str
    name: str
    arn: str
    properties: dict[str, Any]
    created_at: float = field(default_factory=time.time)
    changed_at: float = field(default_factory=time.time)
    container: Container | None = None
    image: tuple[str, str] = ("", "")  # as specified, as resolved
    count: int = 0  # of a service's tasks


class World(EcsWorld, FunctionWorld, ClusterWorld):
    """Everything that the added types have made, by type and name, in each account and region."""

    def __init__(self, images: Images, schemas: dict[str, dict[str, Any]]) -> None:
        self.images = images
        self.made: Any = AccountRegionScopedDict()
        self.containers: list[Container] = []
        self.machines = {}
        self.names: dict[str, str] = {}  # what a domain's CNAME points to
        self.doomed: set[str] = set()  # stacks that are deleted while they are created
        self._before: dict[str, Callable[[Resource], None]] = {
            MODEL: self._model,
            CONFIG: self._config,
            ENDPOINT: self._endpoint,
            TARGET: self._scalable_target,
            POLICY: self._scaling_policy,
            TASK: self.task_checks,
            SERVICE: self.start_service,
            JOB: self.job_checks,
        }
        for document in schemas.values():
            schema = Schema(document)
            known = provisioners._RESOURCE_HANDLERS.get(schema.type)
            known = None if schema.type in OWN else known
            known = _by_arn(known) if known and schema.type == SECRET else known
            verbs = self._checked(schema, known) if known else self._added(schema)
            if schema.type.startswith("AWS::Lambda::"):  # its previews know only the function's
                replacing = tuple(schema.create_only)
                provisioners._REPLACING_PROPERTIES.setdefault(schema.type, replacing)
            provisioners._RESOURCE_HANDLERS[schema.type] = verbs
        open_gateways(self)
        self.open_functions()
        _preview_conditions()
        _delete_after_create(self)
        blocks = stacks._runs_on_worker_thread
        stacks._runs_on_worker_thread = lambda kind: (
            kind in (ENDPOINT, SERVICE, MACHINES) or blocks(kind)
        )
        for service in ("sagemaker", "application-autoscaling", "ecs", "batch", "codedeploy"):
            tagging._COLLECTORS[service] = lambda s=service: self._tagged(s)

    def get(self, kind: str, name: str) -> Resource | None:
        found: Resource | None = self.made.get(f"{kind}|{name}")
        return found

    def all(self, kind: str) -> list[Resource]:
        return [r for r in self.made.values() if r.type == kind]

    def forget(self, region: str, kind: str, name: str) -> None:
        """Delete a resource as somebody would who does not go through CloudFormation."""
        set_request_account_id("test")
        set_request_region(region)
        resource = self.made.pop(f"{kind}|{name}")
        if resource.container:
            stop(resource.container)

    def reset(self) -> None:
        """Stop what runs and forget what was made."""
        self.forget_environments()
        for container in self.containers:
            stop(container)
        self.containers.clear()
        self.machines.clear()
        self.doomed.clear()
        self.made.clear()

    def _checked(self, schema: Schema, known: dict[str, Any]) -> dict[str, Any]:
        """MiniStack's own handlers, behind the schema check that it leaves out."""

        def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
            _strike("create", schema.type)
            given = schema.checked(_without_system_tags(properties))
            if schema.type == FUNCTION:
                self.function_made(given)
            if schema.type == NODES:
                self.nodes_checks(given)
            physical, attributes = known["create"](logical_id, _one_metric(properties), stack)
            if schema.type == MACHINES:
                self._restart(physical, properties)
            if schema.type == FUNCTION:
                self.function_kept(physical, given)
            if schema.type == KUBERNETES:
                self.cluster_made(physical, given)
            return physical, attributes | _corrected(schema, physical, properties)

        @wraps(known.get("update") or known["create"])  # MiniStack looks at what it takes
        def update(physical: str, old: Any, new: dict[str, Any], *arguments: Any) -> Any:
            _strike("update", schema.type)
            if schema.type == FUNCTION:
                self.function_made(schema.checked(_without_system_tags(new)))
            if schema.type == ALIAS:
                self.released(physical, new, arguments[0])
            out = known["update"](physical, _one_metric(old), _one_metric(new), *arguments)
            if schema.type == MACHINES and _but_tags(schema, old) != _but_tags(schema, new):
                self._restart(physical, new, arguments[0])
            if schema.type == FUNCTION:
                self.function_kept(physical, new)
            if isinstance(out, tuple):  # physical id and attributes
                return out[0], (out[1] or {}) | _corrected(schema, out[0], new)
            return out

        def delete(physical: str, *arguments: Any) -> Any:
            _strike("delete", schema.type)
            if schema.type == KUBERNETES:
                self.cluster_gone(physical)
            if physical in self.machines:
                stop(self.machines.pop(physical)[1])
            if schema.type == FUNCTION:
                self.forget_environments(physical)
            if schema.type == BUCKET and s3._buckets[physical]["objects"]:
                raise ValueError("The bucket you tried to delete is not empty")
            return known["delete"](physical, *arguments)

        changed = {"update": update} if known.get("update") else {}
        return {**known, "create": create, "delete": delete, **changed}

    def _restart(self, name: str, properties: dict[str, Any], updates: str = "") -> None:
        """The machines of a group again, from its launch template as it is now; rolling through the
        old ones where the stack that is named updates."""
        kept = {group: alb._targets.get(group) for group in properties.get("TargetGroupARNs", [])}
        container = self.start_machines(name, properties)
        if updates:
            try:
                self.rolled(updates, properties, container)
            except ValueError:
                alb._targets.update(kept)  # the old machines were never taken away
                raise
        if name in self.machines:
            stop(self.machines.pop(name)[1])
        if container:
            self.machines[name] = (properties, container)

    def _added(self, schema: Schema) -> dict[str, Any]:
        provisioners._REPLACING_PROPERTIES[schema.type] = tuple(schema.create_only)
        if schema.tag_property:
            shape = "map" if schema.tags_are_a_map else "list"
            provisioners._STACK_TAG_PROPERTY[schema.type] = (schema.tag_property, shape)

        def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
            _strike("create", schema.type)
            given = schema.checked(_without_system_tags(properties))
            resource = self._new(schema, logical_id, given, stack)
            key = f"{schema.type}|{resource.name}"
            if key in self.made:
                raise ValueError(f"{resource.name} already exists")
            self._before.get(schema.type, lambda _: None)(resource)
            if stack in self.doomed:
                if resource.container:
                    stop(resource.container)
                raise ValueError("Resource creation cancelled")
            self.made[key] = resource
            return _reference(schema, resource), _attributes(schema, resource)

        def update(physical: str, old: dict[str, Any], new: dict[str, Any], stack: str) -> Any:
            _strike("update", schema.type)
            given = schema.checked(_without_system_tags(new))
            schema.check_parts(schema.checked(_without_system_tags(old)), given)
            resource = self._by_reference(schema, physical)
            changed = Resource(
                resource.type, resource.name, resource.arn, given, resource.created_at,
                count=resource.count,
            )  # fmt: skip
            if _but_tags(schema, given) == _but_tags(schema, resource.properties):
                changed.container, changed.image = resource.container, resource.image
            else:
                self._before.get(schema.type, lambda _: None)(changed)
                if resource.container:
                    stop(resource.container)
            self.made[f"{schema.type}|{resource.name}"] = changed
            return physical, _attributes(schema, changed)

        def delete(physical: str, properties: dict[str, Any]) -> None:
            _strike("delete", schema.type)
            resource = self._by_reference(schema, physical)
            if schema.type == PROVIDERS:
                self.providers_are_free(resource)
            if resource.container:
                stop(resource.container)
            del self.made[f"{schema.type}|{resource.name}"]

        return {"create": create, "update": update, "delete": delete}

    def _new(self, schema: Schema, logical_id: str, given: dict[str, Any], stack: str) -> Resource:
        short = schema.type.rpartition("::")[2]
        name = given.get(f"{short}Name") or given.get("Name")
        if schema.type in (TARGET, POLICY):
            name = "|".join(
                str(given[p])
                for p in ("PolicyName", "ResourceId", "ScalableDimension")
                if p in given
            )
        name = name or f"{stack}-{logical_id}-{uuid.uuid4().hex[:12]}"
        service = schema.type.split("::")[1].lower()
        path = f"{PREFIX.get(schema.type, short.lower())}/{name}"
        if schema.type in (TARGET, POLICY):
            service, path = "application-autoscaling", f"scalable-target/{uuid.uuid4().hex[:24]}"
        arn = f"arn:aws:{service}:{get_region()}:{get_account_id()}:{path}"
        return Resource(schema.type, name, arn, given)

    def _by_reference(self, schema: Schema, physical: str) -> Resource:
        for resource in self.all(schema.type):
            if _reference(schema, resource) == physical:
                return resource
        raise ValueError(f"{schema.type} {physical} does not exist")

    def _model(self, model: Resource) -> None:
        _role(model.properties["ExecutionRoleArn"])
        image = model.properties["PrimaryContainer"]["Image"]
        stored = _image(image)
        if stored is None:
            raise ValueError(f"Requested image {image} not found.")
        if stored["imageManifestMediaType"] != DOCKER_MANIFEST:
            raise ValueError(
                f"Unsupported manifest media type {stored['imageManifestMediaType']} for image {image}"
            )
        repository = (
            image.split("@")[0].rpartition(":")[0] if "@" not in image else image.split("@")[0]
        )
        model.image = (image, f"{repository}@{stored['imageDigest']}")

    def _config(self, config: Resource) -> None:
        for variant in config.properties["ProductionVariants"]:
            model = self.get(MODEL, variant["ModelName"])
            if "ServerlessConfig" in variant:
                serverless_checks(variant["ServerlessConfig"], model and model.properties)
            elif variant["InstanceType"] not in INSTANCE_TYPES:
                raise ValueError(
                    f"Value '{variant['InstanceType']}' failed to satisfy enum value set"
                )
            if model is None:
                raise ValueError(f'Could not find model "{variant["ModelName"]}".')

    def _endpoint(self, endpoint: Resource) -> None:
        config = self.get(CONFIG, endpoint.properties["EndpointConfigName"])
        if config is None:
            raise ValueError("Could not find the endpoint configuration.")
        rollback = endpoint.properties.get("DeploymentConfig", {}).get(
            "AutoRollbackConfiguration", {}
        )
        for alarm in rollback.get("Alarms", []):
            if alarm["AlarmName"] not in cloudwatch._alarms:
                raise ValueError(f"Could not find alarm {alarm['AlarmName']}.")
        variant = config.properties["ProductionVariants"][0]
        model = self.get(MODEL, variant["ModelName"])
        assert model is not None
        stored = _image(model.image[0])
        if stored is None:
            raise ValueError(f"Requested image {model.image[0]} not found.")
        container = self.images.run(_config_digest(stored), endpoint.name, "serve")
        self.containers.append(container)
        limit = variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 60)
        why_not = healthy(container, min(limit, 60))
        if why_not:
            stop(container)
            raise ValueError(
                f"The primary container for production variant {variant['VariantName']} did not pass "
                f"the ping health check. Please check CloudWatch logs for this endpoint. ({why_not})"
            )
        endpoint.container, endpoint.image = container, model.image

    def _scalable_target(self, target: Resource) -> None:
        given = target.properties
        if given["ServiceNamespace"] == "lambda":
            self.ready_checks(given)
            return
        if given["ServiceNamespace"] == "ecs":
            word, _, service = given["ResourceId"].split("/")
            if (word, given["ScalableDimension"]) != ("service", "ecs:service:DesiredCount"):
                raise ValueError(f"Unsupported resource type or scalable dimension: {given}")
            if self.get(SERVICE, service) is None:
                raise ValueError(f"ECS service doesn't exist: {given['ResourceId']}")
            return
        if given["ServiceNamespace"] != "sagemaker":
            raise ValueError(
                f"Unsupported service namespace, resource type or scalable dimension: {given}"
            )
        kind, name, word, variant = given["ResourceId"].split("/")
        endpoint = self.get(ENDPOINT, name)
        if (kind, word) != ("endpoint", "variant") or endpoint is None:
            raise ValueError(f"Could not find endpoint {name}")
        config = self.get(CONFIG, endpoint.properties["EndpointConfigName"])
        assert config is not None
        found = [v for v in config.properties["ProductionVariants"] if v["VariantName"] == variant]
        if not found:
            raise ValueError(f"Could not find variant {variant}")
        scaling_checks(given, found[0], "AsyncInferenceConfig" in config.properties)
        if given["MinCapacity"] > given["MaxCapacity"]:
            raise ValueError("Maximum capacity cannot be less than minimum capacity")

    def _scaling_policy(self, policy: Resource) -> None:
        wanted = policy.properties.get("ResourceId")
        tracking = policy.properties.get("TargetTrackingScalingPolicyConfiguration", {})
        metric = tracking.get("PredefinedMetricSpecification", {})
        label = metric.get("ResourceLabel", "app/targetgroup/")
        if "targetgroup/" not in label or not label.startswith("app/"):
            raise ValueError(f"Invalid resource label: {label}")
        if not any(t.properties["ResourceId"] == wanted for t in self.all(TARGET)):
            raise ValueError(f"No scalable target registered for resource ID: {wanted}")

    def _tagged(self, service: str) -> Any:
        for resource in self.made.values():
            if f":{service}:" in resource.arn:
                tags = resource.properties.get(TAGS, [])
            listed = (
                [{"Key": k, "Value": v} for k, v in tags.items()]
                if isinstance(tags, dict)
                else tags
            )
            yield resource.arn, listed


def _delete_after_create(world: World) -> None:
    """MiniStack deletes beside a create that still runs; CloudFormation cancels that first."""
    delete = handlers._delete_stack_async

    async def deleted(name: str, *arguments: Any, **more: Any) -> None:
        world.doomed.add(name)
        while cloudformation._stacks[name]["StackStatus"] in ROLLING:
            await asyncio.sleep(0.01)
        world.doomed.discard(name)
        await delete(name, *arguments, **more)

    handlers._delete_stack_async = deleted


def _preview_conditions() -> None:
    """MiniStack previews resources whose condition does not hold; CloudFormation does not."""
    resolve = changesets._resolve_props_for_diff

    def resolved(template: dict[str, Any], parameters: Any, name: str, stack_id: str) -> Any:
        out = resolve(template, parameters, name, stack_id)
        holds = engine._evaluate_conditions(template, parameters) if template else {}
        kept = {
            logical_id: resource
            for logical_id, resource in out.get("Resources", {}).items()
            if holds.get(resource.get("Condition"), True)
        }
        return out | {"Resources": kept}

    changesets._resolve_props_for_diff = resolved


def _but_tags(schema: Schema, properties: dict[str, Any]) -> dict[str, Any]:
    """What a change of tags alone leaves as it is, and with it what runs."""
    return {k: v for k, v in properties.items() if k not in (TAGS, schema.tag_property)}


def _strike(verb: str, kind: str) -> None:
    fault = FAULTS.take(f"{verb} {kind}")
    if fault:
        raise ValueError(fault.message)


def _reference(schema: Schema, resource: Resource) -> str:
    """What Ref gives: the primary identifier, parts joined by a bar."""
    parts = [
        resource.arn if p.endswith("Arn") else str(resource.properties.get(p, resource.name))
        for p in schema.identifier
    ]
    return "|".join(parts)


def _attributes(schema: Schema, resource: Resource) -> dict[str, str]:
    """What Fn::GetAtt gives: the read-only properties, and the name that AWS adds to them."""
    short = schema.type.rpartition("::")[2]
    named = {f"{short}Name": resource.name, "Arn": resource.arn, f"{short}Arn": resource.arn}
    return {
        p: resource.arn if p.endswith("Arn") else resource.name for p in schema.read_only
    } | named


def _corrected(schema: Schema, physical: str, properties: dict[str, Any]) -> dict[str, str]:
    """Attributes that MiniStack leaves out or gives in another form than AWS."""
    if schema.type == "AWS::EC2::Route":
        return {"CidrBlock": properties["DestinationCidrBlock"]}
    if schema.type == "AWS::ElasticLoadBalancingV2::TargetGroup":
        return {"TargetGroupFullName": physical.rpartition(":")[2]}
    return {}


def _by_arn(known: dict[str, Any]) -> dict[str, Any]:
    """Ref gives a secret's ARN, of which policies are made; MiniStack gives its name."""

    def name_of(arn: str) -> str:
        return arn.rpartition(":")[2].rpartition("-")[0]

    def create(*given: Any) -> Any:
        _, attributes = known["create"](*given)
        return attributes["Id"], attributes

    @wraps(known["update"])
    def update(physical: str, *given: Any) -> Any:
        known["update"](name_of(physical), *given)
        return physical, {"Id": physical, "Arn": physical}

    def delete(physical: str, *given: Any) -> Any:
        return known["delete"](name_of(physical), *given)

    return {**known, "create": create, "update": update, "delete": delete}


def _one_metric(properties: dict[str, Any]) -> dict[str, Any]:
    """MiniStack keeps no metric math: of an alarm on several metrics it gets the first."""
    if "Metrics" not in properties or "AlarmName" not in properties:
        return properties
    first = next(m["MetricStat"] for m in properties["Metrics"] if "MetricStat" in m)
    return {k: v for k, v in properties.items() if k != "Metrics"} | {
        "Namespace": first["Metric"]["Namespace"], "MetricName": first["Metric"]["MetricName"],
        "Dimensions": first["Metric"]["Dimensions"], "Statistic": first["Stat"],
        "Period": first["Period"],
    }  # fmt: skip


def _without_system_tags(properties: dict[str, Any]) -> dict[str, Any]:
    tags = properties.get(TAGS)
    if not isinstance(tags, list):
        return properties
    return properties | {TAGS: [t for t in tags if not str(t.get("Key", "")).startswith("aws:")]}


def _role(arn: str) -> None:
    if arn.rpartition("/")[2] not in iam._roles:
        raise ValueError(f"Could not assume role {arn}.")


def _image(reference: str) -> dict[str, Any] | None:
    """An image of this account's registry by tag or digest."""
    _, _, path = reference.partition("/")
    if "@" in path:
        name, _, digest = path.partition("@")
        wanted = {"imageDigest": digest}
    else:
        name, _, tag = path.rpartition(":")
        wanted = {"imageTag": tag}
    if name not in ecr._repositories:
        return None
    found: dict[str, Any] | None = ecr._find_image(name, wanted)
    return found


def _config_digest(stored: dict[str, Any]) -> str:
    digest: str = json.loads(stored["imageManifest"])["config"]["digest"]
    return digest
