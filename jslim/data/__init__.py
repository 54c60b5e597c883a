"""From images on disk or in memory to batches on the devices.

    dataset = slim.data.get_dataset('digits', 'train')
    batches = slim.data.batches(dataset, 64, is_training=True, preprocessing_fn=preprocess, seed=0)
    batches = slim.data.prefetch_to_device(batches, sharding)
    batch = next(batches)                     # {'image', 'label', 'weights'}, on the devices
    position = batches.get_state()            # a small dict; goes into the checkpoint

`jslim.data.tfexample_decoder` and `jslim.data.tf_example` read the records of TFRecord files.

Pillow is imported when the first image file is decoded, Grain when the first batch is read ahead,
protobuf when the first example is parsed.
"""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.data import tf_example as tf_example
from jslim.data import tfexample_decoder as tfexample_decoder
from jslim.data._batch_loader import BadRecordError as BadRecordError
from jslim.data.array_record import ArrayRecordFiles as ArrayRecordFiles
from jslim.data.array_record import ArrayRecordWriter as ArrayRecordWriter
from jslim.data.balance import balanced_class_weights as balanced_class_weights
from jslim.data.balance import labels_of as labels_of
from jslim.data.batching import BatchIterator as BatchIterator
from jslim.data.batching import OtherDataError as OtherDataError
from jslim.data.batching import batches as batches
from jslim.data.data_decoder import DataDecoder as DataDecoder
from jslim.data.dataset_factory import DATASET_NAMES as DATASET_NAMES
from jslim.data.dataset_factory import get_dataset as get_dataset
from jslim.data.decode import EncodedImage as EncodedImage
from jslim.data.decode import decode_image as decode_image
from jslim.data.device import DeviceBatchIterator as DeviceBatchIterator
from jslim.data.device import prefetch_to_device as prefetch_to_device
from jslim.data.folder import FolderDataset as FolderDataset
from jslim.data.order import steps_of_epochs as steps_of_epochs
from jslim.data.random_access import RandomAccessDataset as RandomAccessDataset
from jslim.data.sources import ArrayDataset as ArrayDataset
from jslim.data.sources import Example as Example
from jslim.data.sources import ImageDataset as ImageDataset
from jslim.data.sources import digits as digits
from jslim.data.subset import Split as Split
from jslim.data.subset import Subset as Subset
from jslim.data.subset import split as split
from jslim.data.tfrecord import TFRecordFile as TFRecordFile
from jslim.data.tfrecord import TFRecordFiles as TFRecordFiles
from jslim.data.tfrecord import TFRecordWriter as TFRecordWriter
from jslim.data.tfrecord import get_data_files as get_data_files
from jslim.data.tfrecord_datasets import TFRecordDataset as TFRecordDataset

_tf_slim_names.answer_in(__name__)
