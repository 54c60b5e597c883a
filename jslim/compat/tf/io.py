"""`tf.io`: files."""

from jslim.compat.tf import gfile as gfile
