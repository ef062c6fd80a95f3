"""Is the bucket of the bootstrap stack where builds and jobs look for it: there, ours, in its region?

Builds and transform jobs read a bucket of their own region only, while the SDK follows a bucket to
any other: without this look an upload would succeed and what reads it fail later.
"""

from __future__ import annotations

from advisor.errors import DeployError
from deploy.aws.bootstrap import STACK_NAME, keeping_versions
from deploy.aws.findings import bad, good, unknown
from deploy.aws.session import Aws, code_of, told
from deploy.aws.stacks import Stacks
from deploy.target import Finding

CHECK = "bucket"
REGION_HEADER = "x-amz-bucket-region"  # told even to those who may not look
MISSING = "404"


def bucket_findings(aws: Aws, stacks: Stacks) -> list[Finding]:
    """One finding where the bootstrap stack has a bucket; none before it is made."""
    stack = stacks.find(STACK_NAME)
    name = stack.outputs.get("ArtifactBucket", "") if stack else ""
    return [_finding(name, aws)] if name else []


def _finding(name: str, aws: Aws) -> Finding:
    make = f"aws s3 mb s3://{name} --region {aws.region} && {keeping_versions(name)}"
    try:
        with told(f"look at the bucket {name}"):
            answer = aws.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=aws.account)
        region = answer.get("BucketRegion", aws.region)
    except DeployError as error:
        if code_of(error) == MISSING:
            said = f"the bucket {name} of the stack {STACK_NAME} was deleted by hand"
            return bad(CHECK, said, f"make it again: {make}")
        region = _told_region(error)
        if region in ("", aws.region):
            return unknown(CHECK, f"the bucket {name} could not be looked at: {error}")
    if region != aws.region:
        return bad(
            CHECK,
            f"the bucket {name} lies in {region}, and builds and jobs in {aws.region} read none "
            "from elsewhere",
            f"remove it there (aws s3 rb s3://{name} --region {region} --force) and make it again "
            f"here, once its name is free: {make}",
        )
    return good(CHECK, f"{name} lies in {region}")


def _told_region(error: DeployError) -> str:
    response = getattr(error.__cause__, "response", {})
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get(REGION_HEADER, ""))
