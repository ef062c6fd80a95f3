"""Which targets there are, and which of them deploys an option."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType

from advisor.catalog.loader import option as catalog_option
from advisor.errors import InputError
from deploy.target import Target

_PACKAGE = import_module("deploy.targets")


def target(name: str) -> Target:
    """The target of that name, e.g. "local". Raises InputError naming the ones there are."""
    found = _named(name)
    if found is None:
        raise InputError(
            f"there is no deployment target {name!r}; use one of {_listing()}, or plan again"
        )
    return found


def targets() -> list[Target]:
    """Every target that this installation can deploy to, by name."""
    by_name = {cls.name: cls for module in _module_names() for cls in _classes(module)}
    return [by_name[name]() for name in sorted(by_name)]


def target_for(option_id: str) -> Target:
    """The target that deploys a catalog option.

    Raises InputError when the option is unknown, or when nothing here deploys it; the message
    names the option and the targets that exist.
    """
    option = catalog_option(option_id)
    found = _named(option.deploy.target)
    if found is None:
        raise InputError(
            f"option {option_id!r} is compared but cannot be deployed from here: its target "
            f"{option.deploy.target!r} does not exist; the targets are {_listing()}"
        )
    return found


def _named(name: str) -> Target | None:
    modules = _module_names()
    # The module that carries the name comes first, so that one target loads one cloud SDK.
    own = name.replace("-", "_")
    for module in sorted(modules, key=lambda m: m != own):
        for cls in _classes(module):
            if cls.name == name:
                return cls()
    return None


def _listing() -> str:
    return ", ".join(t.name for t in targets())


def _module_names() -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(_PACKAGE.__path__))


@cache
def _classes(module_name: str) -> tuple[type[Target], ...]:
    module: ModuleType = import_module(f"{_PACKAGE.__name__}.{module_name}")
    return tuple(
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, Target)
        and cls.__module__ == module.__name__
        and not inspect.isabstract(cls)
    )
