"""The change-set engine against a CloudFormation that rolls back for real."""

from __future__ import annotations

import pytest
from aws_support import Log
from emulator.client import Emulator

from advisor.errors import DeployError, PreflightError, RunCancelledError, StalePlanError
from deploy.aws.session import Aws
from deploy.aws.stacks import Stacks
from deploy.target import Event

pytestmark = pytest.mark.emulator

ONE = """
Parameters: {Days: {Type: Number, Default: 7}}
Resources:
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: /test/one, RetentionInDays: !Ref Days}
Outputs:
  Name: {Value: !Ref Logs}
"""
TWO = ONE.replace(
    "Outputs:",
    """
  Role:
    Type: AWS::IAM::Role
    DependsOn: Logs
    Properties:
      AssumeRolePolicyDocument: {Version: "2012-10-17", Statement: []}
Outputs:""",
)
ROLE = "AWS::IAM::Role"


def prepared(stacks: Stacks, template: str = ONE, name: str = "one", **parameters: str):  # type: ignore[no-untyped-def]
    made = stacks.prepare("mda-test", template, parameters, {"team": "a"}, change_set_name=name)
    assert made is not None
    return made


def test_a_preview_creates_nothing_and_says_what_would_be_created(
    stacks: Stacks, emulator: Emulator
) -> None:
    change_set = prepared(stacks, TWO)
    assert {c.key for c in change_set.changes} == {
        ("create", "AWS::Logs::LogGroup", "Logs"),
        ("create", ROLE, "Role"),
    }
    assert emulator.state()["stacks"] == {"mda-test": "REVIEW_IN_PROGRESS"}
    assert emulator.state()["log_groups"] == {}


def test_executing_streams_each_event_once_in_order_and_gives_outputs(
    stacks: Stacks, emulator: Emulator, log: Log
) -> None:
    stack = stacks.execute(prepared(stacks, TWO), log)
    assert stack.outputs == {"Name": "/test/one"}
    assert stack.tags["team"] == "a"
    assert emulator.state()["log_groups"] == {"/test/one": 7}
    assert log.messages == [
        "mda-test create in progress",
        "Logs create in progress",
        "Logs create complete",
        "Role create in progress",
        "Role create complete",
        "mda-test create complete",
    ]


def test_executing_again_finds_it_done(stacks: Stacks, emulator: Emulator, log: Log) -> None:
    change_set = prepared(stacks)
    stacks.execute(change_set, log)
    again = stacks.execute(stacks.read("mda-test", change_set.arn, creates=True), log)
    assert again.outputs == {"Name": "/test/one"}
    assert emulator.state()["calls"]["cloudformation.ExecuteChangeSet"] == 1


def test_an_update_previews_what_changes_and_tells_only_its_own_events(
    stacks: Stacks, emulator: Emulator, log: Log
) -> None:
    stacks.execute(prepared(stacks), Log())
    change_set = prepared(stacks, name="two", Days="30")
    assert not change_set.creates
    (change,) = change_set.changes
    assert (change.action, change.logical_id, change.physical_id) == ("update", "Logs", "/test/one")
    assert "RetentionInDays" in change.detail
    stacks.execute(change_set, log)
    assert emulator.state()["log_groups"] == {"/test/one": 30}
    assert "mda-test create in progress" not in log.messages
    assert log.messages[0] == "mda-test update in progress"


def test_nothing_to_change_is_none_and_leaves_no_change_set(stacks: Stacks, aws: Aws) -> None:
    stacks.execute(prepared(stacks), Log())
    assert stacks.prepare("mda-test", ONE, {}, {"team": "a"}, change_set_name="same") is None
    left = aws.client("cloudformation").list_change_sets(StackName="mda-test")["Summaries"]
    assert "same" not in [s["ChangeSetName"] for s in left]


def test_a_failed_create_is_rolled_back_deleted_and_told_with_its_cause(
    stacks: Stacks, emulator: Emulator, log: Log
) -> None:
    emulator.fault(f"create {ROLE}", "", "the role is not wanted")
    cause = r"Role \(AWS::IAM::Role\): the role is not wanted"
    with pytest.raises(DeployError, match=cause) as caught:
        stacks.execute(prepared(stacks, TWO), log)
    assert "nothing of it is left; mend that and plan again" in str(caught.value)
    state = emulator.state()
    assert (state["stacks"], state["log_groups"], state["roles"]) == ({}, {}, [])
    assert "mda-test rollback complete: Rollback complete" in log.messages
    assert stacks.find("mda-test") is None


def test_a_failed_update_serves_what_was_there_before(
    stacks: Stacks, emulator: Emulator, log: Log
) -> None:
    stacks.execute(prepared(stacks), Log())
    emulator.fault(f"create {ROLE}", "", "the role is not wanted")
    change_set = prepared(stacks, TWO, name="two", Days="30")
    with pytest.raises(DeployError, match="rolled back and serves its version from before"):
        stacks.execute(change_set, log)
    state = emulator.state()
    assert state["log_groups"] == {"/test/one": 7}
    assert state["stacks"] == {"mda-test": "UPDATE_ROLLBACK_COMPLETE"}
    again = stacks.read("mda-test", change_set.arn, creates=False)
    with pytest.raises(StalePlanError, match="serves its version from before; plan again"):
        stacks.execute(again, log)


def test_the_shell_of_a_failed_create_does_not_stand_in_the_way(
    stacks: Stacks, emulator: Emulator, aws: Aws
) -> None:
    emulator.fault(f"create {ROLE}", "", "no")
    client = aws.client("cloudformation")
    client.create_stack(StackName="mda-test", TemplateBody=TWO, Capabilities=["CAPABILITY_IAM"])
    while stacks.get("mda-test").is_busy:
        pass
    assert stacks.get("mda-test").is_empty_shell
    assert stacks.execute(prepared(stacks), Log()).is_good


