"""A transformer whose new nodes keep the lines of the old ones, and that they need no mark."""

from typing import Any

import libcst as cst


class Tracking(cst.CSTTransformer):
    """Every visit makes all nodes anew; here what was known of the old ones is told of the new.

    Args:
      lines: The lines of nodes.
      settled: The nodes that need no mark any more.
    """

    def __init__(self, lines: dict[cst.CSTNode, int], settled: set[cst.CSTNode]) -> None:
        super().__init__()
        self.lines, self.settled = lines, settled

    def on_leave(self, original_node: Any, updated_node: Any) -> Any:
        new = super().on_leave(original_node, updated_node)
        if isinstance(new, cst.CSTNode) and new is not original_node:
            if original_node in self.lines:
                self.lines.setdefault(new, self.lines[original_node])
            if original_node in self.settled:
                self.settled.add(new)
        return new


class Replaced(Tracking):
    """Gives blocks their new statements."""

    def __init__(self, blocks: dict[cst.CSTNode, list[Any]], tracking: Tracking) -> None:
        super().__init__(tracking.lines, tracking.settled)
        self._blocks = blocks

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        body = self._blocks.get(original_node)
        return updated_node if body is None else updated_node.with_changes(body=body)
