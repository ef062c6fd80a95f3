"""The Dockerfile and the small files beside it."""

from __future__ import annotations

from deploy.artifact import Artifact
from deploy.bundle.base_image import OFFICIAL

CPU_TORCH = "https://download.pytorch.org/whl/cpu"
IGNORED = "**/__pycache__\n**/*.pyc\n*.zip\n*.part\n.dockerignore\nDockerfile\n"
# Some platforms start the image as `serve` and nothing else.
SERVE_SCRIPT = """\
#!/usr/bin/env python3
import runpy
import sys

sys.path.insert(0, "/opt/program")
sys.argv = ["serve", *(sys.argv[1:] or ["serve"])]
runpy.run_module("model_server", run_name="__main__", alter_sys=True)
"""

_HTTP_END = """\
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \\
    CMD ["python", "-m", "model_server", "health"]
ENTRYPOINT ["python", "-m", "model_server"]
CMD ["serve"]
"""
_LAMBDA_END = """\
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["model_server.lambda_handler.handler"]
"""


def text(artifact: Artifact, variant: str, python_version: str, base: str) -> str:
    """The Dockerfile of a bundle on the image `base`; it needs nothing outside of the bundle's folder.

    One layer for the libraries, so that a new model or server rebuilds in seconds. Bytecode is
    compiled at build time: the server then starts two to three times sooner.
    """
    index = f" --extra-index-url {CPU_TORCH}" if "torch" in artifact.libraries else ""
    system = (
        "RUN apt-get update \\\n"
        "    && apt-get install -y --no-install-recommends libgomp1 \\\n"
        "    && rm -rf /var/lib/apt/lists/*\n"
        if "lightgbm" in artifact.libraries  # its wheel leaves OpenMP to the system
        else ""
    )
    return (
        f"FROM {base}\n"
        f"{_same_python(base, python_version)}"
        f"{system}"
        "ENV PYTHONUNBUFFERED=1 PYTHONPATH=/opt/program PIP_DISABLE_PIP_VERSION_CHECK=1\n"
        "WORKDIR /opt/program\n"
        "COPY requirements.txt ./\n"
        "RUN PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore \\\n"
        f"    pip install --no-cache-dir --compile{index} -r requirements.txt\n"
        "COPY . ./\n"
        "RUN python -m compileall -q model_server \\\n"
        "    && install -m 0755 serve /usr/local/bin/serve \\\n"
        "    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin model\n"
        "USER 10001\n"
        f"{_LAMBDA_END if variant == 'lambda' else _HTTP_END}"
    )


def _same_python(base: str, python_version: str) -> str:
    """A mirror is taken at its word but for this: pins and pickles hold for one Python only."""
    if base.startswith(f"{OFFICIAL}:"):
        return ""
    check = f"import sys; sys.exit(sys.version_info[:2] != {_pair(python_version)})"
    said = f"the base image has no Python {python_version}, which this bundle was packed for"
    return f"RUN python -c '{check}' || {{ echo '{said}' >&2; exit 1; }}\n"


def _pair(python_version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in python_version.split("."))
