"""TF-Slim's layers."""

from jslim.core import tf_slim_names as _tf_slim_names
from jslim.layers import sparse_ops as sparse_ops
from jslim.layers import utils as utils
from jslim.layers._frame import COMPUTING_OPS as COMPUTING_OPS
from jslim.layers.batch_normalization import batch_norm as batch_norm
from jslim.layers.batch_normalization import frozen_batch_norm as frozen_batch_norm
from jslim.layers.combinators import repeat as repeat
from jslim.layers.combinators import stack as stack
from jslim.layers.convolutional import conv1d as conv1d
from jslim.layers.convolutional import conv2d as conv2d
from jslim.layers.convolutional import conv2d_transpose as conv2d_transpose
from jslim.layers.convolutional import conv3d as conv3d
from jslim.layers.convolutional import conv3d_transpose as conv3d_transpose
from jslim.layers.convolutional import convolution as convolution
from jslim.layers.convolutional import convolution1d as convolution1d
from jslim.layers.convolutional import convolution2d as convolution2d
from jslim.layers.convolutional import convolution2d_transpose as convolution2d_transpose
from jslim.layers.convolutional import convolution3d as convolution3d
from jslim.layers.convolutional import convolution3d_transpose as convolution3d_transpose
from jslim.layers.dense import elu as elu
from jslim.layers.dense import fully_connected as fully_connected
from jslim.layers.dense import legacy_fully_connected as legacy_fully_connected
from jslim.layers.dense import legacy_linear as legacy_linear
from jslim.layers.dense import legacy_relu as legacy_relu
from jslim.layers.dense import linear as linear
from jslim.layers.dense import relu as relu
from jslim.layers.dense import relu6 as relu6
from jslim.layers.depthwise import conv2d_in_plane as conv2d_in_plane
from jslim.layers.depthwise import convolution2d_in_plane as convolution2d_in_plane
from jslim.layers.depthwise import separable_conv2d as separable_conv2d
from jslim.layers.depthwise import separable_convolution2d as separable_convolution2d
from jslim.layers.features import bucketize as bucketize
from jslim.layers.features import maxout as maxout
from jslim.layers.features import poincare_normalize as poincare_normalize
from jslim.layers.features import scale_gradient as scale_gradient
from jslim.layers.features import spatial_softmax as spatial_softmax
from jslim.layers.generalized_divisive import GDN as GDN
from jslim.layers.generalized_divisive import gdn as gdn
from jslim.layers.misc import dropout as dropout
from jslim.layers.misc import flatten as flatten
from jslim.layers.misc import images_to_sequence as images_to_sequence
from jslim.layers.misc import one_hot_encoding as one_hot_encoding
from jslim.layers.misc import sequence_to_images as sequence_to_images
from jslim.layers.misc import softmax as softmax
from jslim.layers.normalization import bias_add as bias_add
from jslim.layers.normalization import group_norm as group_norm
from jslim.layers.normalization import instance_norm as instance_norm
from jslim.layers.normalization import layer_norm as layer_norm
from jslim.layers.normalization import unit_norm as unit_norm
from jslim.layers.pooling import avg_pool2d as avg_pool2d
from jslim.layers.pooling import avg_pool3d as avg_pool3d
from jslim.layers.pooling import max_pool2d as max_pool2d
from jslim.layers.pooling import max_pool3d as max_pool3d
from jslim.layers.pooling import pool as pool
from jslim.layers.recomputing import recompute_grad as recompute_grad
from jslim.layers.recomputing import recompute_scopes as recompute_scopes
from jslim.layers.reversible import RevBlock as RevBlock
from jslim.layers.reversible import rev_block as rev_block
from jslim.layers.sparse_ops import dense_to_sparse as dense_to_sparse

# TF-Slim's names of the orders of axes, for `data_format`.
DATA_FORMAT_NCHW = "NCHW"
DATA_FORMAT_NHWC = "NHWC"
DATA_FORMAT_NCDHW = "NCDHW"
DATA_FORMAT_NDHWC = "NDHWC"

_tf_slim_names.answer_in(__name__)
