"""Load the public names of a package when they are first used (PEP 562)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from sys import modules as loaded
from typing import Any

_DISTRIBUTION = "pytest-grpc-pipeline"


def lazy_names(
    package: str, modules: Mapping[str, Sequence[str]]
) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package.

    Args:
        package: The name of the package.
        modules: The public names by the module that defines them. ``__version__`` is
            the version of the distribution.
    """
    module_of = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name == "__version__":
            # Here, since it takes as long to import as the rest of a command's --help.
            from importlib.metadata import version

            value: Any = version(_DISTRIBUTION)
        elif name in module_of:
            value = getattr(import_module(module_of[name]), name)
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(loaded[package], name, value)
        return value

    return __getattr__
