"""The machine's own AWS credentials, and clients that retry what is worth retrying.

Keys are never pasted: botocore's credential chain finds them (environment, profile, SSO, container
or instance role), and `ADVISOR_AWS_ROLE_ARN` names a role to assume from there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import boto3
import botocore.session
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.httpsession import URLLib3Session
from botocore.loaders import Loader, create_loader
from botocore.utils import get_environ_proxies

from advisor import aws_errors
from advisor.errors import DeployError, InputError, PreflightError

USER_AGENT = "model-deployment-advisor"
ROLE_ARN = re.compile(r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")

WHEN_DENIED = (
    "attach the operator policy named in the outputs of the bootstrap stack, or ask whoever runs "
    "the account"
)
BEFORE_ANYTHING = ("sign-in", "denied", "region", "network")  # nothing was done: a PreflightError


@dataclass(frozen=True)
class AwsSettings:
    """What an operator sets once for this machine, from the environment."""

    role_arn: str = ""
    external_id: str = ""
    kms_key_arn: str = ""
    vpc_id: str = ""
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    alarm_topic_arn: str = ""
    certificate_arn: str = ""
    domain: str = ""
    jwt_issuer: str = ""
    jwt_audience: tuple[str, ...] = ()
    builder: str = ""
    cluster: str = ""
    cluster_cidrs: tuple[str, ...] = ()
    cluster_admin_arn: str = ""
    poll_seconds: float = 5.0

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> AwsSettings:
        """ADVISOR_AWS_ROLE_ARN, _EXTERNAL_ID, _KMS_KEY_ARN, _VPC_ID, _SUBNET_IDS, _SECURITY_GROUP_IDS,
        _ALARM_TOPIC_ARN, _CERTIFICATE_ARN, _DOMAIN, _JWT_ISSUER, _JWT_AUDIENCE, _BUILDER, _CLUSTER,
        _CLUSTER_CIDRS, _CLUSTER_ADMIN_ARN and _POLL_SECONDS; lists are comma-separated. Raises
        InputError on a wrong one."""

        def given(name: str) -> str:
            return environ.get(f"ADVISOR_AWS_{name}", "").strip()

        def listed(name: str) -> tuple[str, ...]:
            return tuple(part.strip() for part in given(name).split(",") if part.strip())

        role = given("ROLE_ARN")
        if role and not ROLE_ARN.match(role):
            raise InputError(
                f"ADVISOR_AWS_ROLE_ARN is {role!r}, which is no role; write it like "
                "arn:aws:iam::123456789012:role/deploy"
            )
        poll = given("POLL_SECONDS")
        try:
            poll_seconds = float(poll) if poll else cls.poll_seconds
        except ValueError:
            poll_seconds = 0.0
        if poll_seconds <= 0:
            raise InputError(
                f"ADVISOR_AWS_POLL_SECONDS is {poll!r}; give the seconds between two looks"
            )
        return cls(
            role_arn=role,
            external_id=given("EXTERNAL_ID"),
            kms_key_arn=given("KMS_KEY_ARN"),
            vpc_id=given("VPC_ID"),
            subnet_ids=listed("SUBNET_IDS"),
            security_group_ids=listed("SECURITY_GROUP_IDS"),
            alarm_topic_arn=given("ALARM_TOPIC_ARN"),
            certificate_arn=given("CERTIFICATE_ARN"),
            domain=given("DOMAIN"),
            jwt_issuer=given("JWT_ISSUER"),
            jwt_audience=listed("JWT_AUDIENCE"),
            builder=given("BUILDER"),
            cluster=given("CLUSTER"),
            cluster_cidrs=listed("CLUSTER_CIDRS"),
            cluster_admin_arn=given("CLUSTER_ADMIN_ARN"),
            poll_seconds=poll_seconds,
        )


class Aws:
    """One account in one region, as this machine may use it.

    `client(name)` gives a boto3 client with standard retries; nothing is asked of AWS before the
    first call. Wrap calls in `told(...)`, which turns an AWS error into one sentence.
    """

    def __init__(self, region: str, settings: AwsSettings | None = None) -> None:
        self.region = region
        self.settings = settings or AwsSettings.from_environment()
        self.client: Callable[[str], Any] = cache(self._client)

    @cached_property
    def identity(self) -> dict[str, str]:
        """Account and ARN that the credentials belong to. Raises PreflightError."""
        with told(f"ask AWS who is calling in {self.region}", PreflightError):
            answer = self.client("sts").get_caller_identity()
        return {"account": answer["Account"], "arn": answer["Arn"]}

    @property
    def account(self) -> str:
        return self.identity["account"]

    def credentials(self) -> Any:
        """What this machine signs with, None when there is nothing. Raises PreflightError."""
        return self._session.get_credentials()

    def web_session(self, url: str, timeout_s: int) -> URLLib3Session:
        """For calls to addresses that are no API of AWS, by the SDK's own way out: the proxies of
        the environment (`https_proxy`, `no_proxy`) and the certificates of AWS_CA_BUNDLE."""
        bundle = _core().get_config_variable("ca_bundle")
        return URLLib3Session(
            verify=bundle or True, proxies=get_environ_proxies(url), timeout=timeout_s
        )

    def regions(self, service: str) -> list[str]:
        """Every region in which AWS offers the service, as botocore knows it; no call."""
        return list(_regions(service))

    @cached_property
    def _session(self) -> boto3.Session:
        with told("read the AWS credentials of this machine", PreflightError):
            base = boto3.Session(botocore_session=_core(), region_name=self.region)
            if not self.settings.role_arn:
                return base
            source = base.get_credentials()
            if source is None:
                raise NoCredentialsError
        return _assumed(base, source, self.settings)

    def _client(self, name: str) -> Any:
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 8},
            user_agent_extra=USER_AGENT,
            connect_timeout=10,
        )
        with told(f"reach {name} in {self.region}", PreflightError):
            return self._session.client(name, config=config)  # type: ignore[call-overload]


@contextmanager
def told(doing: str, error: type[DeployError] = DeployError) -> Iterator[None]:
    """Turn what AWS or botocore raises while `doing` something into one sentence.

    Credentials, permissions and regions are always a PreflightError: nothing was done.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as caught:
        raise _of_aws(caught, doing, error) from caught
    except Boto3Error as caught:  # a transfer hides the real error behind its own
        cause = caught.__context__
        if isinstance(cause, ClientError):
            raise _of_aws(cause, doing, error) from cause
        raise error(f"this machine could not {doing}: {caught}") from caught


