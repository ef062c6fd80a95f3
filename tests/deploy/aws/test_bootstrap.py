"""The bootstrap stack: made once, renewed, emptied and removed when asked; and its image checks."""

from __future__ import annotations

from pathlib import Path

import boto3
import pytest
from aws_support import QUICK, Log, asked, client
from emulator.client import Emulator

from advisor.errors import DeployError, PreflightError
from deploy.aws import templates
from deploy.aws.bootstrap import STACK_NAME, Bootstrap, BootstrapStack
from deploy.aws.images import Images
from deploy.aws.session import Aws, AwsSettings
from deploy.aws.stacks import Stacks
from deploy.targets.sagemaker import SageMakerTarget

pytestmark = pytest.mark.emulator


@pytest.fixture
def boot(stacks: Stacks) -> BootstrapStack:
    return BootstrapStack(stacks)


@pytest.fixture
def made(boot: BootstrapStack) -> Bootstrap:
    change_set = boot.prepare("risk team")
    assert change_set is not None
    return boot.ensure(change_set, Log())


def test_it_is_made_as_the_template_says(
    boot: BootstrapStack, made: Bootstrap, emulator: Emulator
) -> None:
    assert boot.is_current()
    assert boot.is_empty()
    assert boot.found() == made
    state = emulator.state()
    assert list(state["buckets"]) == [made.bucket]
    assert state["log_groups"] == {"/aws/codebuild/model-deployment-advisor": 30}
    s3 = client("s3")
    assert s3.get_bucket_versioning(Bucket=made.bucket)["Status"] == "Enabled"
    assert all(
        s3.get_public_access_block(Bucket=made.bucket)["PublicAccessBlockConfiguration"].values()
    )
    assert s3.get_bucket_encryption(Bucket=made.bucket)


def test_a_second_time_there_is_nothing_to_do(boot: BootstrapStack, made: Bootstrap) -> None:
    assert boot.prepare("somebody else") is None


