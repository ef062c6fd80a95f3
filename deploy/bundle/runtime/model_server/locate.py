"""Finds the model file and the manifest that says what it is."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import accepted
from .errors import ModelError
from .signature import Signature

BUNDLE = Path(__file__).resolve().parents[1]
CODE = "code"  # the bundle's folder of a person's own modules
MOUNTS = ("/opt/ml/model", "/var/azureml-app/azureml-models", "/mnt/models")


@dataclass(frozen=True)
class Located:
    """A model file, its format and signature, and the bundle's manifest."""

    path: Path
    format: str
    signature: Signature
    manifest: dict[str, Any]

    @property
    def other_versions(self) -> str:
        """Which libraries are here in other versions than the model was checked with, in words; ""
        where none is. Packed images have the same; an image or a machine of one's own may not."""
        from importlib.metadata import PackageNotFoundError, version

        found = []
        for package, wanted in (self.manifest.get("checked_with") or {}).items():
            try:
                here = version(package)
            except PackageNotFoundError:
                found.append(f"{package} {wanted}, which is not installed")
                continue
            if here != wanted:
                found.append(f"{package} {wanted}, and {here} is installed")
        return "; ".join(found)


def locate(env: Mapping[str, str] | None = None, bundle: Path = BUNDLE) -> Located:
    """The model that the manifest names, in the first place that holds it, digest checked.

    Places: $MODEL_DIR, /opt/ml/model (SageMaker), $AZUREML_MODEL_DIR or
    /var/azureml-app/azureml-models (Azure ML), /mnt/models (KServe), and `model` in the bundle.
    Names that a person accepted for this model (`accepted`) are known to the loaders from then on.
    Raises ModelError when it is in none of them, or is another file than the one checked.
    """
    env = os.environ if env is None else env
    manifest = _manifest(bundle)
    model = manifest["model"]
    accepted.take(model.get("accepted"), bundle / CODE)
    places = _places(env, bundle)
    for place in places:
        found = _file_in(place, str(model["file"]))
        if found is not None:
            _check_digest(found, str(model["digest"]))
            return Located(found, model["format"], Signature.of(model.get("signature")), manifest)
    hint = ""
    if env.get("AIP_STORAGE_URI"):
        hint = (
            f"; {env['AIP_STORAGE_URI']} is not downloaded by the server: bake the model into the "
            "image, or mount it and set MODEL_DIR"
        )
    raise ModelError(
        f"the model file {model['file']} is in none of {', '.join(map(str, places))}{hint}"
    )


def _places(env: Mapping[str, str], bundle: Path) -> list[Path]:
    if env.get("MODEL_DIR"):  # said outright: nowhere else is looked
        return [Path(env["MODEL_DIR"])]
    mounts = [Path(p) for p in MOUNTS]
    if env.get("AZUREML_MODEL_DIR"):
        mounts.insert(1, Path(env["AZUREML_MODEL_DIR"]))
    return [*mounts, bundle / "model"]


def _file_in(place: Path, name: str) -> Path | None:
    """The file itself, or below: Azure ML puts it under <name>/<version>/."""
    if (place / name).is_file():
        return place / name
    if not place.is_dir() or len(place.parts) < 3:
        return None
    below = sorted(place.glob(f"*/{name}")) + sorted(place.glob(f"*/*/{name}"))
    return next((p for p in below if p.is_file()), None)


def _manifest(bundle: Path) -> dict[str, Any]:
    path = bundle / "bundle.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as missing:
        raise ModelError(f"there is no manifest at {path}; pack the bundle again") from missing
    except ValueError as broken:
        raise ModelError(f"the manifest {path} is damaged: {broken}") from broken
    if not isinstance(found.get("model"), dict):
        raise ModelError(f"the manifest {path} does not say which model it is for")
    return found


def _check_digest(path: Path, wanted: str) -> None:
    seen = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            seen.update(part)
    if seen.hexdigest() != wanted:
        raise ModelError(
            f"{path} is not the model that was checked (sha256 {seen.hexdigest()[:12]}… instead of "
            f"{wanted[:12]}…); pack the bundle again with this model"
        )
