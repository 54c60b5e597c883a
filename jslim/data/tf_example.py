"""tf.train.Example: named features of bytes, floats or integers, parsed as by `tf.io`.

The messages are those of TensorFlow's example.proto and feature.proto.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from jslim.core.errors import DataError, did_you_mean
from jslim.host import protobuf
from jslim.host.limits import IMAGE_BYTES

_MESSAGES = """
package jslim.data;
message BytesList { repeated bytes value = 1; }
message FloatList { repeated float value = 1; }
message Int64List { repeated int64 value = 1; }
message Feature {
  oneof BytesList bytes_list = 1;
  oneof FloatList float_list = 2;
  oneof Int64List int64_list = 3;
}
message Features { map<string, Feature> feature = 1; }
message Example { Features features = 1; }
message FeatureList { repeated Feature feature = 1; }
message FeatureLists { map<string, FeatureList> feature_list = 1; }
message SequenceExample { Features context = 1; FeatureLists feature_lists = 2; }
"""
_BYTES = np.dtype(object)
# The three kinds of feature: the field, NumPy's dtype and the name in errors.
_KINDS = {
    "bytes_list": (_BYTES, "bytes"),
    "float_list": (np.dtype(np.float32), "float32"),
    "int64_list": (np.dtype(np.int64), "int64"),
}

FeatureType = DTypeLike  # bytes, float32 or int64
_Message = Any  # a message of protobuf, or a map of them


class FixedLenFeature(NamedTuple):
    """A feature with the same number of values in every example.

    Attributes:
      shape: The shape of the array.
      dtype: `bytes`, float32 or int64.
      default_value: The value where an example lacks the feature, of this shape or a scalar; None
        makes its lack an error.
    """

    shape: Sequence[int]
    dtype: FeatureType
    default_value: ArrayLike | None = None


class VarLenFeature(NamedTuple):
    """A feature with any number of values: a vector, empty where an example lacks the feature.

    Differs from TensorFlow: dense, since the values of one example have no gaps.

    Attributes:
      dtype: `bytes`, float32 or int64.
    """

    dtype: FeatureType


class FixedLenSequenceFeature(NamedTuple):
    """A feature of a sequence with the same number of values at every step: `[steps, *shape]`.

    Attributes:
      shape: The shape of the array at each step.
      dtype: `bytes`, float32 or int64.
      allow_missing: Whether an example may lack the feature; it then has no steps.
    """

    shape: Sequence[int]
    dtype: FeatureType
    allow_missing: bool = False


class Rows(list[np.ndarray]):
    """The value of a `VarLenFeature` of a sequence: a vector for each step."""

    def dense(self, default_value: ArrayLike) -> np.ndarray:
        """`[steps, longest]`, filled up with the default.

        >>> Rows([np.array([1, 2]), np.array([3])]).dense(0).tolist()
        [[1, 2], [3, 0]]
        """
        dtype = self[0].dtype if self else np.float32
        longest = max(map(len, self), default=0)
        if len(self) * longest > IMAGE_BYTES():
            raise DataError(
                f"a feature of {len(self)} steps, the longest of {longest} values, cannot be made "
                "dense; take fewer steps"
            )
        array = np.full((len(self), longest), default_value, dtype)
        for row, values in zip(array, self, strict=True):
            row[: len(values)] = values
        return array


# What `parse_example` and `parse_sequence_example` take for each feature.
Feature = FixedLenFeature | VarLenFeature
SequenceFeature = FixedLenSequenceFeature | VarLenFeature


def message_class(name: str = "Example") -> Any:
    """The class of tf.train.Example, or of `'SequenceExample'`, with TensorFlow's fields."""
    return protobuf.messages(_MESSAGES)[name]


def make_example(features: Mapping[str, Any]) -> bytes:
    """A serialized tf.train.Example.

    Args:
      features: The features by name: bytes, text, numbers, or sequences of one of these. Text
        becomes UTF-8.

    Raises:
      TypeError: A value is something else.

    >>> parse_example(make_example({"label": 3}), {"label": VarLenFeature(np.int64)})
    {'label': array([3])}
    """
    example = message_class()()
    for name, value in features.items():
        values = list(np.ravel(value)) if isinstance(value, np.ndarray) else value
        if isinstance(values, (str, bytes, int, float, np.generic)):
            values = [values]
        feature = example.features.feature[name]
        if all(isinstance(v, (str, bytes)) for v in values):
            coded = [v.encode() if isinstance(v, str) else bytes(v) for v in values]
            feature.bytes_list.value.extend(coded)
        elif all(isinstance(v, (bool, int, np.integer, np.bool_)) for v in values):
            feature.int64_list.value.extend(int(v) for v in values)
        elif all(isinstance(v, (int, float, np.integer, np.floating)) for v in values):
            feature.float_list.value.extend(float(v) for v in values)
        else:
            raise TypeError(
                f"feature {name!r} must be bytes, text, integers or floats, got {value!r}"
            )
    return example.SerializeToString(deterministic=True)


