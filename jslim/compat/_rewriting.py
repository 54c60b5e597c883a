"""An import hook that reads old programs: `shape[0].value`, `xrange`, `dict.iteritems`.

Files stay as they are. Their syntax trees are changed before they are compiled: an attribute that
TensorFlow 1 or Python 2 has, and that its value may lack, is read by `rules.read`. Comparisons by
`==` are those of TensorFlow 1, where an array is equal to itself only.
"""

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import sysconfig
import types
from collections.abc import Sequence
from typing import Any

from jslim.compat import rules

_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Eq: "__jslim_are_same__",
    ast.NotEq: "__jslim_are_others__",
}
_HELPERS = {
    "__jslim_read__": rules.read,
    "__jslim_are_same__": rules.are_same,
    "__jslim_are_others__": rules.are_others,
    "__jslim_listed__": rules.listed,
}
_OWN = pathlib.Path(__file__).parents[1]


class _Changes(ast.NodeTransformer):
    """`value.name` becomes `__jslim_read__(value, 'name')`, and `==` and `!=` calls too."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load) or node.attr not in rules.NAMES_OF_ATTRIBUTES:
            return node
        return _call("__jslim_read__", [node.value, ast.Constant(node.attr)], node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        name = _COMPARISONS.get(type(node.ops[0]))
        if name is None or len(node.ops) > 1:
            return node
        return _call(name, [node.left, node.comparators[0]], node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        of = node.func
        if not isinstance(of, ast.Attribute) or of.attr not in ("items", "keys", "values"):
            return node
        has_arguments = node.args or node.keywords
        return node if has_arguments else _call("__jslim_listed__", [node], node)


class _BesideFirst(ast.NodeTransformer):
    """In a file of a package `import net` of a file beside it becomes `from . import net`.

    So Python 2 reads it. What Python 3 finds elsewhere stays as it is.
    """

    def __init__(self, folder: str) -> None:
        self._folder = pathlib.Path(folder)

    def visit_Import(self, node: ast.Import) -> list[ast.stmt]:
        found: list[ast.stmt] = []
        for alias in node.names:
            root, _, part = alias.name.partition(".")
            if not self._is_beside(root):
                found.append(ast.Import([alias]))
            elif part and alias.asname:
                module, _, name = alias.name.rpartition(".")
                found.append(ast.ImportFrom(module, [ast.alias(name, alias.asname)], 1))
            else:
                found.append(ast.ImportFrom(None, [ast.alias(root, alias.asname)], 1))
                if part:
                    module, _, name = alias.name.rpartition(".")
                    found.append(ast.ImportFrom(module, [ast.alias(name, f"_{name}")], 1))
        return [ast.fix_missing_locations(ast.copy_location(new, node)) for new in found]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        if node.level == 0 and node.module and self._is_beside(node.module.partition(".")[0]):
            node.level = 1
        return node

    def _is_beside(self, root: str) -> bool:
        place = self._folder / root
        if not (place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()):
            return False
        return root in rules.LAST or (
            root not in sys.modules and importlib.util.find_spec(root) is None
        )


def _call(name: str, arguments: list[ast.expr], place: ast.expr) -> ast.expr:
    call = ast.Call(ast.Name(name, ast.Load()), arguments, [])
    return ast.fix_missing_locations(ast.copy_location(call, place))


def compiled(source: str | bytes, path: str, *, is_in_package: bool = False) -> types.CodeType:
    """The code of an old program.

    Args:
      source: The text of the file.
      path: Its path.
      is_in_package: Whether it belongs to a package, whose files it may import.

    Raises:
      SyntaxError: It is in Python 2's syntax, or in none.
    """
    try:
        tree = ast.parse(source, path)
    except SyntaxError as error:
        sign = next((what for words, what in rules.PYTHON_2.items() if words in str(error)), None)
        if sign is None:
            raise
        message = (
            f"{path}, line {error.lineno}: the file is in Python 2's syntax ({sign}); make it one "
            "for Python 3 first, for example by 2to3, which comes with Python up to 3.12"
        )
        raise SyntaxError(message) from None
    if is_in_package and not _has_absolute_import(tree):
        tree = _BesideFirst(os.path.dirname(path)).visit(tree)
    return compile(_Changes().visit(tree), path, "exec", dont_inherit=True)


def _has_absolute_import(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(alias.name == "absolute_import" for alias in node.names)
        for node in tree.body
    )


def prepare(module: types.ModuleType) -> None:
    """Gives a module the names that its code needs, before the code runs."""
    vars(module).update({**_HELPERS, **rules.BUILTINS})


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a file by `compiled`; its code is kept in no cache."""

    def get_code(self, fullname: str) -> types.CodeType:
        path = self.get_filename(fullname)
        is_in_package = "." in fullname or self.is_package(fullname)
        return compiled(self.get_data(path), path, is_in_package=is_in_package)

    def exec_module(self, module: types.ModuleType) -> None:
        prepare(module)
        super().exec_module(module)


class Rewriter(importlib.abc.MetaPathFinder):
    """Finds the files of programs as Python does, and loads them by `Loader`.

    Left alone are the files of Python, of installed packages and of jslim.
    """

    def __init__(self) -> None:
        places = {
            sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
        }
        self._others = tuple(os.path.realpath(place) + os.sep for place in (*places, str(_OWN)))

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        loader: Any = spec.loader if spec else None
        if spec is None or type(loader) is not importlib.machinery.SourceFileLoader:
            return None
        if os.path.realpath(loader.path).startswith(self._others):
            return None
        spec.loader = Loader(loader.name, loader.path)
        return spec


def module_of(path: str) -> types.ModuleType:
    """Loads a file as a module, with its folder where it looks for others.

    Raises:
      FileNotFoundError: There is no such file.
      SyntaxError: It is in Python 2's syntax, or in none.
    """
    file = pathlib.Path(path).resolve()
    if not file.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    folder = str(file.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = file.stem
    held = sys.modules.get(name)
    if held is not None and getattr(held, "__file__", None) == str(file):
        return held
    loader = Loader(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
