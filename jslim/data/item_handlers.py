"""How items are made of the features of a tf.train.Example: TF-Slim's handlers."""

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
    def tensors_to_item(self, keys_to_tensors: Arrays) -> Any:
        """The item, from the features by name."""


class ItemHandlerCallback(ItemHandler):
    """An item that a function makes.

    Args:
      keys: As of `ItemHandler`.
      func: Gets `{key: array}`.
    """

    def __init__(self, keys: str | Sequence[str], func: Callable[[dict[str, np.ndarray]], Any]):
        super().__init__(keys)
        self._func = func

    def tensors_to_item(self, keys_to_tensors: Arrays) -> Any:
        return self._func({key: keys_to_tensors[key] for key in self._keys})


class BoundingBox(ItemHandler):
    """Boxes `[num_boxes, 4]` of four features with one side of each box.

    Args:
      keys: Four names; default ymin, xmin, ymax, xmax.
      prefix: Is put before each name.

    Raises:
      ValueError: There are not four names.
    """

    def __init__(self, keys: Sequence[str] | None = None, prefix: str = ""):
        keys = ["ymin", "xmin", "ymax", "xmax"] if keys is None else list(keys)
        if len(keys) != 4:
            raise ValueError(f"BoundingBox expects 4 keys but got {len(keys)}: {keys}")
        super().__init__([prefix + key for key in keys])

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray:
        sides = [np.ravel(keys_to_tensors[key]) for key in self._keys]
        sizes = {key: side.size for key, side in zip(self._keys, sides, strict=True)}
        if len(set(sizes.values())) > 1:
            raise DataError(f"the sides of the boxes are not equally many: {sizes}")
        return np.stack(sides, axis=1)


class Tensor(ItemHandler):
    """One feature as it is, or in another shape.

    Args:
      tensor_key: Its name.
      shape_keys: Name of the feature that holds the shape, or names of one feature for each axis.
      shape: The shape.
      default_value: What fills up the shorter steps of a sequence; a single example has no gaps.

    Raises:
      ValueError: Both `shape_keys` and `shape` are given.
    """

    def __init__(
        self,
        tensor_key: str,
        shape_keys: str | Sequence[str] | None = None,
        shape: Sequence[int] | None = None,
        default_value: ArrayLike = 0,
    ):
        if shape_keys and shape is not None:
            raise ValueError("Cannot specify both shape_keys and shape parameters.")
        if shape_keys is None:
            shape_keys = []
        elif isinstance(shape_keys, str):
            shape_keys = [shape_keys]
        super().__init__([tensor_key, *shape_keys])
        self._shape = shape
        self._default_value = default_value

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray:
        array = keys_to_tensors[self._keys[0]]
        if isinstance(array, Rows):
            array = array.dense(self._default_value)
        shape = self._shape
        if len(self._keys) > 1:
            shape = [int(size) for key in self._keys[1:] for size in np.ravel(keys_to_tensors[key])]
        return array if shape is None else _reshaped(array, shape, self._keys[0])


class LookupTensor(Tensor):
    """One feature whose values are looked up in a table, such as class names.

    Args:
      tensor_key: As of `Tensor`.
      table: A mapping, or what has `lookup(array)`. A value that a mapping lacks is an error; give
        a `collections.defaultdict` for a default. Keys may be text where values are bytes.
      shape_keys: As of `Tensor`.
      shape: As of `Tensor`.
      default_value: As of `Tensor`.
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
            raise DataError(
                f"feature {self._keys[0]!r} is {value!r}, which the table does not have"
                f"{did_you_mean(str(value), map(str, self._table))}"
            ) from None


class BackupHandler(ItemHandler):
    """The item of a second handler where that of the first has no elements.

    Args:
      handler: The first one.
      backup: The second one.

    Raises:
      ValueError: One of them is no `ItemHandler`.
    """

    def __init__(self, handler: ItemHandler, backup: ItemHandler):
        for name, given in (("Primary", handler), ("Backup", backup)):
            if not isinstance(given, ItemHandler):
                raise ValueError(f"{name} handler is of type {type(given)} instead of ItemHandler")
        super().__init__([*handler.keys, *backup.keys])
        self._handler = handler
        self._backup = backup

    def tensors_to_item(self, keys_to_tensors: Arrays) -> Any:
        item = self._handler.tensors_to_item(keys_to_tensors)
        return item if np.size(item) else self._backup.tensors_to_item(keys_to_tensors)


class SparseValue(NamedTuple):
    """A sparse array: `indices` `[n, axes]`, `values` `[n]` and `dense_shape` `[axes]`."""

    indices: np.ndarray
    values: np.ndarray
    dense_shape: np.ndarray


class SparseTensor(ItemHandler):
    """A sparse vector of two features: where its values are, and the values.

    Args:
      indices_key: Name of the feature with the indices; default `'indices'`.
      values_key: Name of that with the values; default `'values'`.
      shape_key: Name of the feature with the length of the vector.
      shape: The length, as `[length]`; default the number of indices, as in TF-Slim.
      densify: Whether to make it dense.
      default_value: What stands at the other places of the dense vector.
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

    def tensors_to_item(self, keys_to_tensors: Arrays) -> Any:
        indices, values = (np.ravel(keys_to_tensors[key]) for key in self._keys[:2])
        if len(self._keys) > 2:
            shape = np.ravel(keys_to_tensors[self._keys[2]])
        else:
            shape = np.array([indices.size] if self._shape is None else self._shape, np.int64)
        if indices.size != values.size:
            raise DataError(
                f"feature {self._keys[0]!r} has {indices.size} indices for {values.size} values "
                f"of {self._keys[1]!r}"
            )
        if not self._densify:
            return SparseValue(indices.astype(np.int64)[:, None], values, shape)
        sizes = [int(size) for size in shape]
        if min(sizes, default=0) < 0 or math.prod(sizes) > IMAGE_BYTES():
            raise DataError(f"feature {self._keys[0]!r} cannot be made dense in the shape {sizes}")
        dense = np.full(sizes, self._default_value, values.dtype)
        if indices.size and (indices.min() < 0 or indices.max() >= dense.size):
            raise DataError(
                f"feature {self._keys[0]!r} has an index outside 0 to {dense.size - 1}: "
                f"{indices.tolist()}"
            )
        if (np.diff(indices) <= 0).any():
            raise DataError(
                f"feature {self._keys[0]!r} must have rising indices, got {indices.tolist()}"
            )
        dense[indices] = values
        return dense


