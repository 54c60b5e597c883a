"""Programs for TensorFlow 1 and TF-Slim: its names on jslim, and old files as they are.

from jslim.compat import tf                 # the names

import jslim.compat
jslim.compat.install()                      # then old files run unchanged, in this process
from nets import my_network
"""

from jslim.compat import tf as tf
from jslim.compat._install import install as install
