"""TF-Slim's `Dataset`: where records come from and how they are decoded."""

from collections.abc import Mapping
from typing import Any


class Dataset:
    """What a data set is: files, how they are read, what they hold.

    Args:
      data_sources: The files, as `jslim.data.get_data_files` takes them.
      reader: Makes a sequence of serialized records with `record_key(index)` of `data_sources`;
        None means `TFRecordFiles`.
      decoder: Has `decode(record, items)` and `list_items()`, as `DataDecoder`. Where `decode`
        takes `record_key` too it is given what errors call the record.
      num_samples: The number of records; None means those that the files have.
      items_to_descriptions: What each item is.
      **kwargs: Further attributes, such as `num_classes` and `labels_to_names`.
    """

    def __init__(
        self,
        data_sources: Any,
        reader: Any,
        decoder: Any,
        num_samples: int | None,
        items_to_descriptions: Mapping[str, str],
        **kwargs: Any,
    ):
        self.data_sources = data_sources
        self.reader = reader
        self.decoder = decoder
        self.num_samples = num_samples
        self.items_to_descriptions = items_to_descriptions
        for name, value in kwargs.items():
            setattr(self, name, value)
