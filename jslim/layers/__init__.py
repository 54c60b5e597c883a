"""TF-Slim's layers."""

from jslim.layers import utils as utils
from jslim.layers.batch_normalization import batch_norm as batch_norm
from jslim.layers.combinators import repeat as repeat
from jslim.layers.combinators import stack as stack
from jslim.layers.convolutional import conv2d as conv2d
from jslim.layers.convolutional import conv2d_transpose as conv2d_transpose
from jslim.layers.convolutional import convolution2d as convolution2d
from jslim.layers.convolutional import convolution2d_transpose as convolution2d_transpose
from jslim.layers.dense import fully_connected as fully_connected
from jslim.layers.depthwise import conv2d_in_plane as conv2d_in_plane
from jslim.layers.depthwise import convolution2d_in_plane as convolution2d_in_plane
from jslim.layers.depthwise import separable_conv2d as separable_conv2d
from jslim.layers.depthwise import separable_convolution2d as separable_convolution2d
from jslim.layers.misc import dropout as dropout
from jslim.layers.misc import flatten as flatten
from jslim.layers.misc import one_hot_encoding as one_hot_encoding
from jslim.layers.misc import softmax as softmax
from jslim.layers.normalization import bias_add as bias_add
from jslim.layers.normalization import unit_norm as unit_norm
from jslim.layers.pooling import avg_pool2d as avg_pool2d
from jslim.layers.pooling import max_pool2d as max_pool2d
