"""The public names of jslim, and the page of the reference that each belongs to.

A module is public if `import jslim` leads to it through public names. Public in it are the names
that it defines and those that it imports as themselves (`import x as x`), if they have no leading
underscore. For `jslim` itself `dir` counts, which knows the names that are imported later.
"""

import ast
import functools
import importlib
import inspect
import logging
import types
import typing
from collections import defaultdict
from typing import NamedTuple


class Name(NamedTuple):
    """An object with all its public paths, the one to show first."""

    paths: tuple[str, ...]
    value: object


def _names_in(module: types.ModuleType) -> list[str]:
    """The public names of a module, in the order of its text."""
    if module.__name__ == "jslim":
        return [name for name in dir(module) if not name.startswith("_")]
    if hasattr(module, "__all__"):
        return list(module.__all__)
    names: list[str] = []
    for node in ast.parse(inspect.getsource(module)).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.append(name)
            case ast.ImportFrom(names=aliases):
                names += [alias.name for alias in aliases if alias.asname == alias.name]
            case ast.Assign(targets=targets):
                names += [target.id for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.append(name)
    return [name for name in names if not name.startswith("_")]


@functools.cache
def modules() -> dict[str, types.ModuleType]:
    """`{public path: module}`; of the paths to one module the first leads on to others."""
    found: dict[str, types.ModuleType] = {}
    paths = ["jslim"]
    for path in paths:
        above, _, name = path.rpartition(".")
        value = getattr(found[above], name) if above else importlib.import_module(name)
        if isinstance(value, types.ModuleType):
            if value not in found.values():
                paths += [f"{path}.{name}" for name in _names_in(value)]
            found[path] = value
    return found


@functools.cache
def pages() -> dict[str, list[Name]]:
    """For each public module, by its first path, what its page of the reference describes.

    An object stands once: on the page of the module whose folder it is defined in, under the path
    with the fewest parts.
    """
    page_of: dict[types.ModuleType, str] = {}
    paths, values = defaultdict(list), {}
    for path, module in modules().items():
        page_of.setdefault(module, path)
        for name in _names_in(module):
            value = getattr(module, name)
            if isinstance(value, (types.ModuleType, logging.Logger, typing.TypeVar)):
                continue
            key = id(value) if _is_own(value) else (module, name)
            paths[key].append((module, f"{path}.{name}"))
            values[key] = value
    found: dict[str, list[Name]] = {path: [] for path in page_of.values()}
    for key, value in values.items():
        home = max(
            (module for module, _ in paths[key]),
            key=lambda module: (
                f"{_defined_in(value)}.".startswith(f"{module.__name__}."),
                len(module.__name__),
            ),
        )
        ordered = sorted(paths[key], key=lambda at: (at[1].count("."), at[0] is not home))
        found[page_of[home]].append(Name(tuple(path for _, path in ordered), value))
    return found


def _defined_in(value: object) -> str:
    return str(getattr(getattr(value, "func", value), "__module__", ""))


def _is_own(value: object) -> bool:
    """Whether this object has one place: what is not of jslim may have several names by chance."""
    if isinstance(value, (dict, list)):
        return True
    is_defined = isinstance(value, (type, functools.partial)) or inspect.isroutine(value)
    return is_defined and _defined_in(value).startswith("jslim.")


def names() -> list[Name]:
    """All public objects, modules among them."""
    found = defaultdict(list)
    for path, module in modules().items():
        found[module].append(path)
    of_modules = [Name(tuple(paths), module) for module, paths in found.items()]
    return of_modules + [name for names in pages().values() for name in names]


@functools.cache
def paths() -> frozenset[str]:
    """All public paths."""
    return frozenset(path for name in names() for path in name.paths)