def test_a_newer_template_renews_it_and_keeps_what_was_chosen(
    boot: BootstrapStack,
    made: Bootstrap,
    stacks: Stacks,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    newer = templates.load("bootstrap.yaml").text.replace('"Default":30', '"Default":60', 1)
    (tmp_path / "bootstrap.yaml").write_text(newer)
    monkeypatch.setattr(templates, "DIRECTORY", tmp_path)
    assert not boot.is_current()
    change_set = boot.prepare("somebody else")
    assert change_set is not None
    assert {c.logical_id for c in change_set.changes} >= {"BuildLogs"}
    renewed = boot.ensure(change_set, Log())
    assert renewed == made
    assert boot.is_current()
    assert stacks.get(STACK_NAME).parameters["Owner"] == "risk team"


def test_removing_it_empties_it_first(
    boot: BootstrapStack, made: Bootstrap, emulator: Emulator, aws: Aws
) -> None:
    s3 = client("s3")
    for body in (b"one", b"two"):  # two versions
        s3.put_object(Bucket=made.bucket, Key="bundles/x.zip", Body=body)
    s3.delete_object(Bucket=made.bucket, Key="bundles/x.zip")  # and a delete marker
    push(made, "bundle-1", "docker")
    assert not boot.is_empty()
    removed = boot.remove(Log())
    assert f"3 object versions of s3://{made.bucket}" in removed
    assert "1 images of model-deployment-advisor" in removed
    state = emulator.state()
    assert not any(
        state[what] for what in ("stacks", "buckets", "repositories", "roles", "policies")
    )
    assert boot.remove(Log()) == []


def test_a_bucket_with_bundles_in_it_is_never_deleted_by_the_way(
    made: Bootstrap, stacks: Stacks, emulator: Emulator
) -> None:
    s3 = client("s3")
    s3.put_object(Bucket=made.bucket, Key="bundles/x.zip", Body=b"x")
    with pytest.raises(DeployError, match=f"AWS::S3::Bucket {made.bucket}"):
        stacks.delete(STACK_NAME, Log())
    assert emulator.state()["buckets"] == {made.bucket: ["bundles/x.zip"]}
    with pytest.raises(PreflightError, match="delete it in CloudFormation"):
        BootstrapStack(stacks).found()


def test_an_image_in_the_wrong_format_is_found_out(made: Bootstrap, aws: Aws) -> None:
    images = Images(aws, made)
    assert images.digest("bundle-1") is None
    push(made, "bundle-1", "oci")
    with pytest.raises(DeployError, match=r"oci\.image\.index.*SageMaker does not take"):
        images.digest("bundle-1")
    assert images.remove_image("bundle-1")
    assert not images.remove_image("bundle-1")


def test_a_tag_names_one_image_for_ever(made: Bootstrap) -> None:
    push(made, "bundle-1", "docker")
    with pytest.raises(Exception, match="already exists"):
        push(made, "bundle-1", "docker", content="another")


def push(made: Bootstrap, tag: str, kind: str, content: str = "one") -> None:
    media_type = {
        "docker": "application/vnd.docker.distribution.manifest.v2+json",
        "oci": "application/vnd.oci.image.index.v1+json",
    }[kind]
    client("ecr").put_image(
        repositoryName=made.repository_name,
        imageTag=tag,
        imageManifest=f'{{"mediaType": "{media_type}", "config": {{"digest": "{content}"}}}}',
        imageManifestMediaType=media_type,
    )


def test_somebody_elses_stack_of_a_like_name_holds_nothing_up(
    made: Bootstrap, stacks: Stacks, emulator: Emulator
) -> None:
    theirs = '{"Resources": {"Own": {"Type": "AWS::Logs::LogGroup"}}}'
    client("cloudformation").create_stack(StackName="mda-theirs", TemplateBody=theirs)
    BootstrapStack(stacks).remove(Log())
    assert set(emulator.state()["stacks"]) == {"mda-theirs"}


def test_a_bucket_that_was_moved_or_deleted_is_named_with_the_way_out(
    made: Bootstrap, emulator: Emulator, onnx_model: Path
) -> None:
    """The account answers as S3 does: 301 from its other regions, which the SDK follows by itself."""
    target = SageMakerTarget(AwsSettings(poll_seconds=QUICK))
    there = {f.check: f for f in target.preflight(asked(onnx_model))}["bucket"]
    assert (there.ok, there.message) == (True, f"{made.bucket} lies in us-east-1")
    here, abroad = client("s3"), boto3.Session(region_name="eu-west-1").client("s3")
    here.delete_bucket(Bucket=made.bucket)
    with pytest.raises(
        PreflightError, match=f"deleted by hand; make it again: aws s3 mb s3://{made.bucket}"
    ):
        target.plan(asked(onnx_model))
    abroad.create_bucket(
        Bucket=made.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    with pytest.raises(
        PreflightError, match=r"lies in eu-west-1.* s3 rb s3://.* --region us-east-1"
    ):
        target.plan(asked(onnx_model))
    abroad.delete_bucket(Bucket=made.bucket)
    here.create_bucket(Bucket=made.bucket)
    emulator.fault("s3.HeadBucket", "AccessDenied", "not you", status=403)
    assert target.plan(asked(onnx_model)).name == "fraud"


def test_a_bucket_made_again_by_hand_has_to_keep_versions(
    made: Bootstrap, emulator: Emulator, onnx_model: Path
) -> None:
    """Else a build could be given what somebody else uploaded meanwhile."""
    target = SageMakerTarget(AwsSettings(poll_seconds=QUICK))
    plan = target.plan(asked(onnx_model))
    s3 = client("s3")
    s3.delete_bucket(Bucket=made.bucket)
    s3.create_bucket(Bucket=made.bucket)
    with pytest.raises(DeployError, match=r"keeps no versions.* put-bucket-versioning --bucket"):
        target.apply(plan, Log())
    assert emulator.state()["buckets"] == {made.bucket: []}
    assert emulator.state()["builds"] == []
    s3.put_bucket_versioning(Bucket=made.bucket, VersioningConfiguration={"Status": "Enabled"})
    target.apply(target.plan(asked(onnx_model)), Log())
    assert len(emulator.state()["builds"]) == 1
