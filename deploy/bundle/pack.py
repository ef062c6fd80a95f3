"""Packs a model and the server into one folder that every target runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from advisor.errors import ArtifactError
from deploy.acceptance import code_digest, code_files
from deploy.artifact import Artifact
from deploy.bundle import dockerfile
from deploy.bundle.base_image import base_image
from deploy.bundle.requirements import pinned

Variant = Literal["http", "batch", "lambda"]

HERE = Path(__file__).resolve().parent
SERVER = HERE / "runtime" / "model_server"
BUNDLE_VERSION = 1
CODE = "code"  # as in model_server.locate
SERVER_PACKAGES = (
    "uvicorn", "uvloop", "httptools", "orjson", "numpy", "prometheus-client", "fastapi",
)  # fmt: skip
VARIANT_PACKAGES: dict[str, tuple[str, ...]] = {
    "http": (),
    "batch": ("boto3",),
    "lambda": ("mangum", "awslambdaric"),
}
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can tell: the same for every archive


@dataclass(frozen=True)
class Bundle:
    """A packed bundle. `hash` (sha256) covers every file's name and content, and nothing else."""

    path: Path
    hash: str
    files: list[str]
    image_tag: str
    requirements: list[str]
    python_version: str
    variant: Variant = "http"


def pack(artifact: Artifact, into: Path, *, variant: Variant = "http") -> Bundle:
    """Write the bundle of a model into the folder `into` (made; must be empty or an old bundle).

    The same artifact and variant give the same hash on machines with the same library versions.
    "batch" is "http" with boto3 for s3:// paths. Raises ArtifactError when the model file changed
    since it was looked at, when a library it was checked with is gone, or when `into` holds other
    things; InputError for a base image (ADVISOR_BASE_IMAGE) that is none.
    """
    into = Path(into)
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    base = base_image(python_version)
    _empty(into)
    name = f"model{_ending(artifact)}"
    requirements = _requirements(artifact, variant)

    _copy_server(into / "model_server", with_lambda=variant == "lambda")
    (into / "model").mkdir()
    shutil.copyfile(artifact.path, into / "model" / name)
    if _digest(into / "model" / name) != artifact.digest:
        shutil.rmtree(into)
        raise ArtifactError(
            f"{artifact.path.name} changed since it was looked at; look at it again before packing"
        )
    _copy_code(artifact, into / CODE)
    _write(into / "requirements.txt", "\n".join(requirements) + "\n")
    _write(into / "serve", dockerfile.SERVE_SCRIPT)
    _write(into / ".dockerignore", dockerfile.IGNORED)
    _write(into / "Dockerfile", dockerfile.text(artifact, variant, python_version, base))
    _write(into / "bundle.json", _manifest(artifact, variant, name, python_version))
    for path in into.rglob("*"):
        path.chmod(0o755 if path.is_dir() or path.name == "serve" else 0o644)
    files = _files(into)
    found = _hash(into, files)
    return Bundle(into, found, files, image_tag(found), requirements, python_version, variant)


def archive(bundle: Bundle) -> Path:
    """The bundle as a zip beside its folder: sorted, without times, the same for the same bundle.

    Blocks while it compresses; an archive of this very bundle that is already there is kept.
    """
    path = bundle.path.parent / f"{bundle.path.name}-{bundle.hash[:16]}.zip"
    if path.is_file():
        return path
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as out:
        for name in bundle.files:
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if name == "serve" else 0o100644) << 16
            with (bundle.path / name).open("rb") as source, out.open(info, "w") as target:
                shutil.copyfileobj(source, target, 1 << 20)
    part.replace(path)
    return path


def image_tag(bundle_hash: str, architecture: str = "x86_64") -> str:
    """An image tag that names exactly this bundle, built for that processor."""
    tag = f"bundle-{bundle_hash[:24]}"
    return tag if architecture == "x86_64" else f"{tag}-{architecture}"


def _requirements(artifact: Artifact, variant: Variant) -> list[str]:
    """Every package at the version that the model was checked with, closure included."""
    for package, version in artifact.libraries.items():
        try:
            here = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            here = "not installed"
        if here != version:
            raise ArtifactError(
                f"the model was checked with {package} {version} and here it is {here}; "
                "look at the model again before packing"
            )
    wanted = [*SERVER_PACKAGES, *VARIANT_PACKAGES[variant], *artifact.libraries]
    return pinned(wanted)


def _manifest(artifact: Artifact, variant: str, name: str, python_version: str) -> str:
    return (
        json.dumps(
            {
                "bundle_version": BUNDLE_VERSION,
                "variant": variant,
                "python": python_version,
                "model": {
                    "file": name,
                    "format": artifact.format,
                    "digest": artifact.digest,
                    "size_bytes": artifact.size_bytes,
                    "signature": artifact.signature.model_dump(mode="json")
                    if artifact.signature
                    else None,
                    **({"accepted": artifact.accepted.manifest()} if artifact.accepted else {}),
                },
                "checked_with": artifact.libraries,
            },
            indent=1,
            sort_keys=True,
        )
        + "\n"
    )


def _copy_server(into: Path, *, with_lambda: bool) -> None:
    into.mkdir(parents=True)
    for path in sorted(SERVER.rglob("*.py")):
        if path.name == "lambda_handler.py" and not with_lambda:
            continue
        target = into / path.relative_to(SERVER)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _copy_code(artifact: Artifact, into: Path) -> None:
    """The person's own modules that the model needs, exactly those that were accepted."""
    accepted = artifact.accepted
    if accepted is None or accepted.code_path is None:
        return
    code = Path(accepted.code_path)
    files = code_files(code)
    for path in files:
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(code / path, target)
    if code_digest(files, into) != accepted.code_digest:
        raise ArtifactError(
            f"the code in {code} changed since it was accepted; look at the model again"
        )


def _empty(into: Path) -> None:
    """An old bundle is replaced; anything else is not ours to remove."""
    if not into.exists():
        into.mkdir(parents=True)
    elif any(into.iterdir()):
        if not (into / "bundle.json").is_file():
            raise ArtifactError(f"{into} is not empty and holds no bundle; give another folder")
        shutil.rmtree(into)
        into.mkdir()


def _ending(artifact: Artifact) -> str:
    usual = {
        "joblib": ".joblib",
        "pickle": ".pkl",
        "skops": ".skops",
        "onnx": ".onnx",
        "torch": ".pt",
        "xgboost": ".ubj",
        "lightgbm": ".txt",
    }
    if artifact.format == "torch" and artifact.path.suffix == ".pt2":
        return ".pt2"
    return usual.get(artifact.format, artifact.path.suffix)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _hash(folder: Path, files: list[str]) -> str:
    seen = hashlib.sha256()
    for name in files:
        seen.update(f"{name}\0{_digest(folder / name)}\n".encode())
    return seen.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
