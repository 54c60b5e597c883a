"""Programs for TensorFlow 1 and TF-Slim: its names on jslim, and how to run such files unchanged.

from jslim.compat import tf                 # the names
"""

from jslim.compat import tf as tf
