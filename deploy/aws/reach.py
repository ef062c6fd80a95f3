"""Who can reach a container that answers requests, what lets them in, and what that costs."""

from __future__ import annotations

import os

from advisor.costs.usage import parse_usage, price_usage
from deploy.aws.findings import bad, good, unknown
from deploy.aws.limits import limit
from deploy.aws.session import AwsSettings
from deploy.requests import PlanRequest
from deploy.target import Finding

PRIVATE, GATEWAY_IAM, GATEWAY_JWT, CERTIFICATE, URL_IAM = (
    "private", "gateway-iam", "gateway-jwt", "certificate", "url-iam",
)  # fmt: skip
KB_PER_MB = 1024
JWT_VARIABLE = "ADVISOR_AWS_JWT"  # a token of the issuer, for this machine's own calls


def reach_of(request: PlanRequest, given: AwsSettings) -> str:
    """One of the template's values for Reach: private unless the request says public."""
    if not request.public:
        return PRIVATE
    if given.certificate_arn:
        return CERTIFICATE
    return GATEWAY_JWT if given.jwt_issuer else GATEWAY_IAM


def reach_parameters(request: PlanRequest, given: AwsSettings) -> dict[str, str]:
    """The template's parameters about who can reach it."""
    return {
        "Reach": reach_of(request, given),
        "JwtIssuer": given.jwt_issuer,
        "JwtAudience": ",".join(given.jwt_audience),
        "CertificateArn": given.certificate_arn,
        "Domain": given.domain,
    }


def gateway_usd(request: PlanRequest, given: AwsSettings) -> float:
    """What an HTTP API in front costs a month, in USD; 0 where there is none.

    The recommendation does not know whether the deployment will be public.
    """
    if reach_of(request, given) not in (GATEWAY_IAM, GATEWAY_JWT):
        return 0.0
    traffic = request.need.traffic
    item = {
        "service": "api-gateway-http",
        "requests": traffic.requests_per_month,
        "request_kb": traffic.request_mb * KB_PER_MB,
        "response_kb": traffic.response_mb * KB_PER_MB,
    }
    return price_usage(parse_usage({"region": request.ranked.region, "items": [item]})).total_usd


def said(request: PlanRequest, given: AwsSettings) -> tuple[tuple[str, ...], str]:
    """What becomes public, and what a caller needs, in words."""
    return said_of(reach_of(request, given), given)


def said_of(reach: str, given: AwsSettings) -> tuple[tuple[str, ...], str]:
    """The same for a reach that is known."""
    if reach == URL_IAM:
        return (
            ("a function URL on the internet, over TLS: only IAM-signed calls are answered",),
            "Whoever calls it needs lambda:InvokeFunctionUrl and lambda:InvokeFunction on the "
            "function.",
        )
    if reach == GATEWAY_IAM:
        return (
            ("an HTTP API on the internet, over TLS: only IAM-signed calls are passed on",),
            "Whoever calls it needs execute-api:Invoke on the HTTP API.",
        )
    if reach == GATEWAY_JWT:
        return (
            (f"an HTTP API on the internet, over TLS: only tokens of {given.jwt_issuer} pass",),
            f"Whoever calls it needs a token of {given.jwt_issuer} for "
            f"{', '.join(given.jwt_audience)}.",
        )
    if reach == CERTIFICATE:
        return (
            (f"https://{given.domain} on the internet: the server checks a bearer token",),
            "Whoever calls it needs the bearer token, kept as a secret of the account.",
        )
    return (
        ("nothing: the load balancer has addresses inside the network only",),
        "Whoever calls it needs a way into the network, and no credentials there.",
    )


def findings(request: PlanRequest, given: AwsSettings) -> list[Finding]:
    """Is everything there that this reach needs, and does the traffic pass?"""
    reach = reach_of(request, given)
    if reach != PRIVATE and request.need.control.private_network:
        return [
            bad(
                "reach",
                "public was asked for, and control.private_network is true",
                "leave public out, or answer control.private_network with false",
            )
        ]
    if reach == CERTIFICATE:
        if not given.domain:
            return [
                bad(
                    "reach",
                    f"the certificate {given.certificate_arn} came without the name it is for",
                    "set ADVISOR_AWS_DOMAIN to the name that you will point at the load balancer",
                )
            ]
        return [
            good("reach", f"https://{given.domain}, with a bearer token"),
            unknown(
                "secret", "the secret that holds the token bills too, and is not in the prices"
            ),
        ]
    if reach == GATEWAY_JWT and not given.jwt_audience:
        return [no_audience(given)]
    if reach == PRIVATE:
        return [good("reach", "only from inside the network")]
    return [
        _passes_gateway(request),
        good("reach", "an HTTP API; every call is authenticated"),
        *token_findings(reach, given),
    ]


def token_findings(reach: str, given: AwsSettings) -> list[Finding]:
    """Where tokens let callers in: has this machine one for the test prediction?"""
    if reach != GATEWAY_JWT:
        return []
    wanted = f"a token of {given.jwt_issuer} for {', '.join(given.jwt_audience)}"
    if os.environ.get(JWT_VARIABLE, "").strip():
        return [good("token", f"{JWT_VARIABLE} holds one for the test prediction")]
    return [
        unknown(
            "token",
            "the test prediction will be refused, and the run end as failed over what it deployed",
            f"set {JWT_VARIABLE} to {wanted} before apply",
        )
    ]


def no_audience(given: AwsSettings) -> Finding:
    """An issuer without audiences: refused, for whatever a token was made it would pass."""
    return bad(
        "reach",
        f"tokens of {given.jwt_issuer} would pass for whatever they were made",
        "set ADVISOR_AWS_JWT_AUDIENCE",
    )


def _passes_gateway(request: PlanRequest) -> Finding:
    need, fix = request.need, "deploy it private, or with a certificate of your own"
    largest_mb = max(need.traffic.request_mb, need.traffic.response_mb)
    longest_s = need.service.max_processing_s or request.ranked.sizing.service_time_ms / 1000
    if largest_mb > limit("gateway_payload_mb"):
        return bad(
            "gateway",
            f"{largest_mb:g} MB are more than the {limit('gateway_payload_mb'):g} MB that an HTTP "
            "API passes on",
            fix,
        )
    if longest_s > limit("gateway_timeout_s"):
        return bad(
            "gateway",
            f"a request may take {longest_s:g} s and an HTTP API waits "
            f"{limit('gateway_timeout_s'):g} s",
            fix,
        )
    return good("gateway", "requests and answers pass an HTTP API")
