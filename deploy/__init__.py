"""From a recommendation to a running endpoint. The door is `deploy.target(name)`.

`deploy.registry.targets()` lists them all: here that name is the package of their modules.
"""

from deploy.registry import target, target_for

__all__ = ["target", "target_for"]
