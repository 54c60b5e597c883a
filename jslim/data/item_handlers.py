"""TF-Slim's handlers, which make items of the features of a tf.train.Example."""

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from jslim.core.errors import DataError, did_you_mean
from jslim.data.decode import EncodedImage, decode_image
from jslim.data.tf_example import Rows
from jslim.host.limits import IMAGE_BYTES

Arrays = Mapping[str, Any]

SIDES = ("ymin", "xmin", "ymax", "xmax")  # of a box


def prefixed(
    where: str, keys: Sequence[str] | None, default: Sequence[str], prefix: str | None
) -> list[str]:
    """The keys of a handler, each after the prefix.

    Raises:
      ValueError: There are more or fewer than by default.
    """
    keys = default if keys is None else list(keys)
    if len(keys) != len(default):
        raise ValueError(f"{where} expects {len(default)} keys but got {len(keys)}: {keys}")
    return [(prefix or "") + key for key in keys]


def check_equal(sizes: Mapping[str, object], problem: str) -> None:
    """Refuses features of different sizes.

    Args:
      sizes: The sizes by the names of the features.
      problem: What the error says: `'the sizes are not the same'`.

    Raises:
      DataError: They differ.
    """
    first, *others = sizes.values()
    if any(size != first for size in others):
        raise DataError(f"{problem}: {sizes}")


class ItemHandler(abc.ABC):
    """Makes one item of the features of an example.

    Args:
      keys: The names of the features that it needs, or one name.
    """

    def __init__(self, keys: str | Sequence[str]):
        self._keys: list[str] = [keys] if isinstance(keys, str) else list(keys)

    @property
    def keys(self) -> list[str]:
        """The names of the features that it needs."""
        return self._keys

    @abc.abstractmethod
    def tensors_to_item(self, keys_to_tensors: Arrays) -> object:
        """Makes the item.

        Args:
          keys_to_tensors: The features by name.
        """

    def _problem(self, problem: str) -> DataError:
        return DataError(f"feature {self._keys[0]!r} {problem}")

    def _reshaped(self, array: np.ndarray, shape: Sequence[int] | None) -> np.ndarray:
        """The array in a shape; None leaves it."""
        try:
            return array if shape is None else array.reshape(tuple(shape))
        except ValueError:
            raise self._problem(
                f"has {array.size} values, which cannot have shape {list(shape or ())}"
            ) from None


class ItemHandlerCallback(ItemHandler):
    """An item that a function makes.

    Args:
      keys: As of `ItemHandler`.
      func: Takes `{key: array}` and returns the item.

    >>> handler = ItemHandlerCallback(["x", "y"], lambda arrays: arrays["x"] + arrays["y"])
    >>> handler.tensors_to_item({"x": 1, "y": 2})
    3
    """

    def __init__(self, keys: str | Sequence[str], func: Callable[[dict[str, np.ndarray]], object]):
        super().__init__(keys)
        self._func = func

    def tensors_to_item(self, keys_to_tensors: Arrays) -> object:
        return self._func({key: keys_to_tensors[key] for key in self._keys})


class BoundingBox(ItemHandler):
    """Boxes `[num_boxes, 4]` of four features, each with one side of all boxes.

    Args:
      keys: Four names; default ymin, xmin, ymax, xmax.
      prefix: A text before each name.

    Raises:
      ValueError: There are not four names.

    >>> sides = {"ymin": [0.1], "xmin": [0.2], "ymax": [0.3], "xmax": [0.4]}
    >>> BoundingBox().tensors_to_item(sides).tolist()
    [[0.1, 0.2, 0.3, 0.4]]
    """

    def __init__(self, keys: Sequence[str] | None = None, prefix: str = ""):
        super().__init__(prefixed("BoundingBox", keys, SIDES, prefix))

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray:
        sides = {key: np.ravel(keys_to_tensors[key]) for key in self._keys}
        sizes = {key: side.size for key, side in sides.items()}
        check_equal(sizes, "the sides of the boxes are not equally many")
        return np.stack(list(sides.values()), axis=1)


