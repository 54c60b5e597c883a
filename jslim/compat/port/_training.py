"""Loaders, sessions and losses of a program, in the order in which they are converted."""

from collections.abc import Callable

import libcst as cst

from jslim.compat.port import _fed, _loading
from jslim.compat.port._facts import Facts, Kind
from jslim.compat.port._names import Aliases
from jslim.compat.port._notes import Finding
from jslim.compat.port._sessions import Sessions


def converted(
    tree: cst.Module,
    aliases: Aliases,
    lines: dict[cst.CSTNode, int],
    is_local: Callable[[str], bool],
    read_module: Callable[[str], str | None],
) -> tuple[cst.Module, list[Finding], set[cst.CSTNode]]:
    """A training script without queues and sessions; what was found, and what needs no mark.

    Args:
      tree: The tree of a file.
      aliases: What its names stand for.
      lines: The lines of nodes; those of new nodes are added.
      is_local: Whether a program has a module of its own of this name.
      read_module: Gives the text of such a module.
    """
    if not aliases.has_tensorflow:
        return tree, [], set()
    loading = _loading.converted(tree, aliases, lines, is_local, read_module)
    tree, known = loading.tree, loading.settled
    facts = Facts(aliases, loading.functions)
    cst.visit_batched(tree, [facts])
    kinds = set(facts.kinds.values())
    if "sessions" in facts.bound:
        return tree, loading.findings, known
    is_run = Kind.SESSION in kinds or facts.trains_by_loop()
    if not is_run or Kind.OP not in kinds:
        if Kind.SESSION in kinds:
            return tree, loading.findings, known  # it uses what was trained
        model = _fed.Attributes(facts, lines, known)
        new = tree.visit(model)
        return new, [*loading.findings, *model.findings], known
    names = {root.name: name for name, root in aliases.roots.items()}
    rule = Sessions(facts, lines, names.get("tf"), names.get("slim"), known)
    rule.prepare(tree)
    new = tree.visit(rule)
    return new, [*loading.findings, *rule.findings], known
