"""Failures on demand: an API call that answers with an error, a resource that does not come up."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock


@dataclass
class Fault:
    """`where` is "sts.GetCallerIdentity" for a call, "create AWS::X::Y" for a resource."""

    where: str
    code: str
    message: str
    status: int = 400
    times: int = 1  # how often it strikes
    skip: int = 0  # how often it lets pass before


class Faults:
    """The faults that are armed, and how often each place was reached."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._armed: list[Fault] = []
        self.calls: dict[str, int] = {}

    def arm(self, fault: Fault) -> None:
        with self._lock:
            self._armed.append(fault)

    def take(self, where: str) -> Fault | None:
        """The fault that strikes here now, if any; counts the visit."""
        with self._lock:
            self.calls[where] = self.calls.get(where, 0) + 1
            for fault in self._armed:
                if fault.where == where and fault.times > 0:
                    if fault.skip > 0:
                        fault.skip -= 1
                        return None
                    fault.times -= 1
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()
            self.calls.clear()


FAULTS = Faults()
