"""The way to a cluster's API server: its address from EKS, and tokens that IAM vouches for."""

from __future__ import annotations

import base64
import re
from typing import Any

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from advisor.errors import DeployError, PreflightError
from deploy.aws.session import Aws, code_of, told
from deploy.kubernetes.cluster import Cluster

TOKEN_PREFIX = "k8s-aws-v1."  # noqa: S105 - of every token
TOKEN_S = 60  # for the call that the cluster makes with it; the cluster takes it for 15 minutes
CLUSTER_HEADER = "x-k8s-aws-id"
ASSUMED = re.compile(r"^arn:(aws[a-z-]*):sts::(\d{12}):assumed-role/([^/]+)/")
MISSING = "ResourceNotFoundException"


def cluster_of(name: str, aws: Aws) -> Cluster:
    """The cluster of that name. Raises DeployError when there is none, or none that answers yet."""
    found = described(name, aws)
    if found is None:
        raise DeployError(f"there is no EKS cluster {name} in {aws.region}; look at its name")
    if found["status"] not in ("ACTIVE", "UPDATING"):
        raise DeployError(f"the cluster {name} is {found['status'].lower()}; wait, or destroy it")
    return Cluster(
        name, found["endpoint"], found["certificateAuthority"].get("data", ""),
        lambda: token(name, aws),
    )  # fmt: skip


def described(name: str, aws: Aws) -> dict[str, Any] | None:
    """What EKS says of the cluster, None when there is none."""
    try:
        with told(f"look at the cluster {name}"):
            found: dict[str, Any] = aws.client("eks").describe_cluster(name=name)["cluster"]
    except DeployError as error:
        if code_of(error) == MISSING:
            return None
        raise
    return found


def token(cluster: str, aws: Aws) -> str:
    """A bearer token: a signed question to STS, of who signed it, bound to the cluster's name.

    Raises PreflightError when this machine has no credentials.
    """
    credentials = aws.credentials()
    if credentials is None:
        raise PreflightError("this machine has no AWS credentials; sign in, and try again")
    chinese = aws.client("sts").meta.partition == "aws-cn"
    host = f"sts.{aws.region}.amazonaws.com" + (".cn" if chinese else "")
    request = AWSRequest(
        "GET", f"https://{host}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={CLUSTER_HEADER: cluster},
    )  # fmt: skip
    with told(f"sign in to the cluster {cluster}"):
        SigV4QueryAuth(credentials, "sts", aws.region, expires=TOKEN_S).add_auth(request)
    url = request.prepare().url
    return TOKEN_PREFIX + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def admin_arn(aws: Aws) -> str:
    """Who this machine is, as an access entry names it: the role behind a session, or the user.

    Raises PreflightError for the root user, or a role whose full name cannot be read.
    """
    arn: str = aws.identity["arn"]
    way_out = "name a role or user in ADVISOR_AWS_CLUSTER_ADMIN_ARN"
    session = ASSUMED.match(arn)
    if session is None:
        if ":user/" in arn or ":role/" in arn:
            return arn
        raise PreflightError(
            f"this machine works as {arn}, which cannot be an administrator of a cluster; {way_out}"
        )
    name = session.group(3)
    try:
        # The session's ARN lacks the role's path.
        with told(f"read the role {name}"):
            found: str = aws.client("iam").get_role(RoleName=name)["Role"]["Arn"]
    except DeployError as error:
        raise PreflightError(f"{error}; or {way_out}") from error
    return found
