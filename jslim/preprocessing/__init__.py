"""From the images of a data set to the inputs of a network.

Each network has a function `preprocess_image` that does everything on the host, in NumPy, with the
numbers of TF-Slim. For training it is split into two halves: cropping and resizing on the host, one
image at a time, and the rest on the device (`on_device`). `augmentation` and `rand_augment` are on
the device too.
"""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.preprocessing import augmentation as augmentation
from jslim.preprocessing import cifarnet_preprocessing as cifarnet_preprocessing
from jslim.preprocessing import inception_preprocessing as inception_preprocessing
from jslim.preprocessing import lenet_preprocessing as lenet_preprocessing
from jslim.preprocessing import on_device as on_device
from jslim.preprocessing import preprocessing_factory as preprocessing_factory
from jslim.preprocessing import rand_augment as rand_augment
from jslim.preprocessing import vgg_preprocessing as vgg_preprocessing

_tf_slim_names.answer_in(__name__)
