"""Modules under TensorFlow's names, found by an import hook."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import types
from collections.abc import Sequence
from typing import Any

from jslim.compat import rules
from jslim.compat.tf import _missing
from jslim.core.errors import did_you_mean


class OldModule(types.ModuleType):
    """A module that looks its names up in those of jslim when it is asked for them."""

    def __init__(self, name: str, holders: Sequence[str]) -> None:
        super().__init__(name, f"{name}, as jslim has it: {', '.join(holders)}.")
        self.__path__: list[str] = []  # so that it can have modules below it
        self._holders = tuple(holders)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        refusals = []
        for holder in self._holders:
            try:
                return getattr(importlib.import_module(holder), name)
            except AttributeError as error:
                refusals.append(error)
        raise refusals[0]

    def __dir__(self) -> list[str]:
        holders = map(importlib.import_module, self._holders)
        return sorted({name for holder in holders for name in dir(holder)})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules by `rules.MODULES` and `rules.FOLDERS`; some only if nothing else does."""

    def __init__(self, *, is_last: bool) -> None:
        self._is_last = is_last

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        root = fullname.partition(".")[0]
        roots = {name.partition(".")[0] for name in rules.MODULES}
        if root not in roots or (root in rules.LAST) != self._is_last:
            return None
        if holders_of(fullname) is None:
            if self._is_last:
                return None
            raise unknown(fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        holders = holders_of(spec.name)
        assert holders is not None
        return OldModule(spec.name, holders)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def holders_of(name: str) -> tuple[str, ...] | None:
    """The modules of jslim that have the names of an old one; None if there is none."""
    if name in rules.MODULES:
        return rules.MODULES[name]
    for folder, places in rules.FOLDERS.items():
        if name.startswith(f"{folder}."):
            for place in places:
                full = f"{place}.{name.removeprefix(f'{folder}.')}"
                if _exists(full):
                    return (full,)
    return None


def _exists(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError:
        return False
    return True


def unknown(name: str) -> ModuleNotFoundError:
    """The error for a module of TensorFlow that is not here; it offers the nearest ones."""
    own = name.removeprefix("tensorflow.").removeprefix("compat.v1.")
    if own in _missing.names():
        return ModuleNotFoundError(str(_missing.refusal(f"tf.{own}")))
    # Without the name, so that `from tensorflow.a import b` shows this error and not its own.
    return ModuleNotFoundError(
        f"{name} is not among the modules of TensorFlow that jslim.compat has"
        f"{did_you_mean(name, rules.MODULES)}; docs/compat.md lists them"
    )
