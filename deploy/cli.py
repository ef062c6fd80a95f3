"""The terminal: plan, discard, apply, move, rollback, status, predict, destroy, list, loadtest,
selftest.

Exit codes: 0 done; 2 the input is wrong (one line on stderr); 3 nothing fits; 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from advisor import terminal
from advisor.errors import AdvisorError, DeployError, InputError
from advisor.terminal import FAILED, OK
from deploy import loadtest_cli, measure_cli, move_cli, rollback_cli, selftest_cli
from deploy.asking import (
    agreed,
    decision_for,
    print_json,
    print_table,
    read_plan,
    user,
    with_decision,
    with_format,
    write_plan,
)
from deploy.expiry import left, lifetime
from deploy.plan_words import in_words
from deploy.run_models import Deployment

OTHER_RUNS_LIMIT_S = 600
COLUMNS = ("NAME", "OPTION", "TARGET", "STATE", "EXPIRY", "ENDPOINT")


class _RunFailedError(DeployError):
    """A run that ended badly, with the exit code of the error that ended it."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one line on stderr."""
    return terminal.run(_parser(), argv)


def _parser() -> argparse.ArgumentParser:
    parser = terminal.Parser(
        prog="python -m deploy",
        description="Plan a deployment, apply the plan, ask it for a prediction, take it down.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    measure_cli.add_commands(commands)
    plan = commands.add_parser("plan", help="write down exactly what apply would do")
    plan.add_argument("--target", required=True, metavar="OPTION_ID", help="e.g. docker-host")
    plan.add_argument("--model", required=True, type=Path, help="the model file")
    plan.add_argument("--requirements", required=True, type=Path, help="a YAML or JSON file")
    plan.add_argument("--out", required=True, type=Path, metavar="PLAN", help="the plan, as JSON")
    plan.add_argument("--name", help="of the deployment; from the model's file name if left out")
    plan.add_argument("--port", type=int, help="on this machine: listen here, not on a free port")
    plan.add_argument(
        "--builder",
        choices=("codebuild", "docker", "podman", "buildah"),
        help="who builds the image: the account (codebuild, as a rule), or an engine here",
    )
    plan.add_argument(
        "--cluster",
        metavar="NAME",
        help="on EKS: deploy onto this cluster, which is there and stays",
    )
    plan.add_argument("--public", action="store_true", help="reachable from the internet")
    plan.add_argument(
        "--expires-in",
        metavar="TIME",
        help='a trial: the account takes it down by itself, after "45m", "4h", "2d"; or "never"',
    )
    plan.add_argument("--policies", nargs="+", default=[], metavar="FILE", type=Path)
    with_decision(plan)
    with_format(plan)
    plan.set_defaults(run=_plan)

    discard = commands.add_parser("discard", help="take away what planning wrote, unapplied")
    discard.add_argument("plan", type=Path, metavar="PLAN")
    discard.set_defaults(run=_discard)

    apply = commands.add_parser("apply", help="carry out a plan and prove it with a prediction")
    apply.add_argument("plan", type=Path, metavar="PLAN")
    apply.add_argument("--yes", action="store_true", help="do not ask")
    with_format(apply)
    apply.set_defaults(run=_apply)

    move_cli.add_commands(commands, _carry_out)
    rollback_cli.add_commands(commands, _carry_out)

    status = commands.add_parser("status", help="what is really there")
    status.add_argument("name", metavar="NAME")
    with_format(status)
    status.set_defaults(run=_status)

    predict = commands.add_parser("predict", help="one request to the endpoint")
    predict.add_argument("name", metavar="NAME")
    predict.add_argument("--input", required=True, type=Path, metavar="FILE")
    predict.add_argument("--content-type", help="from the file's name if left out")
    predict.set_defaults(run=_predict)

    destroy = commands.add_parser("destroy", help="remove everything of a deployment")
    which = destroy.add_mutually_exclusive_group(required=True)
    which.add_argument("name", metavar="NAME", nargs="?")
    which.add_argument("--all", action="store_true", help="every deployment")
    destroy.add_argument("--region", help="also what of ours stands there and is not kept here")
    destroy.add_argument("--yes", action="store_true", help="do not ask")
    with_format(destroy)
    destroy.set_defaults(run=_destroy)

    listed = commands.add_parser("list", help="the deployments there are")
    listed.add_argument("--all", action="store_true", help="also those that are gone")
    listed.add_argument(
        "--account", action="store_true", help="what stands in the account, whoever made it"
    )
    listed.add_argument("--region", help="of the account")
    listed.add_argument("--drift", action="store_true", help="what was changed there by hand")
    with_format(listed)
    listed.set_defaults(run=_list)
    loadtest_cli.add_commands(commands)
    selftest_cli.add_commands(commands)
    return parser


def _plan(arguments: argparse.Namespace) -> int:
    from advisor.scenario import load
    from deploy import runs
    from deploy.planning import plan_deployment
    from deploy.registry import target

    scenario = load(arguments.requirements)
    plan = plan_deployment(
        arguments.target,
        arguments.model,
        scenario.requirements,
        name=arguments.name and runs.standing_name(arguments.name),
        public=arguments.public,
        owner=user(),
        scenario=scenario.name,
        policies=arguments.policies,
        settings={
            name: value
            for name in ("port", "builder", "cluster")
            if (value := getattr(arguments, name)) is not None
        },
        expires_in=_expires_in(arguments.expires_in),
        decision=decision_for(arguments.model, arguments.accept_unsafe, arguments.code),
        warn=lambda said: print(f"deploy: {said}", file=sys.stderr),
    )
    try:
        write_plan(arguments.out, plan)
    except InputError:
        target(plan.target).discard(plan)  # without its file nobody could
        raise
    if arguments.format == "json":
        print_json(plan)
        return OK
    print(in_words(plan))
    print(f"\nThe plan is in {arguments.out}. Carry it out: python -m deploy apply {arguments.out}")
    return OK


def _expires_in(text: str | None) -> timedelta | Literal["never"] | None:
    return None if text is None else lifetime(text) or "never"


def _apply(arguments: argparse.Namespace) -> int:
    from deploy import runs
    from deploy.run_steps import check_not_stale

    plan = read_plan(arguments.plan)
    check_not_stale(plan)
    if not arguments.yes and not agreed(in_words(plan), f"Apply {plan.name}?"):
        return FAILED
    return _carry_out(lambda: runs.start_apply(plan, by=user()), arguments.format)


def _discard(arguments: argparse.Namespace) -> int:
    from deploy.registry import target

    plan = read_plan(arguments.plan)
    gone = target(plan.target).discard(plan)
    for what in gone:
        print(f"Removed {what}")
    if not gone:
        print(f"Nothing that planning {plan.name} wrote is there; nothing was changed")
    return OK


def _destroy(arguments: argparse.Namespace) -> int:
    from deploy import account_cli, runs

    if arguments.all:
        return account_cli.destroy_all(
            arguments.region,
            yes=arguments.yes,
            destroy_recorded=lambda name: _carry_out(
                lambda: runs.start_destroy(name, by=user()), arguments.format
            ),
        )
    region = arguments.region
    here = {(d.name, d.plan.region) for d in runs.deployments(destroyed=True)}
    if region and (arguments.name, region) not in here:
        return account_cli.destroy_unrecorded(
            arguments.name, region, yes=arguments.yes, output=arguments.format
        )
    found = runs.deployment(arguments.name)
    plan = found.plan
    what = (
        f"Deployment  {plan.name} ({plan.option}, {found.state})\n"
        f"Account     {plan.account}\nRegion      {plan.region}\n"
        + "".join(f"Removes     {r.kind} {r.name}\n" for r in plan.resources)
    )
    if not arguments.yes and not agreed(what.rstrip(), f"Destroy {plan.name}?"):
        return FAILED
    return _carry_out(lambda: runs.start_destroy(plan.name, by=user()), arguments.format)


def _status(arguments: argparse.Namespace) -> int:
    from deploy import runs
    from deploy.registry import target

    plan = runs.deployment(arguments.name).plan
    status = target(plan.target).status(plan)
    if arguments.format == "json":
        print_json(status)
        return OK
    print(f"{status.name}: {status.state} — {status.message}")
    if status.expires_at is not None:
        print(f"  {left(status.expires_at)}: {status.expires_at:%Y-%m-%d %H:%M} UTC")
    for key, value in status.outputs.items():
        print(f"  {key}: {value}")
    for language, snippet in status.snippets.items():
        print(f"\n{language}:\n{snippet}")
    return OK


def _predict(arguments: argparse.Namespace) -> int:
    from deploy import runs
    from deploy.registry import target

    plan = runs.deployment(arguments.name).plan
    kind = arguments.content_type or mimetypes.guess_type(arguments.input.name)[0]
    try:
        body = arguments.input.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read {arguments.input}: {error.strerror}; name a file with the request"
        ) from None
    answer = target(plan.target).predict(plan, body, kind or "application/json")
    print(answer.body if isinstance(answer.body, str) else json.dumps(answer.body, indent=2))
    print(f"{answer.latency_ms:.1f} ms", file=sys.stderr)
    return OK


