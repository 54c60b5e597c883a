"""Loss functions, made in the blocks of a program where train ops are made."""

from collections.abc import Iterator, Sequence
from typing import Any

import libcst as cst
import libcst.matchers as m

from jslim.compat.port import _functions, _towers
from jslim.compat.port._facts import Facts
from jslim.compat.port._flow import flow_of
from jslim.compat.port._notes import Finding, Outcome
from jslim.compat.port._tracking import Tracking


class Losses:
    """Makes them.

    Args:
      facts: What the names hold.
      tf, slim: What the file calls TensorFlow and slim.
      tracking: What is known of nodes.
      findings: Where what was found is added.

    Attributes:
      blocks: The new statements of blocks.
      outputs: What the functions give that were made; None where none was.
    """

    def __init__(
        self,
        facts: Facts,
        tf: str | None,
        slim: str | None,
        tracking: Tracking,
        findings: list[Finding],
    ) -> None:
        self.blocks: dict[cst.CSTNode, list[Any]] = {}
        self.outputs: set[str] | None = None
        self._facts, self._tf, self._slim = facts, tf, slim
        self._tracking, self._findings = tracking, findings

    def build(self, whole: cst.CSTNode) -> None:
        """Looks at the blocks of a function or of the module."""
        for block, others in _blocks(whole, []):
            new = self.built(block.body, others)  # type: ignore[attr-defined]
            if new is not None:
                self.blocks[block] = new

    def built(self, body: Sequence[Any], others: Sequence[cst.CSTNode]) -> list[Any] | None:
        """A block with a loss function; None where it makes no train op of straight-line code.

        Args:
          body: Its statements.
          others: Those around it.
        """
        facts, tracking = self._facts, self._tracking
        body = _towers.with_mean_loss(body, facts, self._tf, tracking) or body
        if not _functions.steps_of(body, facts):
            return None
        around = set[str]().union(*(flow_of(line).reads for line in others))
        made = _functions.with_function(body, facts, self._slim, self._tf, around, tracking)
        if made is None:
            return None
        self.outputs = {*(self.outputs or ()), *made.outputs}
        lines = tracking.lines
        line = next((lines[part] for part in body if part in lines), 1)
        what = f"a function of a batch, of {made.loss}"
        self._findings.append(Finding("the loss", Outcome.CONVERTED, line, what))
        return made.body


def _blocks(
    whole: cst.CSTNode, others: Sequence[cst.CSTNode]
) -> Iterator[tuple[cst.CSTNode, Sequence[cst.CSTNode]]]:
    """The blocks of a function or of the module, each with the statements around it."""
    body = whole.body  # type: ignore[attr-defined]
    if isinstance(body, cst.IndentedBlock):
        whole, body = body, body.body
    yield whole, others
    for place, line in enumerate(body):
        rest = [*others, *body[:place], *body[place + 1 :]]
        for inner in m.findall(line, m.IndentedBlock()):
            # What stands between the two is read too.
            beside = [line.with_deep_changes(inner, body=[])] if inner is not line.body else []
            yield inner, [*rest, *beside]
