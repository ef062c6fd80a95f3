"""A person's decision to load code of their own with a model, and what was decided on.

What a harmful file would name is refused whoever decides (`model_server.accepted`). Everything
else outside the allow-list may be accepted: then it is loaded in the confined process and in the
deployed container, never in the app, and who, when, why and what go wherever the model goes.
"""

from __future__ import annotations

import hashlib
import stat
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from advisor.errors import InputError

LEAST_REASON, MOST_REASON = 10, 500


class Decision(BaseModel):
    """Who decided, when and why; `code_path`: the folder with the model's own .py files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str
    at: datetime
    reason: str
    code_path: str | None = None


class Acceptance(Decision):
    """A decision with what it was about. It holds for this digest, these names and this code."""

    digest: str  # sha256 of the model file
    findings: list[str] = Field(default_factory=list)  # what the safety check said, in sentences
    names: list[tuple[str, str, str]]  # (module, name, the module that defines it)
    code_digest: str | None = None  # sha256 of the code's names and contents

    @property
    def sentence(self) -> str:
        """For records: one line."""
        names = ", ".join(f"{module}.{name}" for module, name, _ in self.names)
        return (
            f"{self.by} accepted on {self.at:%Y-%m-%d %H:%M} UTC that the model (sha256 "
            f"{self.digest[:12]}) loads code outside the allow-list ({names}): {self.reason}"
        )

    def manifest(self) -> dict[str, object]:
        """For the bundle: the same, without a path of this machine."""
        return self.model_dump(mode="json", exclude={"code_path"})


def decided(reason: str, by: str, code: Path | None = None) -> Decision:
    """The decision of `by`, made now. Raises InputError for a reason that says nothing, a missing
    name, or a `code` that is no folder."""
    said = " ".join(reason.split())
    if not LEAST_REASON <= len(said) <= MOST_REASON:
        raise InputError(
            f"the reason {said[:40]!r} has {len(said)} characters; say in {LEAST_REASON} to "
            f"{MOST_REASON} why this code may be loaded"
        )
    if not by.strip():
        raise InputError("nobody is named as the one who decides; give a name")
    return Decision(
        by=by.strip(),
        at=datetime.now(UTC).replace(microsecond=0),
        reason=said,
        code_path=str(code_folder(code)) if code is not None else None,
    )


def decision_of(accepted: Acceptance | None) -> Decision | None:
    """The decision itself, to be taken to the same file again."""
    if accepted is None:
        return None
    return Decision(**accepted.model_dump(include=set(Decision.model_fields)))


def code_folder(code: Path) -> Path:
    """The whole path of a folder with code. Raises InputError for anything else."""
    try:
        kind = Path(code).lstat().st_mode
    except OSError as error:
        raise InputError(
            f"there is no code at {code} ({error.strerror}); name the folder with the .py files"
        ) from None
    if not stat.S_ISDIR(kind):
        raise InputError(f"{code} is no folder; name the folder with the model's .py files")
    return Path(code).resolve()


def code_files(code: Path) -> list[Path]:
    """The .py files in a folder, sorted, as paths below it; links are left out.

    The same files as the confined process finds (`model_server.accepted.code_files`).
    """
    return sorted(
        path.relative_to(code)
        for path in code.rglob("*.py")
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
    )


def code_digest(files: list[Path], code: Path) -> str:
    """sha256 over the names (below `code`) and contents of the files."""
    seen = hashlib.sha256()
    for path in files:
        content = hashlib.sha256((code / path).read_bytes()).hexdigest()
        seen.update(f"{path.as_posix()}\0{content}\n".encode())
    return seen.hexdigest()
