"""TensorFlow 1's names that programs use around TF-Slim, on jslim and jax.numpy.

    from jslim.compat import tf

    def network(images, is_training=True):
        with tf.variable_scope('net'):
            net = slim.conv2d(images, 64, 3)
            size = tf.shape(images)[1:3]          # known while tracing, as shapes are
            net = tf.image.resize_bilinear(net, size, align_corners=True)
            return tf.nn.softmax(net)

Arguments, their order and defaults, and numbers are TensorFlow's. A name that needs a graph or a
session raises an error that says what takes its place. `docs/compat.md` has the list.
"""

import jax

from jslim.compat.tf import _missing
from jslim.compat.tf import app as app
from jslim.compat.tf import compat as compat
from jslim.compat.tf import contrib as contrib
from jslim.compat.tf import errors as errors
from jslim.compat.tf import flags as flags
from jslim.compat.tf import gfile as gfile
from jslim.compat.tf import image as image
from jslim.compat.tf import initializers as initializers
from jslim.compat.tf import io as io
from jslim.compat.tf import layers as layers
from jslim.compat.tf import logging as logging
from jslim.compat.tf import losses as losses
from jslim.compat.tf import math as math
from jslim.compat.tf import nn as nn
from jslim.compat.tf import python_io as python_io
from jslim.compat.tf import random as random
from jslim.compat.tf import summary as summary
from jslim.compat.tf import test as test
from jslim.compat.tf import train as train
from jslim.compat.tf._arrays import broadcast_to as broadcast_to
from jslim.compat.tf._arrays import concat as concat
from jslim.compat.tf._arrays import expand_dims as expand_dims
from jslim.compat.tf._arrays import meshgrid as meshgrid
from jslim.compat.tf._arrays import newaxis as newaxis
from jslim.compat.tf._arrays import one_hot as one_hot
from jslim.compat.tf._arrays import pad as pad
from jslim.compat.tf._arrays import rank as rank
from jslim.compat.tf._arrays import reshape as reshape
from jslim.compat.tf._arrays import reverse as reverse
from jslim.compat.tf._arrays import sequence_mask as sequence_mask
from jslim.compat.tf._arrays import shape as shape
from jslim.compat.tf._arrays import size as size
from jslim.compat.tf._arrays import slice as slice
from jslim.compat.tf._arrays import split as split
from jslim.compat.tf._arrays import squeeze as squeeze
from jslim.compat.tf._arrays import stack as stack
from jslim.compat.tf._arrays import strided_slice as strided_slice
from jslim.compat.tf._arrays import tile as tile
from jslim.compat.tf._arrays import transpose as transpose
from jslim.compat.tf._arrays import unstack as unstack
from jslim.compat.tf._assertions import Assert as Assert
from jslim.compat.tf._assertions import assert_equal as assert_equal
from jslim.compat.tf._assertions import assert_greater as assert_greater
from jslim.compat.tf._assertions import assert_greater_equal as assert_greater_equal
from jslim.compat.tf._assertions import assert_integer as assert_integer
from jslim.compat.tf._assertions import assert_less as assert_less
from jslim.compat.tf._assertions import assert_less_equal as assert_less_equal
from jslim.compat.tf._assertions import assert_near as assert_near
from jslim.compat.tf._assertions import assert_negative as assert_negative
from jslim.compat.tf._assertions import assert_non_negative as assert_non_negative
from jslim.compat.tf._assertions import assert_non_positive as assert_non_positive
from jslim.compat.tf._assertions import assert_none_equal as assert_none_equal
from jslim.compat.tf._assertions import assert_positive as assert_positive
from jslim.compat.tf._assertions import assert_rank as assert_rank
from jslim.compat.tf._assertions import assert_rank_at_least as assert_rank_at_least
from jslim.compat.tf._assertions import assert_rank_in as assert_rank_in
from jslim.compat.tf._assertions import assert_scalar as assert_scalar
from jslim.compat.tf._assertions import assert_type as assert_type
from jslim.compat.tf._control import Print as Print
from jslim.compat.tf._control import case as case
from jslim.compat.tf._control import colocate_with as colocate_with
from jslim.compat.tf._control import cond as cond
from jslim.compat.tf._control import control_dependencies as control_dependencies
from jslim.compat.tf._control import device as device
from jslim.compat.tf._control import foldl as foldl
from jslim.compat.tf._control import foldr as foldr
from jslim.compat.tf._control import group as group
from jslim.compat.tf._control import map_fn as map_fn
from jslim.compat.tf._control import no_op as no_op
from jslim.compat.tf._control import py_func as py_func
from jslim.compat.tf._control import py_function as py_function
from jslim.compat.tf._control import scan as scan
from jslim.compat.tf._control import tuple as tuple
from jslim.compat.tf._control import while_loop as while_loop
from jslim.compat.tf._counting import confusion_matrix as confusion_matrix
from jslim.compat.tf._counting import dynamic_partition as dynamic_partition
from jslim.compat.tf._counting import dynamic_stitch as dynamic_stitch
from jslim.compat.tf._dtypes import DType as DType
from jslim.compat.tf._dtypes import as_dtype as as_dtype
from jslim.compat.tf._dtypes import bfloat16 as bfloat16
from jslim.compat.tf._dtypes import bool as bool
from jslim.compat.tf._dtypes import complex64 as complex64
from jslim.compat.tf._dtypes import complex128 as complex128
from jslim.compat.tf._dtypes import double as double
from jslim.compat.tf._dtypes import float16 as float16
from jslim.compat.tf._dtypes import float32 as float32
from jslim.compat.tf._dtypes import float64 as float64
from jslim.compat.tf._dtypes import half as half
from jslim.compat.tf._dtypes import int8 as int8
from jslim.compat.tf._dtypes import int16 as int16
from jslim.compat.tf._dtypes import int32 as int32
from jslim.compat.tf._dtypes import int64 as int64
from jslim.compat.tf._dtypes import string as string
from jslim.compat.tf._dtypes import uint8 as uint8
from jslim.compat.tf._dtypes import uint16 as uint16
from jslim.compat.tf._dtypes import uint32 as uint32
from jslim.compat.tf._dtypes import uint64 as uint64
from jslim.compat.tf._examples import FixedLenFeature as FixedLenFeature
from jslim.compat.tf._examples import FixedLenSequenceFeature as FixedLenSequenceFeature
from jslim.compat.tf._examples import SparseTensor as SparseTensor
from jslim.compat.tf._examples import VarLenFeature as VarLenFeature
from jslim.compat.tf._examples import decode_raw as decode_raw
from jslim.compat.tf._examples import parse_single_example as parse_single_example
from jslim.compat.tf._examples import sparse_tensor_to_dense as sparse_tensor_to_dense
from jslim.compat.tf._image_files import read_file as read_file
from jslim.compat.tf._math import abs as abs
from jslim.compat.tf._math import accumulate_n as accumulate_n
from jslim.compat.tf._math import acos as acos
from jslim.compat.tf._math import add as add
from jslim.compat.tf._math import add_n as add_n
from jslim.compat.tf._math import asin as asin
from jslim.compat.tf._math import atan as atan
from jslim.compat.tf._math import atan2 as atan2
from jslim.compat.tf._math import ceil as ceil
from jslim.compat.tf._math import clip_by_global_norm as clip_by_global_norm
from jslim.compat.tf._math import clip_by_norm as clip_by_norm
from jslim.compat.tf._math import clip_by_value as clip_by_value
from jslim.compat.tf._math import cos as cos
from jslim.compat.tf._math import cumprod as cumprod
from jslim.compat.tf._math import cumsum as cumsum
from jslim.compat.tf._math import div as div
from jslim.compat.tf._math import div_no_nan as div_no_nan
from jslim.compat.tf._math import divide as divide
from jslim.compat.tf._math import einsum as einsum
from jslim.compat.tf._math import equal as equal
from jslim.compat.tf._math import erf as erf
from jslim.compat.tf._math import exp as exp
from jslim.compat.tf._math import expm1 as expm1
from jslim.compat.tf._math import floor as floor
from jslim.compat.tf._math import floordiv as floordiv
from jslim.compat.tf._math import floormod as floormod
from jslim.compat.tf._math import global_norm as global_norm
from jslim.compat.tf._math import greater as greater
from jslim.compat.tf._math import greater_equal as greater_equal
from jslim.compat.tf._math import is_finite as is_finite
from jslim.compat.tf._math import is_inf as is_inf
from jslim.compat.tf._math import is_nan as is_nan
from jslim.compat.tf._math import less as less
from jslim.compat.tf._math import less_equal as less_equal
from jslim.compat.tf._math import log as log
from jslim.compat.tf._math import log1p as log1p
from jslim.compat.tf._math import log_sigmoid as log_sigmoid
from jslim.compat.tf._math import logical_and as logical_and
from jslim.compat.tf._math import logical_not as logical_not
from jslim.compat.tf._math import logical_or as logical_or
from jslim.compat.tf._math import logical_xor as logical_xor
from jslim.compat.tf._math import matmul as matmul
from jslim.compat.tf._math import matrix_inverse as matrix_inverse
from jslim.compat.tf._math import matrix_transpose as matrix_transpose
from jslim.compat.tf._math import maximum as maximum
from jslim.compat.tf._math import minimum as minimum
from jslim.compat.tf._math import mod as mod
from jslim.compat.tf._math import multiply as multiply
from jslim.compat.tf._math import negative as negative
from jslim.compat.tf._math import norm as norm
from jslim.compat.tf._math import not_equal as not_equal
from jslim.compat.tf._math import pow as pow
from jslim.compat.tf._math import realdiv as realdiv
from jslim.compat.tf._math import reciprocal as reciprocal
from jslim.compat.tf._math import round as round
from jslim.compat.tf._math import rsqrt as rsqrt
from jslim.compat.tf._math import scalar_mul as scalar_mul
from jslim.compat.tf._math import segment_sum as segment_sum
from jslim.compat.tf._math import sigmoid as sigmoid
from jslim.compat.tf._math import sign as sign
from jslim.compat.tf._math import sin as sin
from jslim.compat.tf._math import sqrt as sqrt
from jslim.compat.tf._math import square as square
from jslim.compat.tf._math import squared_difference as squared_difference
from jslim.compat.tf._math import subtract as subtract
from jslim.compat.tf._math import tan as tan
from jslim.compat.tf._math import tanh as tanh
from jslim.compat.tf._math import tensordot as tensordot
from jslim.compat.tf._math import truediv as truediv
from jslim.compat.tf._math import unsorted_segment_sum as unsorted_segment_sum
from jslim.compat.tf._old_names import batch_matmul as batch_matmul
from jslim.compat.tf._old_names import batch_matrix_band_part as batch_matrix_band_part
from jslim.compat.tf._old_names import batch_matrix_inverse as batch_matrix_inverse
from jslim.compat.tf._old_names import batch_matrix_transpose as batch_matrix_transpose
from jslim.compat.tf._old_names import complex_abs as complex_abs
from jslim.compat.tf._old_names import histogram_summary as histogram_summary
from jslim.compat.tf._old_names import image_summary as image_summary
from jslim.compat.tf._old_names import inv as inv
from jslim.compat.tf._old_names import listdiff as listdiff
from jslim.compat.tf._old_names import merge_all_summaries as merge_all_summaries
from jslim.compat.tf._old_names import merge_summary as merge_summary
from jslim.compat.tf._old_names import mul as mul
from jslim.compat.tf._old_names import neg as neg
from jslim.compat.tf._old_names import pack as pack
from jslim.compat.tf._old_names import scalar_summary as scalar_summary
from jslim.compat.tf._old_names import select as select
from jslim.compat.tf._old_names import sub as sub
from jslim.compat.tf._old_names import unpack as unpack
from jslim.compat.tf._places import batch_to_space as batch_to_space
from jslim.compat.tf._places import batch_to_space_nd as batch_to_space_nd
from jslim.compat.tf._places import boolean_mask as boolean_mask
from jslim.compat.tf._places import depth_to_space as depth_to_space
from jslim.compat.tf._places import diag as diag
from jslim.compat.tf._places import extract_image_patches as extract_image_patches
from jslim.compat.tf._places import gather as gather
from jslim.compat.tf._places import gather_nd as gather_nd
from jslim.compat.tf._places import invert_permutation as invert_permutation
from jslim.compat.tf._places import matrix_band_part as matrix_band_part
from jslim.compat.tf._places import scatter_nd as scatter_nd
from jslim.compat.tf._places import setdiff1d as setdiff1d
from jslim.compat.tf._places import space_to_batch as space_to_batch
from jslim.compat.tf._places import space_to_batch_nd as space_to_batch_nd
from jslim.compat.tf._places import space_to_depth as space_to_depth
from jslim.compat.tf._places import sparse_to_dense as sparse_to_dense
from jslim.compat.tf._places import unique as unique
from jslim.compat.tf._places import where as where
from jslim.compat.tf._random import random_crop as random_crop
from jslim.compat.tf._random import random_normal as random_normal
from jslim.compat.tf._random import random_shuffle as random_shuffle
from jslim.compat.tf._random import random_uniform as random_uniform
from jslim.compat.tf._random import truncated_normal as truncated_normal
from jslim.compat.tf._reductions import argmax as argmax
from jslim.compat.tf._reductions import argmin as argmin
from jslim.compat.tf._reductions import count_nonzero as count_nonzero
from jslim.compat.tf._reductions import reduce_all as reduce_all
from jslim.compat.tf._reductions import reduce_any as reduce_any
from jslim.compat.tf._reductions import reduce_logsumexp as reduce_logsumexp
from jslim.compat.tf._reductions import reduce_max as reduce_max
from jslim.compat.tf._reductions import reduce_mean as reduce_mean
from jslim.compat.tf._reductions import reduce_min as reduce_min
from jslim.compat.tf._reductions import reduce_prod as reduce_prod
from jslim.compat.tf._reductions import reduce_sum as reduce_sum
from jslim.compat.tf._shapes import Dimension as Dimension
from jslim.compat.tf._shapes import TensorShape as TensorShape
from jslim.compat.tf._templates import make_template as make_template
from jslim.compat.tf._values import cast as cast
from jslim.compat.tf._values import constant as constant
from jslim.compat.tf._values import convert_to_tensor as convert_to_tensor
from jslim.compat.tf._values import eye as eye
from jslim.compat.tf._values import fill as fill
from jslim.compat.tf._values import identity as identity
from jslim.compat.tf._values import lin_space as lin_space
from jslim.compat.tf._values import linspace as linspace
from jslim.compat.tf._values import ones as ones
from jslim.compat.tf._values import ones_like as ones_like
from jslim.compat.tf._values import placeholder_with_default as placeholder_with_default
from jslim.compat.tf._values import range as range
from jslim.compat.tf._values import saturate_cast as saturate_cast
from jslim.compat.tf._values import stop_gradient as stop_gradient
from jslim.compat.tf._values import to_double as to_double
from jslim.compat.tf._values import to_float as to_float
from jslim.compat.tf._values import to_int32 as to_int32
from jslim.compat.tf._values import to_int64 as to_int64
from jslim.compat.tf._values import zeros as zeros
from jslim.compat.tf._values import zeros_like as zeros_like
from jslim.compat.tf._variables import AUTO_REUSE as AUTO_REUSE
from jslim.compat.tf._variables import GraphKeys as GraphKeys
from jslim.compat.tf._variables import Variable as Variable
from jslim.compat.tf._variables import VariableScope as VariableScope
from jslim.compat.tf._variables import add_to_collection as add_to_collection
from jslim.compat.tf._variables import add_to_collections as add_to_collections
from jslim.compat.tf._variables import all_variables as all_variables
from jslim.compat.tf._variables import assign as assign
from jslim.compat.tf._variables import assign_add as assign_add
from jslim.compat.tf._variables import assign_sub as assign_sub
from jslim.compat.tf._variables import get_collection as get_collection
from jslim.compat.tf._variables import get_local_variable as get_local_variable
from jslim.compat.tf._variables import get_variable as get_variable
from jslim.compat.tf._variables import get_variable_scope as get_variable_scope
from jslim.compat.tf._variables import global_variables as global_variables
from jslim.compat.tf._variables import local_variables as local_variables
from jslim.compat.tf._variables import model_variables as model_variables
from jslim.compat.tf._variables import moving_average_variables as moving_average_variables
from jslim.compat.tf._variables import name_scope as name_scope
from jslim.compat.tf._variables import no_regularizer as no_regularizer
from jslim.compat.tf._variables import op_scope as op_scope
from jslim.compat.tf._variables import trainable_variables as trainable_variables
from jslim.compat.tf._variables import variable_op_scope as variable_op_scope
from jslim.compat.tf._variables import variable_scope as variable_scope

constant_initializer = initializers.constant
glorot_normal_initializer = initializers.glorot_normal
glorot_uniform_initializer = initializers.glorot_uniform
ones_initializer = initializers.ones
orthogonal_initializer = initializers.orthogonal
random_normal_initializer = initializers.random_normal
random_uniform_initializer = initializers.random_uniform
truncated_normal_initializer = initializers.truncated_normal
uniform_unit_scaling_initializer = initializers.uniform_unit_scaling
variance_scaling_initializer = initializers.variance_scaling
zeros_initializer = initializers.zeros
Tensor = jax.Array
VERSION = __version__ = "1.15.0"

__getattr__ = _missing.answering("tf", __name__)