class Tensor(ItemHandler):
    """One feature as it is, or in another shape.

    Args:
      tensor_key: The name of the feature.
      shape_keys: The name of a feature that holds the shape, or the names of one feature for each
        axis.
      shape: The shape.
      default_value: Fills up the shorter steps of a sequence; a single example has no gaps.

    Raises:
      ValueError: Both `shape_keys` and `shape` are given.

    >>> Tensor("x", shape=[2, 2]).tensors_to_item({"x": np.arange(4)}).tolist()
    [[0, 1], [2, 3]]
    """

    def __init__(
        self,
        tensor_key: str,
        shape_keys: str | Sequence[str] | None = None,
        shape: Sequence[int] | None = None,
        default_value: ArrayLike = 0,
    ):
        if shape_keys and shape is not None:
            raise ValueError("Cannot specify both shape_keys and shape parameters")
        of_shape = [shape_keys] if isinstance(shape_keys, str) else shape_keys or []
        super().__init__([tensor_key, *of_shape])
        self._shape = shape
        self._default_value = default_value

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray:
        array = keys_to_tensors[self._keys[0]]
        if isinstance(array, Rows):
            array = array.dense(self._default_value)
        shape = self._shape
        if len(self._keys) > 1:
            shape = [int(size) for key in self._keys[1:] for size in np.ravel(keys_to_tensors[key])]
        return self._reshaped(array, shape)


class LookupTensor(Tensor):
    """One feature whose values are looked up in a table, such as class names.

    Args:
      tensor_key, shape_keys, shape, default_value: As of `Tensor`.
      table: A mapping, or an object with `lookup(array)`. A value that the mapping lacks is an
        error; give a `collections.defaultdict` for a default. Keys may be text where values are
        bytes.

    >>> LookupTensor("x", {1: "cat", 2: "dog"}).tensors_to_item({"x": np.array([2, 1])}).tolist()
    ['dog', 'cat']
    """

    def __init__(
        self,
        tensor_key: str,
        table: Any,
        shape_keys: str | Sequence[str] | None = None,
        shape: Sequence[int] | None = None,
        default_value: ArrayLike = "",
    ):
        super().__init__(tensor_key, shape_keys, shape, default_value)
        self._table = table

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray:
        array = super().tensors_to_item(keys_to_tensors)
        if hasattr(self._table, "lookup"):
            return self._table.lookup(array)
        flat = [self._look_up(value) for value in array.ravel().tolist()]
        return np.array(flat).reshape(array.shape)

    def _look_up(self, value: Any) -> Any:
        if isinstance(value, bytes) and value not in self._table:
            value = value.decode(errors="replace")
        try:
            return self._table[value]
        except KeyError:
            near = did_you_mean(str(value), map(str, self._table))
            raise self._problem(f"is {value!r}, which the table does not have{near}") from None


class BackupHandler(ItemHandler):
    """The item of a handler, or that of a second one where the first item has no elements.

    Args:
      handler: The first handler.
      backup: The second handler.

    Raises:
      ValueError: One of them is not an `ItemHandler`.
    """

    def __init__(self, handler: ItemHandler, backup: ItemHandler):
        for name, given in (("Primary", handler), ("Backup", backup)):
            if not isinstance(given, ItemHandler):
                raise ValueError(f"{name} handler is of type {type(given)} instead of ItemHandler")
        super().__init__([*handler.keys, *backup.keys])
        self._handler = handler
        self._backup = backup

    def tensors_to_item(self, keys_to_tensors: Arrays) -> object:
        item = self._handler.tensors_to_item(keys_to_tensors)
        return item if np.asarray(item).size else self._backup.tensors_to_item(keys_to_tensors)


class SparseValue(NamedTuple):
    """A sparse array: `indices` `[n, axes]`, `values` `[n]` and `dense_shape` `[axes]`."""

    indices: np.ndarray
    values: np.ndarray
    dense_shape: np.ndarray


