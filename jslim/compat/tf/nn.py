"""`tf.nn`: functions of features."""

from jslim.compat.tf import _missing
from jslim.compat.tf._activations import (
    batch_norm_with_global_normalization as batch_norm_with_global_normalization,
)
from jslim.compat.tf._activations import batch_normalization as batch_normalization
from jslim.compat.tf._activations import bias_add as bias_add
from jslim.compat.tf._activations import crelu as crelu
from jslim.compat.tf._activations import dropout as dropout
from jslim.compat.tf._activations import elu as elu
from jslim.compat.tf._activations import embedding_lookup as embedding_lookup
from jslim.compat.tf._activations import in_top_k as in_top_k
from jslim.compat.tf._activations import l2_loss as l2_loss
from jslim.compat.tf._activations import l2_normalize as l2_normalize
from jslim.compat.tf._activations import leaky_relu as leaky_relu
from jslim.compat.tf._activations import (
    local_response_normalization as local_response_normalization,
)
from jslim.compat.tf._activations import log_softmax as log_softmax
from jslim.compat.tf._activations import lrn as lrn
from jslim.compat.tf._activations import moments as moments
from jslim.compat.tf._activations import relu as relu
from jslim.compat.tf._activations import relu6 as relu6
from jslim.compat.tf._activations import relu_layer as relu_layer
from jslim.compat.tf._activations import selu as selu
from jslim.compat.tf._activations import softmax as softmax
from jslim.compat.tf._activations import softplus as softplus
from jslim.compat.tf._activations import softsign as softsign
from jslim.compat.tf._activations import swish as swish
from jslim.compat.tf._activations import top_k as top_k
from jslim.compat.tf._activations import xw_plus_b as xw_plus_b
from jslim.compat.tf._activations import zero_fraction as zero_fraction
from jslim.compat.tf._argmax_pool import max_pool_with_argmax as max_pool_with_argmax
from jslim.compat.tf._convolutions import atrous_conv2d as atrous_conv2d
from jslim.compat.tf._convolutions import conv1d as conv1d
from jslim.compat.tf._convolutions import conv2d as conv2d
from jslim.compat.tf._convolutions import conv2d_transpose as conv2d_transpose
from jslim.compat.tf._convolutions import conv3d as conv3d
from jslim.compat.tf._convolutions import conv3d_transpose as conv3d_transpose
from jslim.compat.tf._convolutions import convolution as convolution
from jslim.compat.tf._convolutions import depthwise_conv2d as depthwise_conv2d
from jslim.compat.tf._convolutions import depthwise_conv2d_native as depthwise_conv2d_native
from jslim.compat.tf._convolutions import separable_conv2d as separable_conv2d
from jslim.compat.tf._math import sigmoid as sigmoid
from jslim.compat.tf._math import tanh as tanh
from jslim.compat.tf._nn_losses import (
    sigmoid_cross_entropy_with_logits as sigmoid_cross_entropy_with_logits,
)
from jslim.compat.tf._nn_losses import (
    softmax_cross_entropy_with_logits as softmax_cross_entropy_with_logits,
)
from jslim.compat.tf._nn_losses import (
    softmax_cross_entropy_with_logits_v2 as softmax_cross_entropy_with_logits_v2,
)
from jslim.compat.tf._nn_losses import (
    sparse_softmax_cross_entropy_with_logits as sparse_softmax_cross_entropy_with_logits,
)
from jslim.compat.tf._nn_losses import (
    weighted_cross_entropy_with_logits as weighted_cross_entropy_with_logits,
)
from jslim.compat.tf._pools import avg_pool as avg_pool
from jslim.compat.tf._pools import avg_pool2d as avg_pool2d
from jslim.compat.tf._pools import avg_pool3d as avg_pool3d
from jslim.compat.tf._pools import max_pool as max_pool
from jslim.compat.tf._pools import max_pool2d as max_pool2d
from jslim.compat.tf._pools import max_pool3d as max_pool3d
from jslim.compat.tf._pools import pool as pool

__getattr__ = _missing.answering("tf.nn", __name__)
