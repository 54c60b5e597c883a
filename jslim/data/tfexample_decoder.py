"""TF-Slim's decoder of tf.train.Example: items that handlers make of features.

    decoder = TFExampleDecoder(
        {'image/encoded': FixedLenFeature([], bytes, ''),
         'image/format': FixedLenFeature([], bytes, 'jpeg'),
         'image/class/label': FixedLenFeature([], np.int64)},
        {'image': Image(), 'label': Tensor('image/class/label')})
    image, label = decoder.decode(serialized, ['image', 'label'])

Everything is a NumPy array of one example. Differs from TF-Slim: `VarLenFeature` gives a vector,
not a sparse tensor, since the values of one example have no gaps.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

from jslim.core import checks
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.errors import DataError, did_you_mean
from jslim.data.data_decoder import DataDecoder as DataDecoder
from jslim.data.item_handlers import Arrays
from jslim.data.item_handlers import BackupHandler as BackupHandler
from jslim.data.item_handlers import BoundingBox as BoundingBox
from jslim.data.item_handlers import Image as Image
from jslim.data.item_handlers import ItemHandler as ItemHandler
from jslim.data.item_handlers import ItemHandlerCallback as ItemHandlerCallback
from jslim.data.item_handlers import LookupTensor as LookupTensor
from jslim.data.item_handlers import SparseTensor as SparseTensor
from jslim.data.item_handlers import SparseValue as SparseValue
from jslim.data.item_handlers import Tensor as Tensor
from jslim.data.sequence_handlers import BoundingBoxSequence as BoundingBoxSequence
from jslim.data.sequence_handlers import KeypointsSequence as KeypointsSequence
from jslim.data.sequence_handlers import NumBoxesSequence as NumBoxesSequence
from jslim.data.tf_example import Feature, SequenceFeature, parse_example, parse_sequence_example


class _Decoder(DataDecoder):
    """Items from handlers; the common part of both kinds of example."""

    def __init__(
        self, features: Mapping[str, object], items_to_handlers: Mapping[str, ItemHandler]
    ):
        for item, handler in items_to_handlers.items():
            for key in handler.keys:
                if key not in features:
                    raise ValueError(
                        f"the handler of item {item!r} needs the feature {key!r}, which is not "
                        f"among those that are parsed{did_you_mean(key, features)}"
                    )
        self._handlers = dict(items_to_handlers)

    def list_items(self) -> list[str]:
        """The names of the items."""
        return list(self._handlers)

    def decode(
        self,
        serialized_example: bytes,
        items: Sequence[str] | None = None,
        record_key: str = "the example",
    ) -> list[Any]:
        """The items of one example, in their order.

        Args:
          serialized_example: The message.
          items: The names of the items; default all. Only the features that they need are parsed.
          record_key: What errors call the example.

        Raises:
          ValueError: There is no such item.
          DataError: A feature is missing or does not fit; the message has `record_key`.
        """
        items = self.list_items() if items is None else items
        for item in items:
            checks.known("", "item", item, self._handlers)
        handlers = [self._handlers[item] for item in items]
        needed = {key for handler in handlers for key in handler.keys}
        arrays = self._parse(serialized_example, needed, record_key)
        try:
            return [handler.tensors_to_item(arrays) for handler in handlers]
        except DataError as error:
            raise DataError(f"{record_key}: {error}") from error

    @abc.abstractmethod
    def _parse(self, serialized: bytes, needed: set[str], record_key: str) -> Arrays:
        """The needed features by name."""


class TFExampleDecoder(_Decoder):
    """Decodes serialized examples into items.

    Args:
      keys_to_features: The features to parse, by name: `FixedLenFeature` or `VarLenFeature`.
      items_to_handlers: The handler of each item, by name.

    Raises:
      ValueError: A handler needs a feature that is not among them.

    >>> import numpy as np
    >>> from jslim.data.tf_example import FixedLenFeature, make_example
    >>> features = {"x": FixedLenFeature([2], np.int64)}
    >>> TFExampleDecoder(features, {"pair": Tensor("x")}).decode(make_example({"x": [3, 4]}))
    [array([3, 4])]
    """

    def __init__(
        self, keys_to_features: Mapping[str, Feature], items_to_handlers: Mapping[str, ItemHandler]
    ):
        super().__init__(keys_to_features, items_to_handlers)
        self._features = dict(keys_to_features)

    def _parse(self, serialized: bytes, needed: set[str], record_key: str) -> Arrays:
        return parse_example(serialized, _of(self._features, needed), record_key)


class TFSequenceExampleDecoder(_Decoder):
    """Decodes serialized sequence examples into items.

    Args:
      keys_to_context_features: The features of the context, by name: `FixedLenFeature` or
        `VarLenFeature`.
      keys_to_sequence_features: The features of the sequences, by name: `FixedLenSequenceFeature`,
        or `VarLenFeature`, which gives `Rows`.
      items_to_handlers: The handler of each item, by name.

    Raises:
      ValueError: A feature is in both, or a handler needs a feature that is in neither.
    """

    def __init__(
        self,
        keys_to_context_features: Mapping[str, Feature],
        keys_to_sequence_features: Mapping[str, SequenceFeature],
        items_to_handlers: Mapping[str, ItemHandler],
    ):
        both = sorted(set(keys_to_context_features) & set(keys_to_sequence_features))
        if both:
            raise ValueError(f"these features are of the context and of the sequences: {both}")
        super().__init__(
            {**keys_to_context_features, **keys_to_sequence_features}, items_to_handlers
        )
        self._context = dict(keys_to_context_features)
        self._sequences = dict(keys_to_sequence_features)

    def _parse(self, serialized: bytes, needed: set[str], record_key: str) -> Arrays:
        context, sequences = _of(self._context, needed), _of(self._sequences, needed)
        return parse_sequence_example(serialized, context, sequences, record_key)


def _of(features: dict[str, Any], needed: set[str]) -> dict[str, Any]:
    return {key: feature for key, feature in features.items() if key in needed}


_tf_slim_names.answer_in(__name__)
