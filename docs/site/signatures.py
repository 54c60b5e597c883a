"""For mkdocstrings: what decorators make of public functions, read from the functions themselves.

griffe, which reads the source, sees the body of a layer and not the layer: `conv2d` is an
assignment there, and its signature, defaults and docstring are made when the module is imported.
"""

import ast
import functools
import inspect
import re
import types

import griffe

from docs.site import public
from docs.site.docstrings import to_markdown

LONGEST_VALUE = 200  # of a constant that is shown; of others the source shows all


class Signatures(griffe.Extension):
    """Functions with the signature and docstring that they have, and names with all their paths."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: object) -> None:
        _convert(pkg)
        for name in public.names():
            shown = name.paths[0]
            above, _, last = shown.rpartition(".")
            if isinstance(name.value, types.FunctionType) or _is_variant(name.value):
                module = _find(pkg, above)
                module.members[last] = _function(pkg, module, last, name.value)
            # mkdocstrings puts these paths into the inventory too.
            _find(pkg, shown).aliases.update(dict.fromkeys(name.paths))


def _is_variant(value: object) -> bool:
    """Whether it is a partial function with a docstring: a function to whoever reads of it."""
    return isinstance(value, functools.partial) and "__doc__" in vars(value)


def _find(pkg: griffe.Module, path: str) -> griffe.Object:
    """What a path in the package stands for in the end."""
    below = path.removeprefix(pkg.name).removeprefix(".")
    found = pkg[below] if below else pkg
    return found.final_target if isinstance(found, griffe.Alias) else found


def _function(
    pkg: griffe.Module, module: griffe.Module, name: str, value: types.FunctionType
) -> griffe.Function | griffe.Alias:
    """The member `name` of a module for a function, which may be defined elsewhere."""
    inner = inspect.unwrap(value)
    while isinstance(inner, functools.partial):
        inner = inspect.unwrap(inner.func)
    lines, first = inspect.getsourcelines(inner)
    home = _find(pkg, inner.__module__)
    body = home.members.get(inner.__code__.co_name)
    written = {p.name: p for p in body.parameters} if isinstance(body, griffe.Function) else {}
    signature = inspect.signature(value)
    function = griffe.Function(
        name,
        lineno=first,
        endlineno=first + len(lines) - 1,
        parent=home,
        parameters=griffe.Parameters(
            *(_parameter(p, written.get(p.name)) for p in signature.parameters.values())
        ),
        returns=body.returns if written else _annotation(signature.return_annotation),
    )
    if text := inspect.getdoc(value):
        function.docstring = griffe.Docstring(to_markdown(text), lineno=first, parent=function)
    return function if module is home else griffe.Alias(name, function, parent=module)


def _parameter(given: inspect.Parameter, written: griffe.Parameter | None) -> griffe.Parameter:
    """A parameter with its default at run time, in the words of the source where they agree."""
    annotation = written.annotation if written else _annotation(given.annotation)
    default = None
    if given.default is not given.empty:
        default = repr(given.default)
        if written is not None and written.default is not None:
            default = written.default if _agree(str(written.default), given.default) else default
    return griffe.Parameter(
        given.name,
        annotation=annotation,
        kind=griffe.ParameterKind[given.kind.name.lower()],
        default=default,
    )


def _agree(source: str, value: object) -> bool:
    """Whether the source of a default value can stand for it: all but another literal can."""
    try:
        return ast.literal_eval(source) == value
    except ValueError:
        return True


def _annotation(annotation: object) -> str | None:
    return None if annotation is inspect.Parameter.empty else inspect.formatannotation(annotation)


def _convert(found: griffe.Object) -> None:
    """Converts the docstrings of an object and of what is in it."""
    if found.docstring is not None:
        found.docstring.value = to_markdown(found.docstring.value)
    if isinstance(found, griffe.Class) and found.docstring is not None:
        _correct_types(found)
        found.bases = [base for base in found.bases if not str(base).startswith("_")]
    for member in found.members.values():
        if isinstance(member, griffe.Attribute) and isinstance(found, griffe.Module):
            _describe(member, found.lines)
            if len(str(member.value)) > LONGEST_VALUE:
                member.value = None
        if not isinstance(member, griffe.Alias):
            _convert(member)


def _correct_types(found: griffe.Class) -> None:
    """Of attributes that the class does not annotate: griffe gives them that of the one before."""
    for section in found.docstring.parsed:
        if section.kind is griffe.DocstringSectionKind.attributes:
            for attribute in section.value:
                member = found.members.get(attribute.name)
                attribute.annotation = getattr(member, "annotation", None)


def _describe(attribute: griffe.Attribute, lines: list[str]) -> None:
    """Makes a docstring of the comment after an assignment, or above it and its neighbours."""
    start = attribute.lineno - 1
    comment = re.search(r"(?<=  # ).*", lines[start])
    words = [comment[0]] if comment else []
    while not words and lines[start] and not lines[start].startswith((" ", "#", "}", ")", "]")):
        start -= 1
    while not comment and lines[start].startswith("# "):
        words.insert(0, lines[start].removeprefix("# "))
        start -= 1
    if words and attribute.docstring is None:
        text = "\n".join(words)
        attribute.docstring = griffe.Docstring(text, lineno=attribute.lineno, parent=attribute)
