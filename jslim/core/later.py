"""Imports that are carried out when a name is first asked for."""

import importlib
import importlib.abc
import importlib.util
import types
from collections.abc import Sequence


def names_in(module: str) -> dict[str, tuple[str, str]]:
    """`{name: (module, attribute)}` for a module that has only `from module import attribute`.

    Its code runs with an import function that notes the names and imports nothing.
    """
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert isinstance(spec.loader, importlib.abc.InspectLoader)
    code = spec.loader.get_code(module)
    assert code is not None
    names: dict[str, object] = {"__builtins__": {"__import__": _noted}}
    exec(code, names)
    return {name: place for name, place in names.items() if isinstance(place, tuple)}


def _noted(
    module: str, within: object, local: object, names: Sequence[str], level: int
) -> types.SimpleNamespace:
    return types.SimpleNamespace(**{name: (module, name) for name in names})


def imported(module: str, attribute: str) -> object:
    """The object that `from module import attribute` gives."""
    holder = importlib.import_module(module)
    if hasattr(holder, "__path__") and importlib.util.find_spec(f"{module}.{attribute}"):
        return importlib.import_module(f"{module}.{attribute}")
    return getattr(holder, attribute)
