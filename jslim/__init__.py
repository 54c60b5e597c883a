"""jslim: TF-Slim as it would be written today, on JAX.

Training, evaluation and networks are imported at their first use. They would take most of the time
of `import jslim`, apart from jax and flax.
"""

import typing

from jslim import initializers as initializers
from jslim import layers as layers
from jslim import losses as losses
from jslim import metrics as metrics
from jslim import regularizers as regularizers
from jslim import summaries as summaries
from jslim.core import later as _later
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.access import assign as assign
from jslim.core.access import is_initializing as is_initializing
from jslim.core.access import make_rng as make_rng
from jslim.core.arg_scope import ArgScope as ArgScope
from jslim.core.arg_scope import add_arg_scope as add_arg_scope
from jslim.core.arg_scope import arg_scope as arg_scope
from jslim.core.arg_scope import arg_scope_explain as arg_scope_explain
from jslim.core.arg_scope import arg_scope_func_key as arg_scope_func_key
from jslim.core.arg_scope import arg_scoped_arguments as arg_scoped_arguments
from jslim.core.arg_scope import current_arg_scope as current_arg_scope
from jslim.core.arg_scope import has_arg_scope as has_arg_scope
from jslim.core.devices import VariableDeviceChooser as VariableDeviceChooser
from jslim.core.errors import DataError as DataError
from jslim.core.errors import RestoreError as RestoreError
from jslim.core.errors import ScopeError as ScopeError
from jslim.core.global_step import assert_global_step as assert_global_step
from jslim.core.global_step import assert_or_get_global_step as assert_or_get_global_step
from jslim.core.global_step import create_global_step as create_global_step
from jslim.core.global_step import get_global_step as get_global_step
from jslim.core.global_step import get_or_create_global_step as get_or_create_global_step
from jslim.core.model import Model as Model
from jslim.core.model import call_linen as call_linen
from jslim.core.names import AUTO_REUSE as AUTO_REUSE
from jslim.core.names import VariableScope as VariableScope
from jslim.core.scopes import get_variable_scope as get_variable_scope
from jslim.core.scopes import variable_scope as variable_scope
from jslim.core.selection import filter_variables as filter_variables
from jslim.core.selection import get_local_variables as get_local_variables
from jslim.core.selection import get_model_variables as get_model_variables
from jslim.core.selection import get_trainable_variables as get_trainable_variables
from jslim.core.selection import get_unique_variable as get_unique_variable
from jslim.core.selection import get_variables as get_variables
from jslim.core.selection import get_variables_by_name as get_variables_by_name
from jslim.core.selection import get_variables_by_suffix as get_variables_by_suffix
from jslim.core.selection import get_variables_to_restore as get_variables_to_restore
from jslim.initializers import constant_initializer as constant_initializer
from jslim.initializers import glorot_uniform_initializer as glorot_uniform_initializer
from jslim.initializers import ones_initializer as ones_initializer
from jslim.initializers import random_normal_initializer as random_normal_initializer
from jslim.initializers import random_uniform_initializer as random_uniform_initializer
from jslim.initializers import truncated_normal_initializer as truncated_normal_initializer
from jslim.initializers import variance_scaling_initializer as variance_scaling_initializer
from jslim.initializers import xavier_initializer as xavier_initializer
from jslim.initializers import xavier_initializer_conv2d as xavier_initializer_conv2d
from jslim.initializers import zeros_initializer as zeros_initializer
from jslim.layers import GDN as GDN
from jslim.layers import RevBlock as RevBlock
from jslim.layers import avg_pool2d as avg_pool2d
from jslim.layers import avg_pool3d as avg_pool3d
from jslim.layers import batch_norm as batch_norm
from jslim.layers import bias_add as bias_add
from jslim.layers import bucketize as bucketize
from jslim.layers import conv1d as conv1d
from jslim.layers import conv2d as conv2d
from jslim.layers import conv2d_in_plane as conv2d_in_plane
from jslim.layers import conv2d_transpose as conv2d_transpose
from jslim.layers import conv3d as conv3d
from jslim.layers import conv3d_transpose as conv3d_transpose
from jslim.layers import convolution as convolution
from jslim.layers import convolution1d as convolution1d
from jslim.layers import convolution2d as convolution2d
from jslim.layers import convolution2d_in_plane as convolution2d_in_plane
from jslim.layers import convolution2d_transpose as convolution2d_transpose
from jslim.layers import convolution3d as convolution3d
from jslim.layers import convolution3d_transpose as convolution3d_transpose
from jslim.layers import dense_to_sparse as dense_to_sparse
from jslim.layers import dropout as dropout
from jslim.layers import elu as elu
from jslim.layers import flatten as flatten
from jslim.layers import frozen_batch_norm as frozen_batch_norm
from jslim.layers import fully_connected as fully_connected
from jslim.layers import gdn as gdn
from jslim.layers import group_norm as group_norm
from jslim.layers import images_to_sequence as images_to_sequence
from jslim.layers import instance_norm as instance_norm
from jslim.layers import layer_norm as layer_norm
from jslim.layers import legacy_fully_connected as legacy_fully_connected
from jslim.layers import legacy_linear as legacy_linear
from jslim.layers import legacy_relu as legacy_relu
from jslim.layers import linear as linear
from jslim.layers import max_pool2d as max_pool2d
from jslim.layers import max_pool3d as max_pool3d
from jslim.layers import maxout as maxout
from jslim.layers import one_hot_encoding as one_hot_encoding
from jslim.layers import poincare_normalize as poincare_normalize
from jslim.layers import pool as pool
from jslim.layers import recompute_grad as recompute_grad
from jslim.layers import recompute_scopes as recompute_scopes
from jslim.layers import relu as relu
from jslim.layers import relu6 as relu6
from jslim.layers import repeat as repeat
from jslim.layers import rev_block as rev_block
from jslim.layers import scale_gradient as scale_gradient
from jslim.layers import separable_conv2d as separable_conv2d
from jslim.layers import separable_convolution2d as separable_convolution2d
from jslim.layers import sequence_to_images as sequence_to_images
from jslim.layers import softmax as softmax
from jslim.layers import spatial_softmax as spatial_softmax
from jslim.layers import stack as stack
from jslim.layers import unit_norm as unit_norm
from jslim.layers import utils as utils
from jslim.losses import apply_regularization as apply_regularization
from jslim.regularizers import l1_l2_regularizer as l1_l2_regularizer
from jslim.regularizers import l1_regularizer as l1_regularizer
from jslim.regularizers import l2_regularizer as l2_regularizer
from jslim.regularizers import sum_regularizer as sum_regularizer
from jslim.summaries import summarize_activation as summarize_activation
from jslim.summaries import summarize_activations as summarize_activations
from jslim.summaries import summarize_biases as summarize_biases
from jslim.summaries import summarize_collection as summarize_collection
from jslim.summaries import summarize_tensor as summarize_tensor
from jslim.summaries import summarize_tensors as summarize_tensors
from jslim.summaries import summarize_variables as summarize_variables
from jslim.summaries import summarize_weights as summarize_weights
from jslim.variables import add_model_variable as add_model_variable
from jslim.variables import get_variable_full_name as get_variable_full_name
from jslim.variables import global_variable as global_variable
from jslim.variables import local_variable as local_variable
from jslim.variables import model_variable as model_variable
from jslim.variables import variable as variable

if typing.TYPE_CHECKING:
    from jslim._later import *  # noqa: F403

summary = summaries
__version__ = "0.1.0"

_LATER = _later.names_in("jslim._later")

if not typing.TYPE_CHECKING:  # so that type checkers find misspelt names

    def __getattr__(name):
        if name not in _LATER:
            return _tf_slim_names.look_up(__name__, name)
        value = globals()[name] = _later.imported(*_LATER[name])
        return value


_NAMES = {name for name in globals() if not name.startswith("_")} - {"core", "host", "typing"}


def __dir__() -> list[str]:
    return sorted({*_NAMES, *_LATER, "__version__"})