def _list(arguments: argparse.Namespace) -> int:
    from deploy import account_cli, runs

    if arguments.account:
        return account_cli.list_account(arguments.region, arguments.format, drift=arguments.drift)
    if arguments.region or arguments.drift:
        raise InputError(
            "--region and --drift go with --account; the list kept here is of all regions"
        )
    found = [_as_it_is(d) for d in runs.deployments(destroyed=True)]
    found = [d for d in found if arguments.all or d.state != "destroyed"]
    if arguments.format == "json":
        print_json(found)
        return OK
    if not found:
        print("There are no deployments. Make one: python -m deploy plan --help")
        return OK
    rows = [(d.name, d.option, d.target, d.state, _expiry(d), d.endpoint or "-") for d in found]
    print_table([COLUMNS, *rows])
    return OK


def _as_it_is(found: Deployment) -> Deployment:
    """The platform's word for a trial whose hour has passed: nobody here took it down."""
    from deploy.registry import target

    ends = found.plan.expires_at
    if found.state == "destroyed" or ends is None or ends > datetime.now(UTC):
        return found
    try:
        state = target(found.target).status(found.plan).state
    except AdvisorError as error:
        print(f"deploy: {found.name}: {error}", file=sys.stderr)
        state = "unknown"
    return found.model_copy(update={"state": state})


