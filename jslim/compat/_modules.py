"""Modules under TensorFlow's names, found by an import hook."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import types
from collections.abc import Sequence
from typing import Any, NoReturn

from jslim.compat import rules
from jslim.compat.tf import _missing
from jslim.core.errors import did_you_mean


class OldModule(types.ModuleType):
    """A module that looks its names up in those of jslim when it is asked for them."""

    def __init__(self, name: str, holders: Sequence[str]) -> None:
        super().__init__(name, f"{name}, here made of {', '.join(holders)}.")
        self.__path__: list[str] = []  # so that it can have modules below it
        self._holders = tuple(holders)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        part = f"{self.__name__}.{name}"
        if part.startswith(rules.PARTS_FIRST) and part in rules.MODULES:
            return importlib.import_module(part)
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


class Absent(types.ModuleType):
    """A module, or a name in one, that is not here: a file can import it, and not use it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def _refusal(self, name: str = "") -> AttributeError:
        full = f"{self.__name__}.{name}".rstrip(".")
        own = full.removeprefix("tensorflow.").removeprefix("compat.v1.")
        parts = own.split(".")
        for count in range(len(parts), 0, -1):
            if (known := ".".join(parts[:count])) in _missing.names():
                return _missing.refusal(f"tf.{known}")
        return _missing.NotInJslim(
            f"{full} is not among the modules of TensorFlow that jslim.compat has"
            f"{did_you_mean(self.__name__, rules.MODULES)}; docs/compat.md lists them"
        )

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        raise self._refusal(name)

    def __call__(self, *args: object, **kwargs: object) -> NoReturn:
        raise self._refusal()

    def __mro_entries__(self, bases: tuple[type, ...]) -> NoReturn:
        raise self._refusal()


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules by the tables of `rules`; some only if nothing else does.

    Every other module of TensorFlow is `Absent`.
    """

    def __init__(self, *, is_last: bool) -> None:
        self._is_last = is_last

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        root = fullname.partition(".")[0]
        roots = {name.partition(".")[0] for name in (*rules.MODULES, *rules.LAST)}
        if root not in roots or (root in rules.LAST) != self._is_last:
            return None
        if self._is_last and holders_of(fullname) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        holders = holders_of(spec.name)
        return Absent(spec.name) if holders is None else OldModule(spec.name, holders)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def holders_of(name: str) -> tuple[str, ...] | None:
    """The modules that have the names of an old one; None if there is none."""
    if name in rules.MODULES:
        return rules.MODULES[name]
    if name in rules.PYTHON_2_MODULES:
        return (rules.PYTHON_2_MODULES[name],)
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
