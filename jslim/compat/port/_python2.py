"""Plain Python 2: statements that Python 3 cannot parse, and names that it lacks."""

import ast
import re
import warnings
from collections.abc import Callable, Collection

import libcst as cst
import libcst.matchers as m

from jslim.compat import rules
from jslim.compat.port._notes import Finding, Outcome

Note = Callable[[str, str], None]  # of what was there, and what it became


class Python2Error(ValueError):
    """A file in Python 2's syntax that is not among what is converted."""


_END = r"(?P<end>[ \t]*(?:#.*)?\r?\n?)\Z"
_EXCEPT = re.compile(r"(?P<head>\s*except\s+[^:#]+?)\s*,\s*(?P<name>[A-Za-z_]\w*)\s*:")
_RAISE = re.compile(r"(?P<head>\s*raise\s+[\w.]+)\s*,\s*(?P<what>.+?)" + _END, re.DOTALL)
_PRINT = re.compile(r"(?P<head>(?:.*?[;:]\s*|\s*))print\b(?P<what>.*?)" + _END, re.DOTALL)
_NUMBER = re.compile(r"\b(0x[0-9a-fA-F]+|\d+)[lL]\b")
_OCTAL = re.compile(r"(?<![\w.])0(?=[0-7]+\b(?!\.))")
_NOT_EQUAL = re.compile(r"<>")


def parsed(source: str, path: str) -> tuple[cst.Module, list[Finding]]:
    """The syntax tree of a file, after its simple statements of Python 2 are made ones of Python 3.

    Raises:
      Python2Error: It is in Python 2's syntax otherwise.
      SyntaxError: It is in neither's.
    """
    findings: list[Finding] = []
    tried: set[int] = set()
    while True:
        try:
            check(source)
            return cst.parse_module(source), findings
        except (TabError, cst.ParserSyntaxError) as error:
            if 0 in tried or "\t" not in source:
                raise _refusal(error, path) from None
            tried.add(0)
            source = "".join(map(_without_tabs, source.splitlines(keepends=True)))
            findings.append(Finding("tabs", Outcome.CONVERTED, _line_of(error), "spaces"))
        except SyntaxError as error:
            line = error.lineno or 1
            new = None if line in tried else _converted(source, line, findings)
            if new is None:
                raise _refusal(error, path) from None
            tried.add(line)
            source = new
        except ValueError as error:  # a zero byte
            raise SyntaxError(f"{path}: {error}") from None