def test_a_template_that_cloudformation_refuses_is_a_sentence_and_leaves_nothing(
    stacks: Stacks, emulator: Emulator
) -> None:
    unknown = ONE.replace("Logs::LogGroup", "No::Such")
    with pytest.raises(DeployError, match="AWS::No::Such"):
        stacks.prepare("mda-test", unknown, {}, {}, change_set_name="x")
    assert emulator.state()["stacks"] == {}


def test_a_plan_overtaken_by_another_is_refused(stacks: Stacks, emulator: Emulator) -> None:
    stacks.execute(prepared(stacks), Log())
    mine = prepared(stacks, name="mine", Days="30")
    stacks.execute(prepared(stacks, name="theirs", Days="90"), Log())
    with pytest.raises(StalePlanError, match="plan again"):
        stacks.execute(stacks.read("mda-test", mine.arn, creates=False), Log())
    with pytest.raises(StalePlanError, match="plan again"):
        stacks.execute(mine, Log())
    assert emulator.state()["log_groups"] == {"/test/one": 90}


def test_applying_an_old_plan_never_deletes_a_stack_that_stands(
    stacks: Stacks, emulator: Emulator, aws: Aws
) -> None:
    created = prepared(stacks)
    stacks.execute(created, Log())
    emulator.fault(f"create {ROLE}", "", "no")
    aws.client("cloudformation").update_stack(
        StackName="mda-test", TemplateBody=TWO, Capabilities=["CAPABILITY_IAM"]
    )
    while stacks.get("mda-test").is_busy:
        pass
    assert stacks.get("mda-test").status == "UPDATE_ROLLBACK_COMPLETE"
    with pytest.raises(StalePlanError, match="in an update after this plan"):
        stacks.execute(stacks.read("mda-test", created.arn, creates=True), Log())
    assert emulator.state()["log_groups"] == {"/test/one": 7}


def test_dropping_a_plan_takes_its_review_stack_away(stacks: Stacks, emulator: Emulator) -> None:
    change_set = prepared(stacks)
    assert stacks.drop("mda-test", change_set.arn)
    assert emulator.state()["stacks"] == {}
    assert not stacks.drop("mda-test", change_set.arn)  # again is fine
    with pytest.raises(StalePlanError, match="gone"):
        stacks.read("mda-test", change_set.arn, creates=True)


def test_a_plan_whose_empty_stack_is_gone_is_stale(stacks: Stacks, log: Log) -> None:
    change_set = prepared(stacks)
    stacks.delete("mda-test", log)
    with pytest.raises(StalePlanError, match="mda-test that this plan was made for is gone; plan"):
        stacks.execute(change_set, log)


def test_dropping_an_update_leaves_the_stack_alone(stacks: Stacks, emulator: Emulator) -> None:
    stacks.execute(prepared(stacks), Log())
    stacks.drop("mda-test", prepared(stacks, name="two", Days="30").arn)
    assert emulator.state()["stacks"] == {"mda-test": "CREATE_COMPLETE"}
    assert emulator.state()["log_groups"] == {"/test/one": 7}


def test_deleting_proves_it_gone_and_is_fine_to_repeat(
    stacks: Stacks, emulator: Emulator, log: Log
) -> None:
    stacks.execute(prepared(stacks, TWO), Log())
    assert stacks.delete("mda-test", log)
    assert log.messages[0] == "mda-test delete in progress"
    assert log.messages[-1] == "mda-test delete complete"
    assert emulator.state()["roles"] == []
    assert not stacks.delete("mda-test", log)


def test_a_resource_that_will_not_go_is_named(stacks: Stacks, emulator: Emulator, log: Log) -> None:
    stacks.execute(prepared(stacks, TWO), Log())
    emulator.fault(f"delete {ROLE}", "", "somebody still uses it")
    with pytest.raises(DeployError, match="AWS::IAM::Role mda-test-Role"):
        stacks.delete("mda-test", log)
    assert stacks.delete("mda-test", log)
    assert emulator.state()["stacks"] == {}


def test_giving_up_in_the_middle_deletes_the_new_stack(stacks: Stacks, emulator: Emulator) -> None:
    change_set = prepared(stacks, TWO)

    def give_up(event: Event) -> None:
        raise RunCancelledError("cancelled")

    with pytest.raises(RunCancelledError):
        stacks.execute(change_set, give_up)
    stacks.abandon(change_set, Log())
    state = emulator.state()
    assert (state["stacks"], state["log_groups"], state["roles"]) == ({}, {}, [])


def test_throttled_calls_are_retried(stacks: Stacks, emulator: Emulator, log: Log) -> None:
    emulator.fault("cloudformation.CreateChangeSet", "Throttling", "Rate exceeded", times=2)
    emulator.fault("cloudformation.DescribeStackEvents", "Throttling", "Rate exceeded", times=1)
    assert stacks.execute(prepared(stacks), log).is_good
    assert emulator.state()["calls"]["cloudformation.CreateChangeSet"] == 3


def test_a_denied_call_names_what_was_denied(stacks: Stacks, emulator: Emulator) -> None:
    denied = "User: u is not authorized to perform: cloudformation:CreateChangeSet"
    emulator.fault("cloudformation.CreateChangeSet", "AccessDenied", denied, status=403)
    told = "denied permission to prepare the stack mda-test"
    with pytest.raises(PreflightError, match=told) as caught:
        stacks.prepare("mda-test", ONE, {}, {}, change_set_name="x")
    assert "cloudformation:CreateChangeSet" in str(caught.value)
