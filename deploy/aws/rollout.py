"""Carrying out a plan for a stack: account, image, stack; and taking a failed try back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from advisor.errors import AdvisorError, DeployError, StalePlanError
from deploy.artifact import look_again
from deploy.aws.bootstrap import STACK_NAME, Bootstrap, BootstrapStack
from deploy.aws.builders import CODEBUILD, engine_of
from deploy.aws.expiry import Schedules
from deploy.aws.images import Architecture, Images
from deploy.aws.local_images import build_here
from deploy.aws.planned import tag_of
from deploy.aws.session import Aws
from deploy.aws.stack_models import ChangeSet, Stack
from deploy.aws.stacks import Stacks
from deploy.aws.templates import load
from deploy.aws.wanted import in_account, stack_name
from deploy.bundle.pack import Bundle, archive, pack
from deploy.files import sha256_of
from deploy.target import Emit, Event, Plan

Undo = tuple[str, Callable[[], object]]


class Family(Protocol):
    """What a rollout has to know of the services that the stack is made of."""

    def service_role(self, bootstrap: Bootstrap) -> str: ...
    def boundary(self, bootstrap: Bootstrap) -> str: ...
    def install(
        self, plan: Plan, stack: Stack, digest: str, aws: Aws, emit: Emit
    ) -> Callable[[], object] | None: ...
    def verify(self, plan: Plan, stack: Stack, digest: str, aws: Aws) -> None: ...


class Rollout:
    """One apply of one plan. What it makes is taken back, newest first, when it fails."""

    def __init__(self, plan: Plan, aws: Aws, stacks: Stacks, emit: Emit, family: Family) -> None:
        self._family = family
        self._plan = plan
        self._aws = aws
        self._stacks = stacks
        self._emit = emit
        self._undo: list[Undo] = []

    def run(self) -> None:
        """Bootstrap if planned, image if missing, then exactly the planned change set.

        Raises StalePlanError, PreflightError or DeployError; what this run made is then gone
        again, or named in the message.
        """
        self._check_not_stale()
        try:
            bootstrap = self._bootstrap()
            if self._plan.parameters["unchanged"]:
                stack = self._stacks.get(stack_name(self._plan.name))
                self._expire(bootstrap, stack)
                digest = Images(self._aws, bootstrap).digest(tag_of(self._plan))
                self._install(stack, digest or "")
                self._say("stack", "Nothing differs from what runs", "done")
                return
            self._name_what_stands()
            digest = self._image(bootstrap)
            self._stack(bootstrap, digest)
        except AdvisorError as error:
            left = self._take_back(str(error))
            if left:
                kind = StalePlanError if isinstance(error, StalePlanError) else DeployError
                raise kind(f"{error}; not taken back: {'; '.join(left)}") from error
            raise

    def _check_not_stale(self) -> None:
        plan = self._plan
        if self._aws.account != plan.account:
            raise StalePlanError(
                f"the plan is for account {plan.account} and this machine now works in "
                f"{self._aws.account}; switch back, or plan again"
            )
        template = plan.parameters.get("template_name", "its template")
        if "template_name" not in plan.parameters or (
            load(template).digest != plan.parameters["template"]
        ):
            raise StalePlanError(
                f"the template {template} of this installation changed after the plan; plan again"
            )
        self._check_hour()
        if not plan.rolls_back and sha256_of(Path(plan.model_path)) != plan.model_digest:
            raise StalePlanError(f"{plan.model_path} changed after the plan was made; plan again")

    def _check_hour(self) -> None:
        """Of a trial: a schedule for an hour that is over would never take it down."""
        at = self._plan.expires_at
        if at is not None and at <= datetime.now(UTC):
            raise StalePlanError(
                f"the plan is for a trial until {at:%Y-%m-%d %H:%M} UTC, which is over; plan again"
            )

    def _bootstrap(self) -> Bootstrap:
        """What is there, or what the planned change set makes; one that a run before this one
        started is followed to its end."""
        boot = BootstrapStack(self._stacks)
        arn = self._plan.parameters["bootstrap_change_set"]
        creates = bool(self._plan.parameters["bootstrap_creates"])
        change_set = None
        if arn is not None:
            try:
                change_set = self._stacks.read(STACK_NAME, arn, creates=creates)
            except StalePlanError:
                if not boot.is_current():
                    raise
        begun = change_set is not None and change_set.was_started
        if not begun and boot.is_current():
            return Bootstrap.of(self._stacks.get(STACK_NAME))
        if change_set is None:
            raise StalePlanError("the bootstrap stack is gone since the plan was made; plan again")
        if creates and change_set.is_open:
            self._undo.append(("the bootstrap stack", lambda: self._remove_bootstrap(boot)))
        return boot.ensure(change_set, self._emit)

    def _remove_bootstrap(self, stack: BootstrapStack) -> None:
        """Only while nobody else's deployment has moved in."""
        if stack.is_empty():
            stack.remove(self._emit)

    def _name_what_stands(self) -> None:
        """A new stack that an apply before this one made may have served since: when this one fails
        it is named, not deleted. Raises StalePlanError, before anything is built."""
        parameters, name = self._plan.parameters, stack_name(self._plan.name)
        creates, arn = bool(parameters["creates"]), parameters["change_set"]
        try:
            known = self._stacks.read(name, arn or parameters["change_set_name"], creates=creates)
        except StalePlanError:
            if arn is not None:
                raise
            return  # it is made after the bootstrap stack
        if creates and known.was_started and not known.is_open:
            made_before = f"the stack {name}, which an apply before this one made"
            self._undo.append((made_before, lambda: self._stands(known.stack_id)))

    def _stands(self, stack_id: str) -> None:
        stack = self._stacks.find(stack_id)
        if stack is not None and not stack.is_review:
            raise DeployError("it stands and may bill: apply again to finish, or destroy it")

    def _image(self, bootstrap: Bootstrap) -> str:
        images = Images(self._aws, bootstrap)
        tag = tag_of(self._plan)
        # Also one that was there: a run that was killed may have built it.
        self._undo.append((f"the image {tag}", lambda: self._remove_image(images, tag)))
        digest = images.digest(tag)
        if digest is not None:
            self._say("build", f"Image {digest} is in the repository already", "done")
            return digest
        if self._plan.rolls_back:
            raise StalePlanError(
                f"the image {tag} of the version before is gone from the registry; plan with that "
                "model again"
            )
        with tempfile.TemporaryDirectory(prefix="bundle-") as scratch:
            bundle = self._packed(Path(scratch))
            arch: Architecture = self._plan.parameters["architecture"]
            engine = engine_of(self._plan.parameters.get("builder", CODEBUILD))
            if engine is not None:
                return build_here(bundle.path, tag, arch, engine, images, self._aws, self._emit)
            self._undo.append(("the uploaded bundle", lambda: images.remove_upload(tag)))
            upload = images.upload(archive(bundle), tag, self._emit)
        digest = images.build(tag, upload, arch, self._emit)
        images.remove_upload(tag)  # it was needed for this only
        return digest

    def _remove_image(self, images: Images, tag: str) -> None:
        """Unless another deployment came to run it meanwhile."""
        if tag and not BootstrapStack(self._stacks).runs(tag):
            images.remove_image(tag)

    def _packed(self, scratch: Path) -> Bundle:
        """Raises StalePlanError when it is not the planned bundle."""
        self._say("bundle", f"Packing {Path(self._plan.model_path).name} with its server")
        bundle = pack(
            look_again(self._plan.model_path, self._plan.accepted),
            scratch / "bundle",
            variant=self._plan.parameters["bundle"],
        )
        if bundle.hash != self._plan.bundle_hash:
            raise StalePlanError(
                f"the bundle is now {bundle.hash[:12]} and the plan says "
                f"{self._plan.bundle_hash[:12]}: the model or this installation changed; plan again"
            )
        return bundle

    def _stack(self, bootstrap: Bootstrap, digest: str) -> None:
        change_set = self._change_set(bootstrap)
        stack = self._stacks.find(change_set.stack_id)
        former = stack.image_tags if stack and not stack.is_review else set()
        if stack is not None:
            self._expire(bootstrap, stack)  # undone after the stack: it stays the last resort
        if change_set.is_open:
            self._undo.append(
                (
                    f"the stack {change_set.stack_name}",
                    lambda: self._stacks.abandon(change_set, self._emit),
                )
            )
        made = self._stacks.execute(change_set, self._emit)
        try:
            self._install(made, digest)
            self._family.verify(self._plan, made, digest, self._aws)
        except AdvisorError as error:
            if change_set.is_open:
                raise
            raise DeployError(
                f"{error}; the stack {made.name} stands, from an apply before this one: apply again "
                "to finish, or destroy it"
            ) from error
        for tag in sorted(former - made.image_tags):
            self._remove_image(Images(self._aws, bootstrap), tag)
        self._say("stack", f"{stack_name(self._plan.name)} is in service", "done")

    def _install(self, stack: Stack, digest: str) -> None:
        """What of the deployment CloudFormation does not make; undone when the rest fails."""
        undo = self._family.install(self._plan, stack, digest, self._aws, self._emit)
        if undo is not None:
            self._undo.append((f"what runs in {stack.name}", undo))

    def _expire(self, bootstrap: Bootstrap, stack: Stack) -> None:
        """The trial's hour as planned, before anything bills; as it was when the run fails."""
        name, at = self._plan.name, self._plan.expires_at
        if at is None and stack.expires_at is None:
            return
        self._check_hour()  # again: this machine may have slept while the image was built
        schedules = Schedules(self._aws, bootstrap)
        former = schedules.find(name)
        self._undo.append(("the expiry", lambda: schedules.restore(name, former)))
        if at is None:
            schedules.remove(name)
            self._say("expiry", f"{name} stays until it is destroyed")
        else:
            schedules.put(name, stack.id, at)
            self._say("expiry", f"The account takes {name} down on {at:%Y-%m-%d %H:%M} UTC")

    def _change_set(self, bootstrap: Bootstrap) -> ChangeSet:
        """The planned one; where the account had no bootstrap then, one that equals the plan."""
        parameters, name = self._plan.parameters, stack_name(self._plan.name)
        creates = bool(parameters["creates"])
        if parameters["change_set"] is not None:
            return self._stacks.read(name, parameters["change_set"], creates=creates)
        stack = self._stacks.find(name)
        if stack is not None and not stack.is_review:
            try:
                return self._stacks.read(name, parameters["change_set_name"], creates=creates)
            except StalePlanError:
                raise StalePlanError(
                    f"the stack {name} was made by somebody else since the plan; plan again"
                ) from None
        made = self._stacks.prepare(
            name,
            load(parameters["template_name"]).extended(parameters.get("additions", {})).text,
            in_account(
                parameters["stack"],
                tag_of(self._plan),
                bootstrap,
                self._aws,
                self._family.boundary(bootstrap),
            ),
            parameters["tags"],
            change_set_name=parameters["change_set_name"],
            role_arn=self._family.service_role(bootstrap),
        )
        if made is None:
            raise StalePlanError(f"the stack {name} is there already; plan again")
        self._undo.append(("the change set", lambda: self._stacks.drop(name, made.arn)))
        differs = {c.key for c in made.changes} ^ {tuple(c) for c in parameters["changes"]}
        if differs:
            what = ", ".join(sorted(" ".join(change) for change in differs))
            raise StalePlanError(f"CloudFormation would do other than planned ({what}); plan again")
        return made

    def _take_back(self, because: str) -> list[str]:
        """What could not be taken back, a sentence each; `because` is what the user is told first."""
        left = []
        while self._undo:
            what, undo = self._undo.pop()
            try:
                undo()
            except AdvisorError as error:
                same = str(error) == because
                left.append(f"{what} ({'for the same reason' if same else error})")
        return left

    def _say(self, step: str, message: str, level: str = "info") -> None:
        self._emit(Event.model_validate({"step": step, "message": message, "level": level}))
