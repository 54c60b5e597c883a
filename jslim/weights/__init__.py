"""Published weights of the networks by name, and the files of other frameworks.

    path = slim.weights.resolve("inception_v3")  # downloaded once, as a safetensors file
    path = slim.weights.resolve("timm/inception_v3.tf_in1k")
    path = slim.weights.resolve("inception_v3_2016_08_28.tar.gz", model_name="inception_v3")

What `resolve` gives is a checkpoint that says everything about itself: network, classes, image
size, preprocessing. `slim.load`, `train.py`, `eval.py` and the commands call it for each path that
they are given.
"""

from jslim.data.imagenet import imagenet_class_names as imagenet_class_names
from jslim.weights._convert import PRETRAINED as PRETRAINED
from jslim.weights._convert import UnknownWeights as UnknownWeights
from jslim.weights._convert import from_tf_slim as from_tf_slim
from jslim.weights._convert import resolve as resolve
from jslim.weights._table import WEIGHTS as WEIGHTS
from jslim.weights._table import Published as Published
from jslim.weights._table import find as find
from jslim.weights._table import list_weights as list_weights
