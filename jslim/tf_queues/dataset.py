"""TF-Slim's `Dataset`: where records come from and how they are decoded."""

from collections.abc import Callable, Mapping

from jslim.data.data_decoder import DataDecoder
from jslim.data.tfrecord import DataSources, Records


class Dataset:
    """The files of a data set, how they are read and what they hold.

    Args:
      data_sources: The files, as `jslim.data.get_data_files` takes them.
      reader: Makes a sequence of serialized records with `record_key(index)` of `data_sources`;
        None means `TFRecordFiles`.
      decoder: A `DataDecoder`. Where its `decode` takes `record_key` too, it is given what errors
        call the record.
      num_samples: The number of records; None means those that the files have.
      items_to_descriptions: What each item is.
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