def check(source: str) -> None:
    """Parses a program by Python, whose errors are short.

    Raises:
      SyntaxError: It is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of the program, such as '\\d'
        ast.parse(source)


def is_python_3(source: str) -> bool:
    """Whether a program can be parsed."""
    try:
        check(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _without_tabs(line: str) -> str:
    """A line that begins with spaces where it had tabs, which count for 8 columns in Python 2."""
    rest = line.lstrip(" \t")
    return line[: len(line) - len(rest)].expandtabs(8) + rest


def _converted(source: str, number: int, findings: list[Finding]) -> str | None:
    """The source with the statement that has this line in Python 3; None if that is not known."""
    lines = source.splitlines(keepends=True)
    if not 0 < number <= len(lines):
        return None
    first = number - 1
    # A statement can begin above the line that the parser names, and end below it.
    for start in range(first, max(-1, first - 12), -1):
        for end in range(first + 1, min(len(lines), first + 12) + 1):
            statement = "".join(lines[start:end])
            for name, rule in _STATEMENTS.items():
                new = rule(statement)
                if new is not None and new != statement:
                    findings.append(Finding(name, Outcome.CONVERTED, start + 1, "Python 3"))
                    # Each line keeps its number.
                    assert new.count("\n") == statement.count("\n")
                    return "".join([*lines[:start], new, *lines[end:]])
    return None


def _print(statement: str) -> str | None:
    found = _PRINT.match(statement)
    if found is None or not re.match(r"\s*(?:\w.*:\s*|.*;\s*)?$", found["head"]):
        return None
    what = found["what"].strip(" \t").removesuffix(";")
    if what.startswith("=") or "\n" in found["head"].strip("\n"):
        return None
    options = ""
    if what.startswith(">>"):
        stream, _, what = what[2:].partition(",")
        options = f"file={stream.strip()}"
        what = what.strip()
    if what.endswith(","):
        what, options = what[:-1], ", ".join(filter(None, (options, "end=' '")))
    call = f"print({', '.join(filter(None, (what, options)))})"
    return f"{found['head']}{call}{found['end']}" if _is_expression(call) else None


def _except(statement: str) -> str | None:
    return _EXCEPT.sub(r"\g<head> as \g<name>:", statement) if _EXCEPT.match(statement) else None


def _raise(statement: str) -> str | None:
    found = _RAISE.match(statement)
    if found is None or not _is_expression(f"({found['what']})"):
        return None
    return f"{found['head']}({found['what']}){found['end']}"


def _numbers(statement: str) -> str | None:
    if "'" in statement or '"' in statement:
        return None
    return _OCTAL.sub("0o", _NUMBER.sub(r"\1", statement))


def _not_equal(statement: str) -> str | None:
    return None if "'" in statement or '"' in statement else _NOT_EQUAL.sub("!=", statement)


_STATEMENTS: dict[str, Callable[[str], str | None]] = {
    "print ...": _print,
    "except KIND, name": _except,
    "raise KIND, value": _raise,
    "10L, 0777": _numbers,
    "<>": _not_equal,
}


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return False
    return True


def _line_of(error: SyntaxError | cst.ParserSyntaxError) -> int:
    line = error.lineno if isinstance(error, SyntaxError) else error.raw_line
    return line or 1


def _refusal(error: SyntaxError | cst.ParserSyntaxError, path: str) -> Exception:
    where = f"{path}, line {_line_of(error)}"
    if isinstance(error, cst.ParserSyntaxError):
        return SyntaxError(f"{where}: libcst cannot read it: {error.message}")
    text = (error.text or "").strip()
    is_old = any(sign in str(error.msg) for sign in _SIGNS)
    if is_old:
        return Python2Error(
            f"{where}: the file is in Python 2's syntax, of which only print, except, raise and "
            f"numbers are converted: {text!r} ({error.msg}); make it Python 3 first, for example "
            "by 2to3, which comes with Python up to 3.12"
        )
    return SyntaxError(f"{where}: this is no Python: {text!r} ({error.msg})")


_SIGNS = ("Missing parentheses", "multiple exception types", "leading zeros", "tabs and spaces",
          "unindent does not match", "invalid decimal literal")  # fmt: skip

# Names of Python 2, and what they are in Python 3.
_NAMES = {"xrange": "range", "unicode": "str", "basestring": "str", "long": "int",
          "raw_input": "input", "unichr": "chr"}  # fmt: skip
_METHODS = {"iteritems": "items", "itervalues": "values", "iterkeys": "keys"}
# Names that NumPy dropped, and what they are.
_NUMPY = {"float": "float", "int": "int", "bool": "bool", "object": "object", "str": "str",
          "long": "int", "NaN": "np.nan", "Inf": "np.inf", "float_": "np.float64",
          "product": "np.prod"}  # fmt: skip
_VIEWS = ("keys", "values", "items")
_ITERATORS = ("map", "filter", "zip")


# What every program has that is converted, but for the statements.
SIGNS = "|".join(
    rf"\b{word}\b"
    for word in (*_NAMES, *_METHODS, *_VIEWS, *_ITERATORS, "has_key", "range", "reduce", "print",
                 "six", "np", "numpy", *rules.PYTHON_2_MODULES)
)  # fmt: skip


class Bound(cst.BatchableCSTVisitor):
    """Collects the names that a file defines itself."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:
        if isinstance(node.target, cst.Name):
            self.names.add(node.target.value)

    def visit_FunctionDef(self, node: cst.FunctionDef) -> None:
        self.names.add(node.name.value)

    def visit_Param(self, node: cst.Param) -> None:
        self.names.add(node.name.value)

    def visit_For(self, node: cst.For) -> None:
        if isinstance(node.target, cst.Name):
            self.names.add(node.target.value)


