"""Does what a team brings of its own lie in the deployment's region? AWS says no after minutes."""

from __future__ import annotations

from deploy.aws.findings import bad
from deploy.aws.session import AwsSettings
from deploy.requests import PlanRequest
from deploy.target import Finding

CERTIFICATE = "certificate_arn"
# Settings whose ARN names a region, by the service that it has to be of.
REGIONAL = {"alarm_topic_arn": "sns", "kms_key_arn": "kms", CERTIFICATE: "acm"}
REGION = 3  # of an ARN's parts, after "arn", partition and service


def regional_findings(request: PlanRequest, settings: AwsSettings) -> list[Finding]:
    """A blocking finding for each that lies elsewhere; a certificate only where it would be used."""
    found, here = [], request.ranked.region
    for name, service in REGIONAL.items():
        if name == CERTIFICATE and not request.public:
            continue
        value = str(request.settings.get(name, getattr(settings, name)))
        parts = value.split(":")
        if parts[2:REGION] == [service] and parts[REGION] != here:
            found.append(
                bad(
                    "settings",
                    f"{value} lies in {parts[REGION]}, and a deployment in {here} can use none of "
                    "another region",
                    f"set ADVISOR_AWS_{name.upper()} to one of {here}, or leave it out",
                )
            )
    return found