class Image(ItemHandler):
    """A decoded image `[height, width, channels]`, or several.

    Args:
      image_key: Name of the feature with the encoded image; default `'image/encoded'`.
      format_key: Name of that with its format; default `'image/format'`. `'raw'` and `'RAW'` mean
        the bytes of an array; what any other image is is read from the image.
      shape: The shape, if all images have one; needed for raw ones.
      channels: 1 for grey, 3 for colours, 4 with transparency, 0 for those that the image has.
      dtype: Of the result, and of the numbers of a raw image (little-endian). Values are not
        scaled.
      repeated: Whether the feature holds several images of one size, to be stacked.
      dct_method: As of TF-Slim; JPEGs are always decoded as by `'INTEGER_ACCURATE'`.
      decode: False gives an `EncodedImage`, for preprocessing to decode as it needs it; raw images
        are decoded all the same. Of no effect with `shape`, `repeated` or another `dtype`.
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
    ):
        super().__init__([image_key or "image/encoded", format_key or "image/format"])
        self._shape = shape
        self._channels = channels
        self._dtype = np.dtype(dtype)
        self._repeated = repeated
        self._decodes = decode or repeated or shape is not None or self._dtype != np.uint8

    def tensors_to_item(self, keys_to_tensors: Arrays) -> np.ndarray | EncodedImage:
        encoded = np.ravel(keys_to_tensors[self._keys[0]])
        formats = np.ravel(keys_to_tensors[self._keys[1]])
        is_raw = formats.size > 0 and formats[0] in (b"raw", b"RAW")
        if not self._repeated and encoded.size != 1:
            raise DataError(
                f"feature {self._keys[0]!r} has {encoded.size} images; one is wanted (or "
                "repeated=True)"
            )
        if not (self._decodes or is_raw):
            return EncodedImage(encoded[0], self._keys[0], self._channels)
        images = [self._decode(data, is_raw) for data in encoded]
        if not self._repeated:
            return images[0]
        if len({image.shape for image in images}) > 1:
            raise DataError(
                f"the images of feature {self._keys[0]!r} must have one shape, got "
                f"{[image.shape for image in images]}"
            )
        return np.stack(images) if images else np.empty((0, 0, 0, self._channels), self._dtype)

    def _decode(self, encoded: bytes, is_raw: bool) -> np.ndarray:
        if is_raw:
            if len(encoded) % self._dtype.itemsize:
                raise DataError(
                    f"feature {self._keys[0]!r} has {len(encoded)} bytes, which are no whole "
                    f"number of {self._dtype} values"
                )
            image = np.frombuffer(encoded, self._dtype.newbyteorder("<")).astype(self._dtype)
        else:
            decoded = decode_image(encoded, self._keys[0], channels=self._channels)
            image = decoded.astype(self._dtype, copy=False)
        return image if self._shape is None else _reshaped(image, self._shape, self._keys[0])


def _reshaped(array: np.ndarray, shape: Sequence[int], key: str) -> np.ndarray:
    try:
        return array.reshape(tuple(shape))
    except ValueError:
        raise DataError(
            f"feature {key!r} has {array.size} values, which cannot have shape {list(shape)}"
        ) from None
