"""What must be true of the account before a serverless endpoint is planned there."""

from __future__ import annotations

from advisor.catalog.loader import option
from advisor.vocabulary import Mode
from deploy.aws.checks import endpoint_name, reach
from deploy.aws.container_checks import mode
from deploy.aws.findings import bad, budget, good, in_account, model_file, name, quota, unknown
from deploy.aws.session import Aws
from deploy.aws.stacks import Stacks
from deploy.requests import PlanRequest
from deploy.target import Finding

# The name that Service Quotas gives it; new accounts have few.
QUOTA = "Maximum total concurrency that can be allocated across all serverless endpoints"
MB_IN_GB = 1024


def findings(request: PlanRequest, at_once: int, aws: Aws, stacks: Stacks) -> list[Finding]:
    """One finding a check; where region or credentials fail, nothing else of AWS is asked.

    `at_once` is the number of requests that the endpoint is to take at once.
    """
    return in_account(
        request,
        aws,
        [
            model_file(request),
            mode(request, Mode.realtime, "an endpoint answers who waits", "sagemaker-async"),
            budget(request),
            reach(request),
            *limits(request),
        ],
        ("sagemaker", "SageMaker"),
        lambda: [
            name(request, stacks, lambda: endpoint_name(request.name, aws)),
            quota("sagemaker", QUOTA, at_once, "requests at once on serverless endpoints", aws),
            *_canary(request),
        ],
    )


def limits(request: PlanRequest) -> list[Finding]:
    """The service's own limits, from the catalog: image, requests at once, network, Region."""
    chosen, need = option(request.ranked.option), request.need
    image_gb = (chosen.image_mb(need.model) + request.artifact.size_mb) / MB_IN_GB
    most_gb = chosen.number("max_image_gb")
    offered = chosen.fact("regions_offered").value
    regions = offered if isinstance(offered, tuple) else ()
    found = []
    if image_gb > most_gb:
        found.append(
            bad(
                "image",
                f"the image with the model would be about {image_gb:,.1f} GB and a serverless "
                f"endpoint takes {most_gb:g} GB",
                "choose sagemaker-realtime, or make the model smaller",
            )
        )
    else:
        found.append(good("image", f"about {image_gb:,.1f} of {most_gb:g} GB"))
    if need.control.private_network:
        found.append(
            bad(
                "network",
                "control.private_network is true, and a serverless endpoint cannot be in a VPC",
                "choose sagemaker-realtime, or answer false",
            )
        )
    if request.ranked.region not in regions:
        found.append(
            bad(
                "region",
                f"serverless endpoints are not offered in {request.ranked.region}",
                f"use one of {', '.join(regions[:6])} …, or choose sagemaker-realtime",
            )
        )
    return found


def _canary(request: PlanRequest) -> list[Finding]:
    if not request.need.control.canary:
        return []
    return [
        unknown(
            "canary",
            "a serverless endpoint has one variant: updates switch all at once, and back only when "
            "the new one does not start",
        )
    ]