class SparseTensor(ItemHandler):
    """A sparse vector of two features, the indices and the values.

    Args:
      indices_key: The feature with the indices; default `'indices'`.
      values_key: The feature with the values; default `'values'`.
      shape_key: The feature with the length of the vector.
      shape: The length, as `[length]`; default the number of indices, as in TF-Slim.
      densify: Whether to make the vector dense.
      default_value: The value at the other indices of the dense vector.

    >>> handler = SparseTensor(shape=[4], densify=True)
    >>> handler.tensors_to_item({"indices": np.array([1, 3]), "values": np.array([7, 8])}).tolist()
    [0, 7, 0, 8]
    """

    def __init__(
        self,
        indices_key: str | None = None,
        values_key: str | None = None,
        shape_key: str | None = None,
        shape: Sequence[int] | None = None,
        densify: bool = False,
        default_value: ArrayLike = 0,
    ):
        keys = [indices_key or "indices", values_key or "values"]
        super().__init__([*keys, shape_key] if shape_key else keys)
        self._shape = shape
        self._densify = densify
        self._default_value = default_value

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray | SparseValue:
        indices, values = (np.ravel(keys_to_tensors[key]) for key in self._keys[:2])
        if len(self._keys) > 2:
            shape = np.ravel(keys_to_tensors[self._keys[2]])
        else:
            shape = np.array([indices.size] if self._shape is None else self._shape, np.int64)
        if indices.size != values.size:
            raise self._problem(
                f"has {indices.size} indices for {values.size} values of {self._keys[1]!r}"
            )
        if not self._densify:
            return SparseValue(indices.astype(np.int64)[:, None], values, shape)
        sizes = [int(size) for size in shape]
        if min(sizes, default=0) < 0 or math.prod(sizes) > IMAGE_BYTES():
            raise self._problem(f"cannot be made dense in the shape {sizes}")
        dense = np.full(sizes, self._default_value, values.dtype)
        if indices.size and (indices.min() < 0 or indices.max() >= dense.size):
            raise self._problem(f"has an index outside 0 to {dense.size - 1}: {indices.tolist()}")
        if (np.diff(indices) <= 0).any():
            raise self._problem(f"must have rising indices, got {indices.tolist()}")
        dense[indices] = values
        return dense


class Image(ItemHandler):
    """A decoded image `[height, width, channels]`, or several.

    Args:
      image_key: The feature with the encoded image; default `'image/encoded'`.
      format_key: The feature with its format; default `'image/format'`. `'raw'` and `'RAW'` stand
        for the bytes of an array; other formats are recognized by the image itself.
      shape: The shape, if all images have the same; needed for raw images.
      channels: 1 for grey, 3 for colours, 4 with transparency, 0 for those that the image has.
      dtype: The type of the result, and of a raw image (little-endian). Values are not scaled.
      repeated: Whether the feature holds several images of one size, to be stacked.
      dct_method: Ignored: JPEGs are always decoded as by `'INTEGER_ACCURATE'`.
      decode: False gives an `EncodedImage`, which preprocessing decodes; raw images are always
        decoded. Of no effect with `shape`, `repeated` or another `dtype`.
      apply_exif_orientation: As of `jslim.data.decode.decode_image`.
    """

    def __init__(
        self,
        image_key: str | None = None,
        format_key: str | None = None,
        shape: Sequence[int] | None = None,
        channels: int = 3,
        dtype: DTypeLike = np.uint8,
        repeated: bool = False,
        dct_method: str = "",
        decode: bool = True,
        *,
        apply_exif_orientation: bool = False,
    ):
        super().__init__([image_key or "image/encoded", format_key or "image/format"])
        self._shape = shape
        self._channels = channels
        self._dtype = np.dtype(dtype)
        self._repeated = repeated
        self._apply_exif_orientation = apply_exif_orientation
        self._decodes = decode or repeated or shape is not None or self._dtype != np.uint8

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray | EncodedImage:
        encoded = np.ravel(keys_to_tensors[self._keys[0]])
        formats = np.ravel(keys_to_tensors[self._keys[1]])
        is_raw = formats.size > 0 and formats[0] in (b"raw", b"RAW")
        if not self._repeated and encoded.size != 1:
            raise self._problem(f"has {encoded.size} images; one is wanted (or repeated=True)")
        if not (self._decodes or is_raw):
            return EncodedImage(
                encoded[0],
                self._keys[0],
                self._channels,
                apply_exif_orientation=self._apply_exif_orientation,
            )
        images = [self._decode(data, is_raw) for data in encoded]
        if not self._repeated:
            return images[0]
        shapes = [image.shape for image in images]
        if len(set(shapes)) > 1:
            raise self._problem(f"has images that must have one shape, got {shapes}")
        return np.stack(images) if images else np.empty((0, 0, 0, self._channels), self._dtype)

    def _decode(self, encoded: bytes, is_raw: bool) -> np.ndarray:
        if is_raw:
            if len(encoded) % self._dtype.itemsize:
                raise self._problem(
                    f"has {len(encoded)} bytes, which are no whole number of {self._dtype} values"
                )
            image = np.frombuffer(encoded, self._dtype.newbyteorder("<")).astype(self._dtype)
        else:
            decoded = decode_image(
                encoded,
                self._keys[0],
                self._channels,
                apply_exif_orientation=self._apply_exif_orientation,
            )
            image = decoded.astype(self._dtype, copy=False)
        return self._reshaped(image, self._shape)
