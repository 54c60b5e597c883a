"""`jslim port`: programs for TensorFlow 1 and TF-Slim, rewritten for jslim."""

import re
from collections.abc import Callable
from typing import NamedTuple

from jslim.compat.port import _python2, _walker
from jslim.compat.port._notes import Finding as Finding
from jslim.compat.port._notes import Outcome as Outcome
from jslim.compat.port._notes import Row as Row
from jslim.compat.port._notes import rows_of as rows_of

# A program without any of these words has nothing to convert.
_SIGNS = re.compile(
    r"tensorflow|tf_slim|jslim|nets|preprocessing|datasets|deployment|\bprint\b\s*(?!\()|"
    + _python2.SIGNS
)


class Ported(NamedTuple):
    """A program for jslim.

    Attributes:
      source: Its text.
      findings: What was found in the old one, in no order.
    """

    source: str
    findings: list[Finding]


def port_source(
    source: str,
    path: str = "the program",
    is_local: Callable[[str], bool] = lambda name: False,
    read_module: Callable[[str], str | None] = lambda name: None,
) -> Ported:
    """Rewrites a program for TensorFlow 1 and TF-Slim for jslim.

    Imports, shapes, old arguments and plain Python 2 are converted; `jslim.compat.tf` has the other
    names. Above a statement that a person has to decide about stands a line `# PORT: ...`.

    Args:
      source: The text of a Python file.
      path: What errors call it.
      is_local: Whether the program has a module of its own of this name, such as `nets`.
      read_module: Gives the text of such a module, by its dotted name; None where there is none.

    Returns:
      The new text, which is Python 3 in any case, and what was found. A program that was ported
      already, or has nothing of TensorFlow, stays as it is.

    Raises:
      ValueError: It is in Python 2's syntax, with more of it than simple statements.
      SyntaxError: It is no Python.

    >>> print(port_source("import tensorflow as tf\\nn = x.get_shape()[1].value\\n").source)
    from jslim.compat import tf
    n = x.shape[1]
    <BLANKLINE>
    """
    if not _SIGNS.search(source) and _python2.is_python_3(source):
        return Ported(source, [])
    tree, findings = _python2.parsed(source, path)
    new, found = _walker.ported(tree, is_local, bool(findings), read_module)
    text = new.code
    _python2.check(text)
    return Ported(text, [*findings, *found])
