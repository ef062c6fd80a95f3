"""Stand-ins for the two programs a build calls: `docker` and `aws`.

They take the arguments the build specification gives them, refuse any others, and do what can be
done without a Docker engine: an image is the build context, kept under its digest, and pushing it
puts a manifest with that digest into the emulator's registry.

    python shims.py docker build --output type=docker --tag REPOSITORY:TAG .
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import sys
import urllib.request
from pathlib import Path
from typing import Any

SINGLE = "application/vnd.docker.distribution.manifest.v2+json"
ABOUT = {
    "info": '{"OSType": "linux", "Architecture": "x86_64", "ServerVersion": "28.0.0"}',
    "buildx": "Platforms: linux/amd64, linux/arm64",
    "context": "unix:///var/run/docker.sock",
}
INDEX = "application/vnd.oci.image.index.v1+json"


def main(arguments: list[str]) -> int:
    program, *rest = arguments
    if program == "aws":
        return login_password(rest)
    if rest[0] == "--config":  # where the sign-in is kept
        _, os.environ["SIGN_IN"], *rest = rest
    verb, *rest = rest
    if verb in ("info", "buildx", "context"):
        print(ABOUT[verb])
        return 0
    verbs = {"login": login, "build": build, "push": push, "inspect": inspect, "image": image}
    return verbs[verb](rest)


def login_password(rest: list[str]) -> int:
    parser = argparse.ArgumentParser("aws")
    parser.add_argument("service", choices=["ecr"])
    parser.add_argument("operation", choices=["get-login-password"])
    parser.add_argument("--region", required=True)
    given = parser.parse_args(rest)
    answer = _ecr(given.region, "GetAuthorizationToken", {})
    token = answer["authorizationData"][0]["authorizationToken"]
    print(base64.b64decode(token).decode().partition(":")[2])
    return 0


def login(rest: list[str]) -> int:
    parser = argparse.ArgumentParser("docker login")
    parser.add_argument("--username", required=True, choices=["AWS"])
    parser.add_argument("--password-stdin", action="store_true", required=True)
    parser.add_argument("registry")
    given = parser.parse_args(rest)
    if not sys.stdin.read().strip():
        return _fail("Error: Password required")
    if ".dkr.ecr." not in given.registry or "/" in given.registry:
        return _fail(f"Error: {given.registry} is not a registry")
    _signed_in().write_text(given.registry)
    print("Login Succeeded")
    return 0


def build(rest: list[str]) -> int:
    parser = argparse.ArgumentParser("docker build")
    parser.add_argument("--output", default="")
    parser.add_argument("--pull", action="store_true")
    parser.add_argument("--platform", default="linux/amd64")
    parser.add_argument("--tag", required=True)
    parser.add_argument("context")
    given = parser.parse_args(rest)
    context = Path(given.context).resolve()
    if not context.joinpath("Dockerfile").is_file():
        return _fail("ERROR: failed to read dockerfile: open Dockerfile: no such file or directory")
    print(f"#1 transferring context: {sum(1 for p in context.rglob('*') if p.is_file())} files")
    digest = bundle_hash(context)
    if given.tag.rpartition(":")[2].removesuffix("-arm64") != f"bundle-{digest[:24]}":
        return _fail(f"ERROR: {given.tag} does not name the bundle {digest[:24]} of this context")
    target = _store() / digest
    if not target.exists():
        shutil.copytree(context, target)
    # What BuildKit does unless told otherwise: attestations, hence an index instead of one image.
    plain = "type=docker" in given.output and os.environ.get("BUILDX_NO_DEFAULT_ATTESTATIONS")
    _tags({given.tag: [f"sha256:{digest}", SINGLE if plain else INDEX]})
    print(f"#2 naming to {given.tag} done")
    return 0


def push(rest: list[str]) -> int:
    (reference,) = rest
    repository, _, tag = reference.rpartition(":")
    registry, _, name = repository.partition("/")
    if not _signed_in().exists() or _signed_in().read_text() != registry:
        return _fail("denied: no basic auth credentials")
    if reference not in _tags():
        return _fail(f"An image does not exist locally with the tag: {repository}")
    config, media_type = _tags()[reference]
    # The tag's length as size: an image for another processor is another image.
    config_of = {"digest": config, "size": len(tag)}
    manifest = json.dumps({"schemaVersion": 2, "mediaType": media_type, "config": config_of})
    region = registry.split(".")[3]
    given = {
        "repositoryName": name,
        "imageManifest": manifest,
        "imageManifestMediaType": media_type,
        "imageTag": tag,
    }
    answer = _ecr(region, "PutImage", given)
    digest = answer["image"]["imageId"]["imageDigest"]
    _tags({reference: [config, media_type, f"{repository}@{digest}"]})
    print(f"{tag}: digest: {digest} size: {len(manifest)}")
    return 0


def inspect(rest: list[str]) -> int:
    parser = argparse.ArgumentParser("docker inspect")
    parser.add_argument("--format", required=True, choices=["{{index .RepoDigests 0}}"])
    parser.add_argument("reference")
    given = parser.parse_args(rest)
    known = _tags().get(given.reference, [])
    if len(known) < 3:
        return _fail(f"Error: No such object: {given.reference}")
    print(known[2])
    return 0


def image(rest: list[str]) -> int:
    verb, *rest = rest
    if verb == "inspect":
        print("arm64" if rest[-1].endswith("-arm64") else "amd64")
        return 0
    (reference,) = rest
    _store().joinpath("removed").write_text(reference)
    return 0


def bundle_hash(context: Path) -> str:
    """The hash of a bundle, computed from its files as unpacked here."""
    total = hashlib.sha256()
    for name in sorted(
        p.relative_to(context).as_posix() for p in context.rglob("*") if p.is_file()
    ):
        content = hashlib.sha256(context.joinpath(name).read_bytes()).hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()


def _store() -> Path:
    return Path(os.environ["EMULATOR_IMAGES"])


def _signed_in() -> Path:
    return Path(os.environ.get("SIGN_IN", _store()), "login")


def _tags(add: dict[str, list[str]] | None = None) -> dict[str, list[str]]:
    path = _store() / "tags.json"
    known: dict[str, list[str]] = json.loads(path.read_text()) if path.exists() else {}
    if add:
        known |= add
        path.write_text(json.dumps(known))
    return known


def _ecr(region: str, operation: str, given: dict[str, Any]) -> dict[str, Any]:
    """One signed call of the registry; without botocore's clients, which take half a second, and
    most of what is called here asks nobody."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    request = AWSRequest(
        "POST",
        os.environ["AWS_ENDPOINT_URL"] + "/",
        data=json.dumps(given).encode(),
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
        },
    )
    keys = (os.environ[f"AWS_{part}"] for part in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    SigV4Auth(Credentials(*keys, os.environ.get("AWS_SESSION_TOKEN")), "ecr", region).add_auth(
        request
    )
    prepared = request.prepare()
    sent = urllib.request.Request(
        prepared.url, data=prepared.body, headers=dict(prepared.headers), method="POST"
    )
    with urllib.request.urlopen(sent) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
