"""Is what a team brings of its own what its setting says, and in the deployment's region? AWS says
no after minutes."""

from __future__ import annotations

import re

from deploy.aws.findings import bad
from deploy.aws.session import AwsSettings
from deploy.requests import PlanRequest
from deploy.target import Finding

CERTIFICATE = "certificate_arn"
# Settings whose ARN names a region, by the service that it has to be of.
REGIONAL = {"alarm_topic_arn": "sns", "kms_key_arn": "kms", CERTIFICATE: "acm"}
ARN = re.compile(r"arn:aws[a-z-]*:(?P<service>[a-z-]+):(?P<region>[a-z0-9-]+):\d{12}:\S+")
ISSUER = re.compile(r"https://[^\s/?#]+(/[^\s?#]*)?")  # as OpenID Connect writes one
DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*", re.I)


def regional_findings(request: PlanRequest, settings: AwsSettings) -> list[Finding]:
    """A blocking finding for each that is something else or lies elsewhere; what only a public door
    uses is looked at only where there is one."""
    names = [name for name in REGIONAL if name != CERTIFICATE or request.public]
    found = [_arn(name, _given(name, request, settings), request.ranked.region) for name in names]
    if request.public:
        issuer, domain = (_given(n, request, settings) for n in ("jwt_issuer", "domain"))
        if issuer and not ISSUER.fullmatch(issuer):
            how = "write it as its tokens do, like https://login.example.org/pool"
            found.append(_wrong("jwt_issuer", issuer, "no issuer of tokens", how))
        if domain and not DOMAIN.fullmatch(domain):
            how = "write the bare name, like fraud.example.org"
            found.append(_wrong("domain", domain, "no name of a host", how))
    return [finding for finding in found if finding is not None]


def _given(name: str, request: PlanRequest, settings: AwsSettings) -> str:
    return str(request.settings.get(name, getattr(settings, name)))


def _arn(name: str, value: str, here: str) -> Finding | None:
    if not value:
        return None
    service, parts = REGIONAL[name], ARN.fullmatch(value)
    if parts is None or parts["service"] != service:
        how = f"write it like arn:aws:{service}:{here}:123456789012:…, or leave it out"
        return _wrong(name, value, f"no ARN of {service}", how)
    if parts["region"] == here:
        return None
    return bad(
        "settings",
        f"{value} lies in {parts['region']}, and a deployment in {here} can use none of "
        "another region",
        f"set ADVISOR_AWS_{name.upper()} to one of {here}, or leave it out",
    )


def _wrong(name: str, value: str, what: str, how: str) -> Finding:
    return bad("settings", f"ADVISOR_AWS_{name.upper()} is {value!r}, which is {what}", how)
