"""TF-Slim's `Dataset`: the files of a data set, and how they are read and decoded."""

from collections.abc import Callable, Mapping

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.data.data_decoder import DataDecoder
from jslim.data.tfrecord import DataSources, Records


class Dataset:
    """The files of a data set, and how they are read and decoded.

    Args:
      data_sources: The files; see `jslim.data.get_data_files`.
      reader: Takes `data_sources` and returns a sequence of serialized records with
        `record_key(index)`; None for `TFRecordFiles`.
      decoder: A `DataDecoder`. If its `decode` has an argument `record_key`, it gets the name of
        the record for errors.
      num_samples: The number of records; None for the number in the files.
      items_to_descriptions: A description of each item.
      **kwargs: Further attributes, such as `num_classes` and `labels_to_names`.
    """

    def __init__(
        self,
        data_sources: DataSources,
        reader: Callable[..., Records] | None,
        decoder: DataDecoder,
        num_samples: int | None,
        items_to_descriptions: Mapping[str, str],
        **kwargs: object,
    ):
        self.data_sources = data_sources
        self.reader = reader
        self.decoder = decoder
        self.num_samples = num_samples
        self.items_to_descriptions = items_to_descriptions
        vars(self).update(kwargs)


_tf_slim_names.answer_in(__name__)
