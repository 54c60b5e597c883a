"""`tf.io`: files, records and examples."""

from jslim.compat.tf import _missing
from jslim.compat.tf import gfile as gfile
from jslim.compat.tf._examples import FixedLenFeature as FixedLenFeature
from jslim.compat.tf._examples import FixedLenSequenceFeature as FixedLenSequenceFeature
from jslim.compat.tf._examples import TFRecordCompressionType as TFRecordCompressionType
from jslim.compat.tf._examples import TFRecordOptions as TFRecordOptions
from jslim.compat.tf._examples import TFRecordWriter as TFRecordWriter
from jslim.compat.tf._examples import VarLenFeature as VarLenFeature
from jslim.compat.tf._examples import decode_raw as decode_raw
from jslim.compat.tf._examples import parse_single_example as parse_single_example
from jslim.compat.tf._examples import tf_record_iterator as tf_record_iterator
from jslim.compat.tf._image_files import decode_image as decode_image
from jslim.compat.tf._image_files import decode_jpeg as decode_jpeg
from jslim.compat.tf._image_files import decode_png as decode_png
from jslim.compat.tf._image_files import read_file as read_file

__getattr__ = _missing.answering("tf.io", __name__)
