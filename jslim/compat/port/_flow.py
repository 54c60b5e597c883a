"""Which names statements read, write and change."""

import libcst as cst

_CHANGES = ("append", "extend", "insert", "add", "update", "setdefault", "pop", "remove", "clear")


class Flow(cst.CSTVisitor):
    """Collects the names of a statement, in the order of its text.

    Attributes:
      reads: Names that are read before the statement has written them.
      writes: Names that are bound, in functions inside not counted.
      changes: Names whose value is changed in place: `losses.append(x)`, `end_points['a'] = x`.
      leaves: Whether it leaves the block, or binds names of another one.
    """

    def __init__(self, bound: set[str] | None = None) -> None:
        super().__init__()
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.changes: set[str] = set()
        self.leaves = False
        self._bound = set(bound or ())

    def visit_Name(self, node: cst.Name) -> None:
        if node.value not in self.writes | self._bound:
            self.reads.add(node.value)

    def visit_Attribute(self, node: cst.Attribute) -> bool:
        node.value.visit(self)
        return False

    def visit_Arg(self, node: cst.Arg) -> bool:
        node.value.visit(self)
        return False

    def visit_Call(self, node: cst.Call) -> None:
        if isinstance(node.func, cst.Attribute) and node.func.attr.value in _CHANGES:
            self._change(node.func.value)

    def _change(self, node: cst.BaseExpression) -> None:
        while isinstance(node, cst.Attribute | cst.Subscript):
            node = node.value
        if isinstance(node, cst.Name):
            self.changes.add(node.value)

    def _write(self, target: cst.BaseExpression) -> None:
        if isinstance(target, cst.Name):
            self.writes.add(target.value)
        elif isinstance(target, cst.Tuple | cst.List):
            for element in target.elements:
                self._write(element.value)
        elif isinstance(target, cst.StarredElement):
            self._write(target.value)
        else:
            target.visit(self)
            self._change(target)

    def visit_Assign(self, node: cst.Assign) -> bool:
        node.value.visit(self)
        for target in node.targets:
            self._write(target.target)
        return False

    def visit_AnnAssign(self, node: cst.AnnAssign) -> bool:
        if node.value is not None:
            node.value.visit(self)
        self._write(node.target)
        return False

    def visit_AugAssign(self, node: cst.AugAssign) -> bool:
        node.value.visit(self)
        node.target.visit(self)
        self._write(node.target)
        return False

    def visit_NamedExpr(self, node: cst.NamedExpr) -> bool:
        node.value.visit(self)
        self._write(node.target)
        return False

    def visit_For(self, node: cst.For) -> bool:
        node.iter.visit(self)
        self._write(node.target)
        node.body.visit(self)
        if node.orelse is not None:
            node.orelse.visit(self)
        return False

    def visit_With(self, node: cst.With) -> bool:
        for item in node.items:
            item.item.visit(self)
            if item.asname is not None:
                self._write(item.asname.name)
        node.body.visit(self)
        return False

    def visit_ExceptHandler(self, node: cst.ExceptHandler) -> bool:
        if node.type is not None:
            node.type.visit(self)
        if node.name is not None:
            self._write(node.name.name)
        node.body.visit(self)
        return False

    def visit_ImportAlias(self, node: cst.ImportAlias) -> bool:
        name: cst.BaseExpression = node.asname.name if node.asname else node.name
        while isinstance(name, cst.Attribute):
            name = name.value
        self._write(name)
        return False

    def _inner(self, params: cst.Parameters, *parts: cst.CSTNode) -> None:
        """What a function inside reads of the names around it."""
        names: set[str] = set()
        for param in (*params.params, *params.kwonly_params, *params.posonly_params,
                      params.star_arg, params.star_kwarg):  # fmt: skip
            if isinstance(param, cst.Param):
                names.add(param.name.value)
                if param.default is not None:
                    param.default.visit(self)
        inner = Flow(self._bound | self.writes | names)
        for part in parts:
            part.visit(inner)
        self.reads |= inner.reads
        self.changes |= inner.changes - inner.writes - names

    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        for decorator in node.decorators:
            decorator.visit(self)
        self._inner(node.params, node.body)
        self.writes.add(node.name.value)
        return False

    def visit_Lambda(self, node: cst.Lambda) -> bool:
        self._inner(node.params, node.body)
        return False

    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        inner = Flow(self._bound | self.writes)
        node.body.visit(inner)
        self.reads |= inner.reads
        self.writes.add(node.name.value)
        return False

    def visit_CompFor(self, node: cst.CompFor) -> bool:
        return False

    def _comprehension(self, node: cst.BaseSimpleComp | cst.DictComp) -> bool:
        inner = Flow(self._bound | self.writes)
        part: cst.CompFor | None = node.for_in
        while part is not None:
            part.iter.visit(inner)
            inner._write(part.target)
            for condition in part.ifs:
                condition.visit(inner)
            part = part.inner_for_in
        if isinstance(node, cst.DictComp):
            node.key.visit(inner)
            node.value.visit(inner)
        else:
            node.elt.visit(inner)
        self.reads |= inner.reads
        return False

    def visit_ListComp(self, node: cst.ListComp) -> bool:
        return self._comprehension(node)

    def visit_SetComp(self, node: cst.SetComp) -> bool:
        return self._comprehension(node)

    def visit_GeneratorExp(self, node: cst.GeneratorExp) -> bool:
        return self._comprehension(node)

    def visit_DictComp(self, node: cst.DictComp) -> bool:
        return self._comprehension(node)

    def visit_Return(self, node: cst.Return) -> None:
        self.leaves = True

    def visit_Yield(self, node: cst.Yield) -> None:
        self.leaves = True

    def visit_Await(self, node: cst.Await) -> None:
        self.leaves = True

    def visit_Global(self, node: cst.Global) -> None:
        self.leaves = True

    def visit_Nonlocal(self, node: cst.Nonlocal) -> None:
        self.leaves = True

    def visit_Del(self, node: cst.Del) -> None:
        self.leaves = True

    def visit_Break(self, node: cst.Break) -> None:
        self.leaves = True  # of a loop inside too, which is rare in code that builds

    def visit_Continue(self, node: cst.Continue) -> None:
        self.leaves = True


def flow_of(node: cst.CSTNode) -> Flow:
    """The names of a statement."""
    flow = Flow()
    node.visit(flow)
    return flow
