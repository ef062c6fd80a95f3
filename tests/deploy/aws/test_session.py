"""Credentials, roles and errors: one clear sentence each, and the account's own policies hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from aws_support import QUICK, Log, asked, client
from botocore.exceptions import ClientError
from emulator.client import ACCOUNT, REGION, Emulator

from advisor.errors import DeployError, InputError, PreflightError
from deploy.aws.bootstrap import STACK_NAME
from deploy.aws.session import Aws, AwsSettings, told
from deploy.aws.stacks import Stacks
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator

SETTINGS = AwsSettings(poll_seconds=QUICK)


def test_the_machines_own_chain_is_used(emulator: Emulator) -> None:
    assert Aws(REGION, SETTINGS).identity == {
        "account": ACCOUNT,
        "arn": f"arn:aws:iam::{ACCOUNT}:root",
    }


def test_a_profile_is_part_of_the_chain(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    credentials = tmp_path / "credentials"
    credentials.write_text("[team]\naws_access_key_id = test\naws_secret_access_key = test\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", "team")
    assert Aws(REGION, SETTINGS).account == ACCOUNT


def test_a_profile_that_is_not_there(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(PreflightError, match=r"nobody.*set AWS_PROFILE"):
        Aws(REGION, SETTINGS).identity  # noqa: B018


def test_a_plan_with_a_profile_that_is_not_there(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, onnx_model: Path
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(PreflightError, match=r"nobody.*set AWS_PROFILE"):
        SageMakerTarget(SETTINGS).plan(asked(onnx_model))


def test_a_configuration_that_cannot_be_read(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, onnx_model: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "config"
    broken.write_text("this is no configuration\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(broken))
    with pytest.raises(PreflightError, match="could not read the AWS configuration"):
        SageMakerTarget(SETTINGS).plan(asked(onnx_model))


def test_half_of_the_credentials(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(PreflightError, match="AWS_SECRET_ACCESS_KEY is missing"):
        Aws(REGION, SETTINGS).identity  # noqa: B018


def test_no_credentials_at_all(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, onnx_model: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(PreflightError, match="no AWS credentials were found on this machine"):
        Aws(REGION, SETTINGS).identity  # noqa: B018
    with pytest.raises(PreflightError, match="no AWS credentials were found") as caught:
        SageMakerTarget(SETTINGS).plan(asked(onnx_model))
    assert "\n" not in str(caught.value)


def test_wrong_keys(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONGWRONGWRONG1")
    with pytest.raises(PreflightError, match="AWS does not know these credentials"):
        Aws(REGION, SETTINGS).identity  # noqa: B018


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("ExpiredToken", "credentials have expired"),
        ("RegionDisabledException", "not enabled for this account"),
        ("AccessDenied", "denied permission to ask AWS who is calling"),
        ("ResourceLimitExceeded", "a quota of the account is used up"),
    ],
)
def test_what_aws_answers_becomes_one_sentence(
    emulator: Emulator, code: str, sentence: str
) -> None:
    emulator.fault("sts.GetCallerIdentity", code, "the words of AWS.", status=403, times=9)
    with pytest.raises(PreflightError, match=sentence) as caught:
        Aws(REGION, SETTINGS).identity  # noqa: B018
    assert "\n" not in str(caught.value)


def test_throttling_is_retried_and_then_told(emulator: Emulator) -> None:
    emulator.fault("sts.GetCallerIdentity", "Throttling", "Rate exceeded", times=2)
    assert Aws(REGION, SETTINGS).account == ACCOUNT
    assert emulator.state()["calls"]["sts.GetCallerIdentity"] == 3


def test_aws_out_of_reach(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(PreflightError, match="AWS could not be reached"):
        Aws(REGION, SETTINGS).identity  # noqa: B018


def test_a_region_that_is_none(emulator: Emulator, onnx_model: Path) -> None:
    request = asked(onnx_model)
    nowhere = request.ranked.model_copy(update={"region": "mars-north-1"})
    with pytest.raises(PreflightError, match="'mars-north-1'"):
        SageMakerTarget(SETTINGS).plan(asked(onnx_model, ranked=nowhere))


def test_a_transfer_that_fails_tells_the_error_behind_it() -> None:
    from boto3.exceptions import S3UploadFailedError

    def upload() -> None:
        try:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")
        except ClientError:
            raise S3UploadFailedError("Failed to upload") from None

    with pytest.raises(PreflightError, match="denied permission to upload"), told("upload"):
        upload()


def test_settings_come_from_the_environment_and_are_checked() -> None:
    given = AwsSettings.from_environment(
        {
            "ADVISOR_AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/deploy",
            "ADVISOR_AWS_SUBNET_IDS": "subnet-1, subnet-2",
            "ADVISOR_AWS_POLL_SECONDS": "2.5",
        }
    )
    assert given.role_arn.endswith("role/deploy")
    assert given.subnet_ids == ("subnet-1", "subnet-2")
    assert given.poll_seconds == 2.5
    with pytest.raises(InputError, match="ADVISOR_AWS_ROLE_ARN is 'deploy'"):
        AwsSettings.from_environment({"ADVISOR_AWS_ROLE_ARN": "deploy"})
    with pytest.raises(InputError, match="ADVISOR_AWS_POLL_SECONDS is '0'"):
        AwsSettings.from_environment({"ADVISOR_AWS_POLL_SECONDS": "0"})


def test_a_role_is_assumed_with_its_external_id(emulator: Emulator) -> None:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:ExternalId": "team-7"}},
        }],
    }  # fmt: skip
    role = client("iam").create_role(
        RoleName="deployer", AssumeRolePolicyDocument=json.dumps(trust)
    )["Role"]["Arn"]
    right = AwsSettings(role_arn=role, external_id="team-7", poll_seconds=QUICK)
    assert "assumed-role/deployer" in Aws(REGION, right).identity["arn"]
    wrong = AwsSettings(role_arn=role, external_id="team-8", poll_seconds=QUICK)
    with pytest.raises(PreflightError, match="denied permission"):
        Aws(REGION, wrong).identity  # noqa: B018


def test_the_operator_policy_is_enough_to_plan_apply_call_and_destroy(
    operator: str, emulator: Emulator, onnx_model: Path
) -> None:
    target = SageMakerTarget(SETTINGS)
    plan = target.plan(asked(onnx_model))
    assert all(f.ok for f in plan.findings if f.check not in ("quota", "prices")), plan.findings
    assert target.apply(plan, Log()).state == "running"
    body = plan.parameters["sample"].encode()
    assert target.predict(plan, body, "application/json").status_code == 200
    assert target.destroy(plan, Log()).left_behind == []
    assert emulator.state()["made"] == []


def test_the_operator_policy_is_not_enough_for_anything_else(operator: str) -> None:
    for service, call, arguments in (
        ("iam", "create_user", {"UserName": "another"}),
        ("cloudformation", "delete_stack", {"StackName": STACK_NAME}),
        ("s3", "create_bucket", {"Bucket": "mine"}),
        ("ecr", "delete_repository", {"repositoryName": "model-deployment-advisor"}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "theirs", "Body": b""}),
    ):
        service_client = client(service)
        with pytest.raises(ClientError, match="not authorized"):
            getattr(service_client, call)(**arguments)


def test_the_bucket_refuses_plain_http(operator: str, stacks: Stacks) -> None:
    bucket = stacks.get(STACK_NAME).outputs["ArtifactBucket"]
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="bundles/x", Body=b"x")

    def plain(request: object, **_: object) -> None:
        request.headers["x-forwarded-proto"] = "http"  # type: ignore[attr-defined]

    s3.meta.events.register("before-sign.s3", plain)
    with pytest.raises(ClientError, match="explicit deny"):
        s3.put_object(Bucket=bucket, Key="bundles/x", Body=b"x")


def test_an_error_of_another_kind_is_told_too() -> None:
    with pytest.raises(DeployError, match="AWS would not do it: it is odd"), told("do it"):
        raise ClientError({"Error": {"Code": "Odd", "Message": "it is odd."}}, "Do")
