"""AWS Batch: a queue whose jobs run the bundle over files, on machines that come and go."""

from __future__ import annotations

from collections.abc import Iterable

from advisor.vocabulary import Mode
from deploy.aws.container_checks import mode, network
from deploy.aws.container_left import network_left
from deploy.aws.container_target import ContainerTarget
from deploy.aws.findings import budget, free, in_account, model_file, name
from deploy.aws.jobs import (
    ALLOWED,
    batch_left,
    forget_older,
    queue,
    remove_files,
    run_once,
    stop_jobs,
)
from deploy.aws.leftovers import log_groups
from deploy.aws.machines import machine_findings
from deploy.aws.session import Aws, AwsSettings, told
from deploy.aws.settings import settings_of
from deploy.aws.stack_models import Stack
from deploy.aws.stack_seen import Seen
from deploy.aws.stacks import Stacks
from deploy.aws.wanted import Wanted, stack_name
from deploy.requests import PlanRequest
from deploy.target import Emit, Finding, Plan, Prediction


class BatchTarget(ContainerTarget):
    """Jobs in the account that this machine's own AWS credentials belong to."""

    name = "batch"
    variants = ("default",)
    listed = ("batch", "cloudwatch", "ec2", "ecs", "autoscaling", "iam", "logs")

    def findings(self, request: PlanRequest, aws: Aws, stacks: Stacks) -> list[Finding]:
        given = settings_of(request, aws.settings, ALLOWED)
        asked = request.need.traffic.mode
        wanted = asked if asked in (Mode.batch, Mode.asynchronous) else Mode.batch
        before = [
            model_file(request),
            mode(request, wanted, "a queue answers nobody who waits", "ecs-fargate"),
            budget(request),
        ]
        return in_account(
            request,
            aws,
            before,
            ("batch", "AWS Batch"),
            lambda: [
                name(request, stacks, lambda: free(request)),
                *network(request, given, aws),
                *machine_findings(request, aws),
            ],
        )

    def wanted(self, request: PlanRequest, bundle_hash: str, settings: AwsSettings) -> Wanted:
        return queue(request, settings)

    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None:
        """Nothing runs yet: each job pulls the image under the tag that can name no other."""

    def seen(self, plan: Plan, stack: Stack, aws: Aws) -> Seen:
        client, queue_name = aws.client("batch"), stack.outputs["QueueName"]
        with told(f"look at the queue {queue_name}"):
            queues = client.describe_job_queues(jobQueues=[queue_name])["jobQueues"]
            machines = client.describe_compute_environments(
                computeEnvironments=[stack.outputs["ComputeEnvironment"]]
            )["computeEnvironments"]
        for kind, found in (("queue", queues), ("compute environment", machines)):
            if not found:
                return Seen("failed", f"the {kind} {queue_name} is out: it was deleted by hand")
            if found[0]["state"] != "ENABLED" or found[0]["status"] != "VALID":
                why = found[0].get("statusReason", found[0]["status"])
                return Seen("failed", f"the {kind} {queue_name} takes no jobs: {why}")
        return Seen(
            "running",
            f"{queue_name} takes jobs; machines start with the work and end after it",
            stack.outputs["QueueArn"],
            _snippets(stack, plan),
        )

    def predict(self, plan: Plan, body: bytes, content_type: str) -> Prediction:
        """One small job over the rows of the body. Raises InputError, DeployError."""
        aws = self._aws(plan.region)
        stack = Stacks(aws).get(stack_name(plan.name))
        return run_once(stack, plan.name, body, content_type, aws)

    def before_delete(self, plan: Plan, stack: Stack, aws: Aws, emit: Emit) -> list[str]:
        """End jobs, forget old revisions, and remove the deployment's files."""
        if not stack.outputs:
            return []  # its create failed: there was nothing to run
        removed = stop_jobs(stack, aws) + forget_older(stack, aws)
        bucket, prefix = stack.outputs["BucketName"], f"jobs/{plan.name}/"
        files = remove_files(bucket, prefix, aws)
        return [*removed, *([f"{files} files of s3://{bucket}/{prefix}"] if files else [])]

    def leftovers(self, deployment: str, aws: Aws) -> Iterable[str]:
        yield from batch_left(deployment, aws)
        yield from log_groups(f"/mda/{deployment}", aws)
        yield from network_left(deployment, aws)


def _snippets(stack: Stack, plan: Plan) -> dict[str, str]:
    files, queue_name = stack.outputs["JobFiles"], stack.outputs["QueueName"]
    children = int(plan.parameters["stack"]["MaxVcpus"]) // int(
        plan.parameters["stack"]["JobVcpus"]
    )
    array = f" --array-properties size={children}" if children > 1 else ""
    sized = f'    arrayProperties={{"size": {children}}},' if children > 1 else None
    return {
        "aws": (
            f"aws s3 cp rows.csv {files}run-1/in/rows.csv\n"
            f"aws batch submit-job --region {plan.region} --job-name run-1 "
            f"--job-queue {queue_name} --job-definition {stack.outputs['JobDefinition']}{array} "
            f"--parameters input={files}run-1/in/,output={files}run-1/out/"
        ),
        "python": "\n".join(
            [
                "import boto3",
                "",
                f'client = boto3.client("batch", region_name="{plan.region}")',
                "client.submit_job(",
                f'    jobName="run-1", jobQueue="{queue_name}",',
                f'    jobDefinition="{stack.outputs["JobDefinition"]}",',
                *([sized] if sized else []),
                f'    parameters={{"input": "{files}run-1/in/", "output": "{files}run-1/out/"}},',
                ")",
            ]
        ),
    }
