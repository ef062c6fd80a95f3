"""A plan's own settings in place of the machine's."""

from __future__ import annotations

from dataclasses import replace

from advisor.errors import InputError
from deploy.aws.session import AwsSettings
from deploy.requests import PlanRequest

LISTS = ("subnet_ids", "security_group_ids", "jwt_audience", "cluster_cidrs")
ARNS = ("kms_key_arn", "alarm_topic_arn", "certificate_arn", "cluster_admin_arn")
TEXTS = ("jwt_issuer", "domain", "vpc_id", "cluster")
SETTINGS = ("subnet_ids", "security_group_ids", "kms_key_arn", "alarm_topic_arn")
BUILDER = "builder"
PUBLIC_SETTINGS = ("certificate_arn", "domain", "jwt_issuer", "jwt_audience")


def settings_of(
    request: PlanRequest, settings: AwsSettings, allowed: tuple[str, ...] = SETTINGS
) -> AwsSettings:
    """The machine's settings, with what the request asks for in their place.

    Raises InputError for an unknown or wrong one.
    """
    given = dict(request.settings)
    given.pop(BUILDER, None)  # every target's, read by builder_of
    unknown = sorted(set(given) - set(allowed))
    if unknown:
        raise InputError(
            f"{unknown[0]!r} is no setting of this target; it takes {', '.join(allowed)}"
        )
    changes: dict[str, tuple[str, ...] | str] = {}
    for name, value in given.items():
        if name in LISTS:
            changes[name] = _listed(name, value)
        elif name in ARNS:
            changes[name] = _arn(name, value)
        elif name in TEXTS:
            changes[name] = _text(name, value)
    return replace(settings, **changes)  # type: ignore[arg-type]


def _listed(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
        raise InputError(f"{name} is {value!r}; give a list of ids")
    return tuple(str(v) for v in value)


def _arn(name: str, value: object) -> str:
    if not isinstance(value, str) or (value and not value.startswith("arn:")):
        raise InputError(f"{name} is {value!r}; give an ARN, or leave it out")
    return value


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InputError(f"{name} is {value!r}; give a text, or leave it out")
    return value.strip()