def parse_example(
    serialized: bytes, features: Mapping[str, Feature], record_key: str = "the example"
) -> dict[str, np.ndarray]:
    """The features of one serialized example, as `tf.io.parse_single_example` gives them.

    Args:
      serialized: The message.
      features: The features to parse, by name; others are ignored.
      record_key: What errors call the example.

    Returns:
      Arrays by name: int64, float32, or objects that are all `bytes`.

    Raises:
      DataError: It is not such a message, or a feature is missing or of another type or size.

    >>> example = make_example({"x": [0.5, 1.5]})
    >>> parse_example(example, {"x": FixedLenFeature([2], np.float32)})["x"].tolist()
    [0.5, 1.5]
    """
    held = _parse("Example", serialized, record_key).features.feature
    return {name: _values(held, name, feature, record_key) for name, feature in features.items()}


def parse_sequence_example(
    serialized: bytes,
    context_features: Mapping[str, Feature],
    sequence_features: Mapping[str, SequenceFeature],
    record_key: str = "the example",
) -> dict[str, Any]:
    """The features of one serialized tf.train.SequenceExample.

    Args:
      serialized: The message.
      context_features: The features of its context to parse, by name.
      sequence_features: The features of its sequences to parse, by name.
      record_key: What errors call the example.

    Returns:
      Arrays by name, and `Rows` for a `VarLenFeature` of a sequence.

    Raises:
      DataError: As `parse_example`.
    """
    example = _parse("SequenceExample", serialized, record_key)
    context, lists = example.context.feature, example.feature_lists.feature_list
    found: dict[str, Any] = {
        name: _values(context, name, feature, record_key)
        for name, feature in context_features.items()
    }
    for name, feature in sequence_features.items():
        if name not in lists and not getattr(feature, "allow_missing", True):
            raise _missing(name, lists, record_key)
        steps = lists[name].feature if name in lists else ()
        if isinstance(feature, VarLenFeature):
            found[name] = Rows(_step(step, name, feature, record_key) for step in steps)
            continue
        of_step = FixedLenFeature(feature.shape, feature.dtype)
        arrays = [_step(step, name, of_step, record_key) for step in steps]
        empty = np.empty((0, *feature.shape), _dtype(feature.dtype))
        found[name] = np.stack(arrays) if arrays else empty
    return found


def _parse(kind: str, serialized: bytes, record_key: str) -> _Message:
    try:
        return protobuf.parsed(message_class(kind), bytes(serialized))
    except protobuf.Malformed as error:
        raise DataError(
            f"{record_key} is no tf.train.{kind} ({error}); is it the right file?"
        ) from error


def _missing(name: str, held: _Message, record_key: str) -> DataError:
    return DataError(
        f"{record_key} has no feature {name!r}; it has {', '.join(sorted(held)) or 'none'}"
        f"{did_you_mean(name, held)}"
    )


def _values(held: _Message, name: str, feature: Feature, record_key: str) -> np.ndarray:
    if name in held and held[name].WhichOneof("kind") is not None:
        return _step(held[name], name, feature, record_key)
    if isinstance(feature, VarLenFeature):
        return np.empty(0, _dtype(feature.dtype))
    if feature.default_value is None:
        raise _missing(name, held, record_key)
    return _default(feature, _dtype(feature.dtype))


def _step(held: _Message, name: str, feature: Feature, record_key: str) -> np.ndarray:
    """The values of one message `Feature`."""
    wanted = _dtype(feature.dtype)
    kind = held.WhichOneof("kind")
    if kind is None:  # without values it is of any type
        array = np.empty(0, wanted)
    else:
        dtype, given = _KINDS[kind]
        if dtype != wanted:
            accepted = next(text for other, text in _KINDS.values() if other == wanted)
            raise DataError(
                f"feature {name!r} of {record_key} is {given}, and {accepted} is wanted; correct "
                "the features that are asked for, or the file"
            )
        array = np.array(getattr(held, kind).value, dtype)
    if isinstance(feature, VarLenFeature):
        return array
    shape = tuple(feature.shape)
    if array.size != np.prod(shape, dtype=int):
        raise DataError(
            f"feature {name!r} of {record_key} has {array.size} values, and shape {shape} is "
            "wanted; use VarLenFeature where their number varies"
        )
    return array.reshape(shape)


def _dtype(dtype: FeatureType) -> np.dtype:
    if dtype in (bytes, str, object):
        return _BYTES
    found = np.dtype(dtype)
    if found.kind in "SU":
        return _BYTES
    if found in (np.float32, np.int64):
        return found
    raise ValueError(f"the dtype of a feature must be bytes, float32 or int64, got {dtype!r}")


def _default(feature: FixedLenFeature, dtype: np.dtype) -> np.ndarray:
    values = np.array(feature.default_value, dtype)
    if dtype is _BYTES:
        coded = [v.encode() if isinstance(v, str) else v for v in values.ravel().tolist()]
        values = np.array(coded, object).reshape(values.shape)
    array = np.empty(tuple(feature.shape), dtype)
    array[...] = values.reshape(array.shape) if values.ndim else values
    return array
