"""`tf.python_io`: files of records."""

from jslim.compat.tf import _missing
from jslim.compat.tf._examples import TFRecordCompressionType as TFRecordCompressionType
from jslim.compat.tf._examples import TFRecordOptions as TFRecordOptions
from jslim.compat.tf._examples import TFRecordWriter as TFRecordWriter
from jslim.compat.tf._examples import tf_record_iterator as tf_record_iterator

__getattr__ = _missing.answering("tf.python_io", __name__)