def _expiry(found: Deployment) -> str:
    ends = found.plan.expires_at
    return "-" if ends is None or found.state == "destroyed" else left(ends)


def _carry_out(begin: Callable[[], str], output: str) -> int:
    """Begin a run and follow it to its end. Ctrl+C cancels it; a second one leaves it for later."""
    from deploy import runs

    runs.launch()
    finish_s = OTHER_RUNS_LIMIT_S  # a run that died elsewhere may go on in this process
    try:
        run_id = begin()
        try:
            _follow(run_id, quiet=output == "json")
        except KeyboardInterrupt:
            runs.cancel(run_id)
            _follow(run_id, quiet=output == "json")
        run = runs.run(run_id)
    except KeyboardInterrupt:
        finish_s = 0
        print("deploy: stopped; the run goes on with the next apply or app start", file=sys.stderr)
        return FAILED
    finally:
        runs.shutdown(finish_s)
    if output == "json":
        print_json(run)
    if run.error is not None:
        raise _RunFailedError(run.error, run.exit_code or FAILED)
    if output != "json" and run.kind != "destroy":
        _show_endpoint(run.name)
    return OK


def _follow(run_id: str, *, quiet: bool) -> None:
    from deploy import runs

    for event in runs.follow(run_id):
        if not quiet:
            print(f"{event.at.astimezone():%H:%M:%S}  {event.step:<8} {event.message}", flush=True)


def _show_endpoint(name: str) -> None:
    from deploy import runs
    from deploy.registry import target

    plan = runs.deployment(name).plan
    status = target(plan.target).status(plan)
    print(f"\n{status.message}")
    if "curl" in status.snippets:
        print(status.snippets["curl"])
    print(f"Take it down: python -m deploy destroy {name}")