def name(node: cst.Name, bound: Collection[str], note: Note) -> cst.BaseExpression:
    """`xrange`."""
    new = _NAMES.get(node.value)
    if new is None or node.value in bound:
        return node
    note(node.value, new)
    return node.with_changes(value=new)


def attribute(node: cst.Attribute, note: Note) -> cst.BaseExpression:
    """`np.float`."""
    if m.matches(node.value, m.Name("np") | m.Name("numpy")) and node.attr.value in _NUMPY:
        assert isinstance(node.value, cst.Name)
        new = _NUMPY[node.attr.value].replace("np.", f"{node.value.value}.")
        note(f"np.{node.attr.value}", new)
        return cst.parse_expression(new)
    return node


def call(node: cst.Call, note: Note) -> cst.BaseExpression:
    """`d.iteritems()` and `d.has_key(k)`."""
    if not isinstance(node.func, cst.Attribute):
        return node
    method = node.func.attr.value
    if method in _METHODS and not node.args:
        note(f".{method}()", f".{_METHODS[method]}()")
        return node.with_changes(func=node.func.with_changes(attr=cst.Name(_METHODS[method])))
    if method == "has_key" and len(node.args) == 1:
        note(".has_key(key)", "key in ...")
        target = cst.ComparisonTarget(cst.In(), node.func.value)
        left = node.args[0].value
        return cst.Comparison(left, [target], lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    return node


def subscript(node: cst.Subscript, note: Note) -> cst.BaseExpression:
    """`d.keys()[0]` and `map(f, x)[0]`, which are iterators now."""
    if is_view(node.value):
        note("keys()[0]", "list(...)")
        return node.with_changes(value=cst.Call(cst.Name("list"), [cst.Arg(node.value)]))
    return node


def sum_of_lists(node: cst.BinaryOperation, note: Note) -> cst.BaseExpression:
    """`range(2) + range(3)`, which are no lists now."""
    if isinstance(node.operator, cst.Add):
        for side in ("left", "right"):
            value = getattr(node, side)
            if is_view(value) or m.matches(value, m.Call(func=m.Name("range"))):
                note("range(...) + ...", "list(...)")
                listed = cst.Call(cst.Name("list"), [cst.Arg(value)])
                node = node.with_changes(**{side: listed})
    return node


def printed(node: cst.BaseSmallStatement, note: Note) -> cst.BaseSmallStatement:
    """`print >>f, x` and `print ('%s') % x`, which Python 3 parses as something else."""
    if not isinstance(node, cst.Expr):
        return node
    value = node.value
    items = list(value.elements) if isinstance(value, cst.Tuple) else [cst.Element(value)]
    first = items[0].value
    if m.matches(first, m.BinaryOperation(left=m.Name("print"), operator=m.RightShift())):
        assert isinstance(first, cst.BinaryOperation)
        args = [cst.Arg(item.value) for item in items[1:]]
        nothing = cst.SimpleWhitespace("")
        equal = cst.AssignEqual(nothing, nothing)
        args.append(cst.Arg(first.right, cst.Name("file"), equal))
        last = items[-1]
        if len(items) > 1 and isinstance(last.comma, cst.Comma):
            args.append(cst.Arg(cst.SimpleString("' '"), cst.Name("end"), equal))
        note("print >>file", "print(..., file=file)")
        return cst.Expr(cst.Call(cst.Name("print"), args))
    formatted = m.BinaryOperation(left=m.Call(func=m.Name("print")), operator=m.Modulo())
    if len(items) == 1 and m.matches(first, formatted):
        assert isinstance(first, cst.BinaryOperation)
        assert isinstance(first.left, cst.Call)
        text = first.left.args[0].value
        note("print (...) % x", "print((...) % x)")
        return cst.Expr(first.left.with_changes(args=[cst.Arg(first.with_changes(left=text))]))
    return node


def is_view(node: cst.BaseExpression) -> bool:
    """Whether an expression is a list in Python 2 and an iterator, or a view, in Python 3."""
    if not isinstance(node, cst.Call):
        return False
    if isinstance(node.func, cst.Name):
        return node.func.value in _ITERATORS
    if not isinstance(node.func, cst.Attribute) or node.args:
        return False
    return node.func.attr.value in _VIEWS
