"""How items are made of the features of a tf.train.SequenceExample: TF-Slim's handlers."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from jslim.core.errors import DataError
from jslim.data.item_handlers import Arrays, ItemHandler, SparseValue
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
        keys = self._default_keys if keys is None else keys
        if len(keys) != len(self._default_keys):
            raise ValueError(
                f"{type(self).__name__} expects {len(self._default_keys)} keys but got {len(keys)}"
            )
        super().__init__([(prefix or "") + key for key in keys])
        self._return_dense = return_dense
        self._default_value = default_value

    def tensors_to_item(self, keys_to_tensors: Arrays) -> Any:
        parts = [keys_to_tensors[key] for key in self._keys]
        dense = [rows.dense(self._default_value) for rows in parts]
        if len({array.shape for array in dense}) > 1:
            sizes = {key: array.shape for key, array in zip(self._keys, dense, strict=True)}
            raise DataError(f"features must have as many steps and values as each other: {sizes}")
        points = np.stack(dense, axis=-1)
        if self._return_dense:
            return points
        is_there = np.stack([rows.dense(0) for rows in map(_present, parts)], axis=-1) > 0
        return SparseValue(np.argwhere(is_there), points[is_there], np.array(points.shape))


def _present(rows: Rows) -> Rows:
    return Rows(np.ones(len(row), np.float32) for row in rows)


class BoundingBoxSequence(_PointSequence):
    """Boxes `[steps, boxes, 4]` of a sequence example, filled up with `default_value`.

    Args:
      keys: Four names; default ymin, xmin, ymax, xmax.
      prefix: Is put before each name; None is `''`, where TF-Slim fails.
      return_dense: Whether to fill up; False gives a `SparseValue`.
      default_value: What stands where a step has fewer boxes.

    Raises:
      ValueError: There are not four names.
    """

    _default_keys = ("ymin", "xmin", "ymax", "xmax")


class KeypointsSequence(_PointSequence):
    """Points `[steps, points, 2]` of a sequence example, filled up with `default_value`.

    Args:
      keys: Two names; default y, x.
      prefix: As of `BoundingBoxSequence`.
      return_dense: As of `BoundingBoxSequence`.
      default_value: As of `BoundingBoxSequence`.

    Raises:
      ValueError: There are not two names.
    """

    _default_keys = ("y", "x")


class NumBoxesSequence(ItemHandler):
    """How many boxes there are at each step of a sequence example, int64 `[steps]`.

    Args:
      keys: Names of features of the boxes, or one name.
      check_consistency: Whether all must have as many; otherwise the first one counts.

    Raises:
      ValueError: There is no name.
    """

    def __init__(self, keys: str | Sequence[str] | None = None, check_consistency: bool = True):
        if not keys:
            raise ValueError("keys must not be empty.")
        super().__init__(keys)
        self._check_consistency = check_consistency

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray:
        counts = {key: [len(row) for row in keys_to_tensors[key]] for key in self._keys}
        first = counts[self._keys[0]]
        if self._check_consistency and any(count != first for count in counts.values()):
            raise DataError(f"the numbers of boxes at each step are not the same: {counts}")
        return np.array(first, np.int64)
