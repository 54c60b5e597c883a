"""From the images of a data set to the inputs of a network, on the host, in NumPy."""

from jslim.preprocessing import cifarnet_preprocessing as cifarnet_preprocessing
from jslim.preprocessing import lenet_preprocessing as lenet_preprocessing
from jslim.preprocessing import preprocessing_factory as preprocessing_factory
from jslim.preprocessing import vgg_preprocessing as vgg_preprocessing
