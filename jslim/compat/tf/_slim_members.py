"""Modules of TensorFlow that TF-Slim imports, and so has as members: `slim.init_ops`."""

from jslim.compat import tf as init_ops
from jslim.compat.tf import nn as nn

__all__ = ["init_ops", "nn"]