def code_of(error: BaseException | None) -> str:
    """The error code that AWS gave, also behind a sentence of `told`; "" for any other error."""
    caught = _client_error(error)
    return aws_errors.code_of(caught) if caught else ""


def message_of(error: BaseException | None) -> str:
    """What AWS itself said, without a final stop; "" for any other error."""
    caught = _client_error(error)
    return aws_errors.message_of(caught) if caught else ""


def _client_error(error: BaseException | None) -> ClientError | None:
    if isinstance(error, DeployError):
        error = error.__cause__
    return error if isinstance(error, ClientError) else None


def _of_aws(
    caught: ClientError | BotoCoreError, doing: str, error: type[DeployError]
) -> DeployError:
    said = aws_errors.in_words(
        caught, doing, when_denied=WHEN_DENIED, when_no_region="choose one in placement.regions"
    )
    return (PreflightError if said.kind in BEFORE_ANYTHING else error)(said.sentence)


@cache
def _regions(service: str) -> tuple[str, ...]:
    core = _core()
    found = {
        region
        for partition in core.get_available_partitions()
        for region in core.get_available_regions(service, partition)
    }
    return tuple(sorted(found))


@cache
def _loader(path: str | None) -> Loader:
    """Service descriptions, read once a process: a new session would read megabytes again."""
    return create_loader(path)


def _core() -> botocore.session.Session:
    with told("read the AWS configuration of this machine", PreflightError):
        core = botocore.session.get_session()
        core.register_component("data_loader", _loader(core.get_config_variable("data_path")))
    return core


def _assumed(base: boto3.Session, source: Any, settings: AwsSettings) -> boto3.Session:
    """A session of the role, renewed by itself when its hour is over."""
    core = _core()
    extra = {"RoleSessionName": USER_AGENT}
    if settings.external_id:
        extra["ExternalId"] = settings.external_id
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=base._session.create_client,
        source_credentials=source,
        role_arn=settings.role_arn,
        extra_args=extra,
    )
    core._credentials = DeferredRefreshableCredentials(  # type: ignore[attr-defined]
        method="assume-role", refresh_using=fetcher.fetch_credentials
    )
    return boto3.Session(botocore_session=core, region_name=base.region_name)
