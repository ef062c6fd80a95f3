"""Going back on this machine: the bundle that served before, which is kept beside the one that does."""

from __future__ import annotations

from collections.abc import Sequence

from advisor.errors import InputError
from deploy.target import Plan, PlannedResource
from deploy.targets.local_record import bundle_name, created, directory, parameters, recorded


def plan_back(stands: Plan, earlier: Sequence[Plan]) -> Plan:
    """The plan of the version before, on the port that is asked for now. Keeps nothing on disk.

    Raises InputError when no version is kept.
    """
    name, server = stands.name, recorded(stands.name)
    former = server.former if server is not None else ""
    kept = directory(name) / former
    found = next((p for p in earlier if bundle_name(p.bundle_hash) == former), None)
    if server is None or not former or found is None or not kept.is_dir():
        raise InputError(
            f"{name} keeps no version before the one that runs: it was not updated with another "
            "model on this machine yet; plan with the model that you want"
        )
    own = {"port": parameters(stands).port}
    return found.model_copy(
        update={
            "rolls_back": True,
            "parameters": found.parameters | own,
            "findings": [],
            "resources": [
                created("process", f"{name} server", "of the bundle that is kept"),
                PlannedResource(
                    action="delete", kind="process", name=f"process {server.pid}", detail="replaced"
                ),
                PlannedResource(
                    action="keep",
                    kind="directory",
                    name=str(directory(name) / server.bundle),
                    detail="the bundle that serves now, to go forward again",
                ),
            ],
        }
    )
