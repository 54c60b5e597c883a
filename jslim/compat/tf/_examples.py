"""Examples in TFRecord files, read and parsed at once: features of bytes give arrays of NumPy."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim import data
from jslim.compat.tf._op import Constant, Values, array, either, op, shape_of
from jslim.core import checks
from jslim.core.errors import ScopeError
from jslim.data import tf_example, tfrecord
from jslim.data.tf_example import FixedLenFeature as FixedLenFeature
from jslim.data.tf_example import VarLenFeature as VarLenFeature

MESSAGES = (
    "Example", "SequenceExample", "Features", "Feature", "FeatureList", "FeatureLists",
    "BytesList", "FloatList", "Int64List",
)  # fmt: skip


class FixedLenSequenceFeature(NamedTuple):
    """A feature with a number of values that varies: `[steps, *shape]`.

    Attributes:
      shape: The shape of a step.
      dtype: `tf.string`, `tf.float32` or `tf.int64`.
      allow_missing: Must be True, as for TensorFlow, unless the example is a sequence.
      default_value: None.
    """

    shape: Sequence[int]
    dtype: DTypeLike
    allow_missing: bool = False
    default_value: ArrayLike | None = None


class SparseTensor(NamedTuple):
    """The entries of an array that are not zero.

    Attributes:
      indices: Their places, `[entries, axes]`.
      values: `[entries]`.
      dense_shape: The shape of the array.
    """

    indices: Any
    values: Any
    dense_shape: Any


@op
def sparse_tensor_to_dense(
    sp_input: SparseTensor,
    default_value: Values | None = None,
    validate_indices: bool = True,
    name: str | None = None,
) -> jax.Array:
    """The array, with the default (0) where there is no entry."""
    values, places = array(sp_input.values), array(sp_input.indices)
    shape = shape_of("tf.sparse_tensor_to_dense", sp_input.dense_shape, "dense_shape")
    start = jnp.full(shape, array(0 if default_value is None else default_value, values.dtype))
    return start.at[tuple(places.T)].set(values)


def parse_single_example(
    serialized: bytes,
    features: Mapping[str, Any],
    name: str | None = None,
    example_names: object = None,
) -> dict[str, Any]:
    """The features of one serialized example, at once.

    Args:
      serialized: The bytes of a tf.train.Example.
      features: `{name: FixedLenFeature(...)}`, or `VarLenFeature`, `FixedLenSequenceFeature`.

    Returns:
      Arrays of NumPy by name, and `SparseTensor`s for a `VarLenFeature`.

    Raises:
      ScopeError: The example is no bytes: it comes from a queue or a function that is compiled.
      DataError: It is no such message, or a feature is missing or of another type or size.
    """
    where = "tf.parse_single_example"
    asked = {key: _of_jslim(feature) for key, feature in features.items()}
    found = tf_example.parse_example(bytes_of(where, serialized), asked)
    return {key: _as_asked(features[key], values) for key, values in found.items()}


def bytes_of(where: str, serialized: Any) -> bytes:
    """The bytes to parse or decode. A compiled function has no bytes, and is refused."""
    is_one = isinstance(serialized, np.ndarray) and serialized.size == 1
    held = serialized.item() if is_one else serialized
    if not isinstance(held, bytes):
        raise ScopeError(
            f"{where}: serialized must be the bytes of an example, got {type(held).__name__}; it "
            "is parsed on the host, such as for each record of tf.python_io.tf_record_iterator; "
            "slim.data.batches reads files in threads"
        )
    return held


def _of_jslim(feature: Any) -> tf_example.Feature:
    if isinstance(feature, FixedLenSequenceFeature):
        return VarLenFeature(feature.dtype)
    if isinstance(feature, FixedLenFeature):
        return FixedLenFeature(shape_of("FixedLenFeature", feature.shape), *feature[1:])
    checks.instance("tf.parse_single_example", "a feature", feature, VarLenFeature, "a feature")
    known: VarLenFeature = feature
    return known


def _as_asked(feature: Any, values: np.ndarray) -> Any:
    if isinstance(feature, FixedLenSequenceFeature):
        return values.reshape(-1, *feature.shape).view(Constant)
    if isinstance(feature, VarLenFeature):
        places = np.arange(len(values)).reshape(-1, 1)
        return SparseTensor(places, values, np.array([len(values)]))
    # A text is the bytes: `tf.decode_raw` and functions of Python take them so.
    return values.item() if values.dtype == object and not values.ndim else values.view(Constant)


def decode_raw(
    input_bytes: bytes | None = None,
    out_type: DTypeLike | None = None,
    little_endian: bool = True,
    name: str | None = None,
    bytes: bytes | None = None,
) -> Constant:
    """The numbers that bytes hold, `[numbers]`.

    Raises:
      ScopeError: They are not bytes: they come from a queue or a function that is compiled.
      ValueError: They are not a whole number of them.
    """
    where = "tf.decode_raw"
    held = checks.given(where, "input_bytes", either(where, input_bytes=input_bytes, bytes=bytes))
    checks.given(where, "out_type", out_type)
    kind: np.dtype = np.dtype(out_type)
    stored = kind.newbyteorder("<" if little_endian else ">")
    return np.frombuffer(bytes_of(where, held), stored).astype(kind).view(Constant)


class TFRecordCompressionType:
    """How a file of records is compressed."""

    NONE = 0
    ZLIB = 1
    GZIP = 2


class TFRecordOptions:
    """How a file of records is compressed: a `TFRecordCompressionType`, or its name."""

    def __init__(self, compression_type: int | str | None = None, **others: object) -> None:
        names = {0: None, 1: "ZLIB", 2: "GZIP", "": None, None: None, "ZLIB": "ZLIB"}
        names["GZIP"] = "GZIP"
        accepted = "NONE, ZLIB or GZIP of TFRecordCompressionType"
        checks.one_of("TFRecordOptions", "compression_type", compression_type, names, accepted)
        self.compression = names[compression_type]


def tf_record_iterator(path: str, options: TFRecordOptions | None = None) -> Iterator[bytes]:
    """The records of a file one after another; whether it is compressed it says itself.

    Raises:
      DataError: It is no such file, or a checksum is wrong.
    """
    return tfrecord.read_records(path)


class TFRecordWriter(data.TFRecordWriter):
    """Writes a file of records, which gets its name when it is closed."""

    def __init__(self, path: str, options: TFRecordOptions | int | str | None = None) -> None:
        chosen = options if isinstance(options, TFRecordOptions) else TFRecordOptions(options)
        super().__init__(path, chosen.compression)

    def flush(self) -> None:
        """Nothing: a file is written as a whole."""
