"""What AWS and its SDK raise, as one sentence for a person; for whoever talks to AWS.

Which error it becomes is the caller's: `kind` tells trouble with the sign-in from a denial, a
region, a quota or the network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

Kind = Literal[
    "sign-in", "denied", "region", "network", "throttled", "limit", "time-out", "other",
]  # fmt: skip

EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidToken"}
NOT_KNOWN = {
    "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure",
    "InvalidAccessKeyId", "MissingAuthenticationToken", "InvalidSignatureException",
}  # fmt: skip
# Also said of other things: only with a clock that is seen to be wrong is it the clock.
WRONG_CLOCK = {"RequestTimeTooSkewed", "RequestInTheFuture"}
MAYBE_CLOCK = {*WRONG_CLOCK, "RequestExpired", "SignatureDoesNotMatch", "InvalidSignatureException"}
SIGNED_WHEN = re.compile(r"Signature (expired|not yet current)")
SURELY_WRONG_MINUTES = 5
DENIED = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized",
    "AuthorizationError", "Forbidden", "403",
}  # fmt: skip
THROTTLED = {
    "Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded",
    "TooManyRequestsException", "SlowDown", "PriorRequestNotComplete",
}  # fmt: skip
REGION_OFF = {"OptInRequired", "RegionDisabledException", "SubscriptionRequiredException"}
LIMIT = {
    "LimitExceeded", "LimitExceededException", "ResourceLimitExceeded", "ServiceQuotaExceeded",
    "ServiceQuotaExceededException", "AccountLimitExceededException",
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What kind of trouble it is, and the sentence."""

    kind: Kind
    sentence: str


def in_words(
    caught: ClientError | BotoCoreError,
    doing: str,
    *,
    when_denied: str = "ask whoever runs the account",
    when_no_region: str = "name one",
) -> Said:
    """The error as one sentence: what this machine was `doing`, what AWS said, the way out.

    `doing` is a verb and its object ("read the metrics of fraud").
    """
    if isinstance(caught, ClientError):
        return _of_client(caught, doing, when_denied)
    return _of_sdk(caught, doing, when_no_region)


def code_of(caught: ClientError) -> str:
    """The error code that AWS gave, "" where it gave none."""
    return str(caught.response.get("Error", {}).get("Code", ""))


def message_of(caught: ClientError) -> str:
    """What AWS itself said, without a final stop."""
    return str(caught.response.get("Error", {}).get("Message", "")).strip().rstrip(".")


def _of_client(caught: ClientError, doing: str, when_denied: str) -> Said:
    code, said = code_of(caught), message_of(caught)
    wrong = _clock(caught, code, said)
    if wrong:
        return Said(
            "sign-in",
            f"the clock of this machine {wrong}, and AWS takes no call that is signed at such a "
            f"time ({code}), so this machine could not {doing}; set its date, time and zone, and "
            "repeat",
        )
    if code in EXPIRED:
        return Said(
            "sign-in",
            f"the AWS credentials have expired ({code}), so this machine could not {doing}; sign "
            "in again (aws sso login, or a fresh session) and repeat",
        )
    if code in NOT_KNOWN:
        return Said(
            "sign-in",
            f"AWS does not know these credentials ({code}), so this machine could not {doing}; "
            "check them, and that the region is enabled for the account",
        )
    if code in DENIED:
        return Said("denied", f"AWS denied permission to {doing}: {said or code}; {when_denied}")
    if code in REGION_OFF:
        return Said(
            "region",
            f"the region or service is not enabled for this account ({code}), so this machine "
            f"could not {doing}; enable it or choose another region",
        )
    if code in THROTTLED:
        return Said(
            "throttled",
            f"AWS asked to slow down ({code}) for longer than the retries last, so this machine "
            f"could not {doing}; repeat in a minute",
        )
    if code in LIMIT:
        return Said(
            "limit",
            f"a quota of the account is used up ({said or code}), so this machine could not "
            f"{doing}; ask for more under Service Quotas",
        )
    return Said("other", f"AWS would not {doing}: {said or code}")


def _clock(caught: ClientError, code: str, said: str) -> str:
    """How wrong this machine's clock is, "" when that is not the trouble.

    AWS takes signatures of five minutes (S3: fifteen) around its own time, which its answer tells.
    """
    headers = caught.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        theirs = parsedate_to_datetime(str(headers.get("date", "")))
    except ValueError:
        return "is wrong" if code in WRONG_CLOCK else ""
    minutes = round((datetime.now(UTC) - theirs).total_seconds() / 60)
    if abs(minutes) < SURELY_WRONG_MINUTES or not (code in MAYBE_CLOCK or SIGNED_WHEN.search(said)):
        return ""
    hours = f"{abs(minutes) / 60:.1f} h" if abs(minutes) >= 120 else f"{abs(minutes)} minutes"
    return f"is {hours} {'ahead' if minutes > 0 else 'behind'}"


def _of_sdk(caught: BotoCoreError, doing: str, when_no_region: str) -> Said:
    if isinstance(caught, PartialCredentialsError):
        missing = caught.kwargs.get("cred_var", "")
        return Said(
            "sign-in",
            f"only a part of the AWS credentials is on this machine: {missing} is missing; set it, "
            "or sign in with 'aws sso login' or 'aws configure'",
        )
    if isinstance(caught, NoCredentialsError):
        return Said(
            "sign-in",
            "no AWS credentials were found on this machine; sign in with 'aws sso login' or "
            "'aws configure', set AWS_PROFILE, or run where an instance role is attached",
        )
    if isinstance(caught, SSOError | TokenRetrievalError | UnauthorizedSSOTokenError):
        return Said(
            "sign-in", f"the AWS sign-in has ended ({caught}); run 'aws sso login' and repeat"
        )
    if isinstance(caught, CredentialRetrievalError):
        return Said("sign-in", f"the AWS credentials could not be read: {caught}; sign in again")
    if isinstance(caught, ProfileNotFound):
        return Said("sign-in", f"{caught}; set AWS_PROFILE to a profile of ~/.aws/config")
    if isinstance(caught, NoRegionError):
        return Said("region", f"no AWS region was given; {when_no_region}")
    if isinstance(caught, EndpointConnectionError | ConnectTimeoutError):
        return Said(
            "network",
            f"AWS could not be reached to {doing} ({caught}); check the network and the region",
        )
    if isinstance(caught, ReadTimeoutError):
        return Said("time-out", f"AWS did not answer in time to {doing} ({caught}); repeat")
    return Said("other", f"this machine could not {doing}: {caught}")
