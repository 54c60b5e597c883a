"""TF-Slim's handlers, which make items of the features of a tf.train.SequenceExample."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from jslim.data.item_handlers import SIDES, Arrays, ItemHandler, SparseValue, check_equal, prefixed
from jslim.data.tf_example import Rows


class _PointSequence(ItemHandler):
    """Points of several coordinates at each step, each coordinate a `VarLenFeature`."""

    _default_keys: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        keys: Sequence[str] | None = None,
        prefix: str | None = None,
        return_dense: bool = True,
        default_value: float = -1.0,
    ):
        super().__init__(prefixed(type(self).__name__, keys, self._default_keys, prefix))
        self._return_dense = return_dense
        self._default_value = default_value

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray | SparseValue:
        dense = {key: keys_to_tensors[key].dense(self._default_value) for key in self._keys}
        shapes = {key: array.shape for key, array in dense.items()}
        check_equal(shapes, "features must have as many steps and values as each other")
        points = np.stack(list(dense.values()), axis=-1)
        if self._return_dense:
            return points
        ones = [Rows(np.ones(len(row)) for row in keys_to_tensors[key]) for key in self._keys]
        is_there = np.stack([rows.dense(0) for rows in ones], axis=-1) > 0
        return SparseValue(np.argwhere(is_there), points[is_there], np.array(points.shape))


class BoundingBoxSequence(_PointSequence):
    """Boxes `[steps, boxes, 4]` of a sequence example, filled up with `default_value`.

    Args:
      keys: Four names; default ymin, xmin, ymax, xmax.
      prefix: A text before each name; None is `''`, where TF-Slim fails.
      return_dense: Whether to fill up; False gives a `SparseValue`.
      default_value: The value where a step has fewer boxes.

    Raises:
      ValueError: There are not four names.
    """

    _default_keys = SIDES


class KeypointsSequence(_PointSequence):
    """Points `[steps, points, 2]` of a sequence example, filled up with `default_value`.

    Args:
      keys: Two names; default y, x.
      prefix, return_dense, default_value: As of `BoundingBoxSequence`.

    Raises:
      ValueError: There are not two names.
    """

    _default_keys = ("y", "x")


class NumBoxesSequence(ItemHandler):
    """The number of boxes at each step of a sequence example, int64 `[steps]`.

    Args:
      keys: The names of features of the boxes, or one name.
      check_consistency: Whether all features must have the same numbers; otherwise those of the
        first are taken.

    Raises:
      ValueError: There is no name.
    """

    def __init__(self, keys: str | Sequence[str] | None = None, check_consistency: bool = True):
        if not keys:
            raise ValueError("keys must not be empty")
        super().__init__(keys)
        self._check_consistency = check_consistency

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray:
        counts = {key: [len(row) for row in keys_to_tensors[key]] for key in self._keys}
        if self._check_consistency:
            check_equal(counts, "the numbers of boxes at each step are not the same")
        return np.array(counts[self._keys[0]], np.int64)
