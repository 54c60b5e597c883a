"""The text of every error that a layer can give for its arguments."""

import re

import jax
import jax.numpy as jnp
import pytest

import jslim as slim

IMAGES = jnp.ones((2, 5, 6, 3))
VOLUMES = jnp.ones((2, 4, 5, 6, 3))
WAVES = jnp.ones((2, 6, 3))
ROWS = jnp.ones((4, 3))
NEEDS_FLOAT = (
    "inputs must be floating point, got uint8; convert them first, images for example by "
    "inputs.astype('float32') / 255"
)
ERRORS = [
    (lambda: slim.conv2d(IMAGES[0], 4, 3, scope="a"), ValueError,
     "conv2d at 'net/a': inputs must be [batch, height, width, channels], got shape (5, 6, 3); add "
     "a batch axis"),
    (lambda: slim.conv2d(ROWS, 4, 3), ValueError,
     "conv2d at 'net/Conv': inputs must be [batch, height, width, channels], got shape (4, 3); "
     "reshape them"),
    (lambda: slim.conv2d(IMAGES[0], 4, 3, data_format="NCHW"), ValueError,
     "conv2d at 'net/Conv': inputs must be [batch, channels, height, width], got shape (5, 6, 3); "
     "add a batch axis"),
    (lambda: slim.conv2d(IMAGES.astype(jnp.uint8), 4, 3), TypeError,
     f"conv2d at 'net/Conv': {NEEDS_FLOAT}"),
    (lambda: slim.conv2d(IMAGES, 4, 3, dtype=jnp.int8), TypeError,
     "conv2d at 'net/Conv': dtype must be a floating point type, got int8"),
    (lambda: slim.conv2d(IMAGES, 4.5, 3), ValueError,
     "conv2d at 'net/Conv': num_outputs must be a positive integer, got 4.5; convert it with "
     "int(...) if it was computed"),
    (lambda: slim.conv2d(IMAGES, 0, 3), ValueError,
     "conv2d at 'net/Conv': num_outputs must be a positive integer, got 0"),
    (lambda: slim.conv2d(IMAGES, None, 3), ValueError,
     "conv2d at 'net/Conv': num_outputs must be a positive integer, got None"),
    (lambda: slim.conv2d(IMAGES, 4, [3, 3, 3]), ValueError,
     "conv2d at 'net/Conv': kernel_size must be one positive integer or 2 of them, got [3, 3, 3]"),
    (lambda: slim.conv2d(IMAGES, 4, 3, stride=0), ValueError,
     "conv2d at 'net/Conv': stride must be one positive integer or 2 of them, got 0"),
    (lambda: slim.conv2d(IMAGES, 4, 3, rate="2"), ValueError,
     "conv2d at 'net/Conv': rate must be one positive integer or 2 of them, got '2'"),
    (lambda: slim.conv2d(IMAGES, 4, 3, stride=2, rate=2), ValueError,
     "conv2d at 'net/Conv': stride and rate cannot both be above 1, got stride=(2, 2) and "
     "rate=(2, 2); use one of them"),
    (lambda: slim.conv2d(IMAGES, 4, 3, padding="FULL"), ValueError,
     "conv2d at 'net/Conv': padding must be 'SAME', 'VALID' or a sequence of 2 pairs (before, "
     "after) of integers from 0, got 'FULL'"),
    (lambda: slim.conv2d(IMAGES, 4, 3, padding=1), ValueError,
     "conv2d at 'net/Conv': padding must be 'SAME', 'VALID' or a sequence of 2 pairs (before, "
     "after) of integers from 0, got 1"),
    (lambda: slim.conv2d(IMAGES, 4, 3, data_format="CHWN"), ValueError,
     "conv2d at 'net/Conv': data_format must be 'NHWC' or 'NCHW', got 'CHWN'"),
    (lambda: slim.conv2d(IMAGES, 4, [3, 4], rate=[1, 2], padding="VALID"), ValueError,
     "conv2d at 'net/Conv': a window of (3, 4) (rate (1, 2)) does not fit into inputs of (5, 6) "
     "without padding; use padding='SAME', a smaller window or larger inputs"),
    (lambda: slim.conv2d_in_plane(ROWS, 3), ValueError,
     "conv2d_in_plane at 'net/ConvInPlane': inputs must be [batch, height, width, channels], got "
     "shape (4, 3)"),
    (lambda: slim.conv2d_transpose(ROWS, 4, 3), ValueError,
     "conv2d_transpose at 'net/Conv2d_transpose': inputs must be [batch, height, width, channels]"),
    (lambda: slim.conv2d_transpose(IMAGES, 4, 3, padding="no"), ValueError,
     "conv2d_transpose at 'net/Conv2d_transpose': padding must be 'SAME' or 'VALID', got 'no'"),
    (lambda: slim.separable_conv2d(IMAGES, 4, 3, 0), ValueError,
     "separable_conv2d at 'net/SeparableConv2d': depth_multiplier must be one positive integer, "
     "got 0"),
    (lambda: slim.separable_conv2d(IMAGES, 4, 3, stride=2, rate=2), ValueError,
     "separable_conv2d at 'net/SeparableConv2d': stride and rate cannot both be above 1"),
    (lambda: slim.separable_conv2d(IMAGES, 2.5, 3), ValueError,
     "separable_conv2d at 'net/SeparableConv2d': num_outputs must be a positive integer, got 2.5"),
    (lambda: slim.conv2d(IMAGES, 4, 3, padding=[(1, 1)]), ValueError,
     "conv2d at 'net/Conv': padding must be 'SAME', 'VALID' or a sequence of 2 pairs (before, "
     "after) of integers from 0, got [(1, 1)]"),
    (lambda: slim.conv2d(IMAGES, 4, 3, padding=[(1, 1), (0, -1)]), ValueError,
     "conv2d at 'net/Conv': padding must be 'SAME', 'VALID' or a sequence of 2 pairs (before, "
     "after) of integers from 0, got [(1, 1), (0, -1)]"),
    (lambda: slim.conv2d(IMAGES, 4, 3, padding=[(1, 1), (0, 1.5)]), ValueError,
     "conv2d at 'net/Conv': padding must be 'SAME', 'VALID' or a sequence of 2 pairs (before, "
     "after) of integers from 0, got [(1, 1), (0, 1.5)]"),
    (lambda: slim.conv1d(WAVES, 4, 3, padding=(1, 2)), ValueError,
     "conv1d at 'net/Conv': padding must be 'SAME', 'VALID' or a sequence of 1 pairs (before, "
     "after) of integers from 0, got (1, 2)"),
    (lambda: slim.conv2d(IMAGES, 4, 3, padding="EXPLICIT"), ValueError,
     "conv2d at 'net/Conv': padding='EXPLICIT' does not say how much; give the numbers of pixels "
     "themselves, padding=[(1, 1), (1, 1)] for one on either side"),
    (lambda: slim.conv2d(IMAGES, 4, 8, padding=[(1, 1), (1, 0)]), ValueError,
     "conv2d at 'net/Conv': a window of (8, 8) (rate (1, 1)) does not fit into inputs of (5, 6) "
     "with padding ((1, 1), (1, 0)); use padding='SAME', a smaller window or larger inputs"),
    (lambda: slim.conv2d(IMAGES, 4, 3, data_format="NWC"), ValueError,
     "conv2d at 'net/Conv': data_format must be 'NHWC' or 'NCHW', got 'NWC'"),
    (lambda: slim.conv1d(WAVES, 4, 3, data_format="NCHW"), ValueError,
     "conv1d at 'net/Conv': data_format must be 'NWC' or 'NCW', got 'NCHW'"),
    (lambda: slim.conv1d(IMAGES, 4, 3), ValueError,
     "conv1d at 'net/Conv': inputs must be [batch, width, channels], got shape (2, 5, 6, 3); "
     "reshape them"),
    (lambda: slim.conv1d(WAVES, 4, [3, 3]), ValueError,
     "conv1d at 'net/Conv': kernel_size must be one positive integer, got [3, 3]"),
    (lambda: slim.conv3d(IMAGES, 4, 3), ValueError,
     "conv3d at 'net/Conv': inputs must be [batch, depth, height, width, channels], got shape "
     "(2, 5, 6, 3); add a batch axis"),
    (lambda: slim.conv3d(VOLUMES, 4, 3, data_format="channels_first"), ValueError,
     "conv3d at 'net/Conv': data_format must be 'NDHWC' or 'NCDHW', got 'channels_first'"),
    (lambda: slim.conv3d(VOLUMES, 4, 3, rate=[1, 2]), ValueError,
     "conv3d at 'net/Conv': rate must be one positive integer or 3 of them, got [1, 2]"),
    (lambda: slim.convolution(ROWS, 4, 3), ValueError,
     "convolution at 'net/Conv': inputs must be [batch, ..., channels] with 1 to 3 spatial "
     "dimensions, got shape (4, 3); reshape them"),
    (lambda: slim.convolution(IMAGES, 4, 3, data_format="NDHWC"), ValueError,
     "convolution at 'net/Conv': data_format must be 'NHWC' or 'NCHW', got 'NDHWC'"),
    (lambda: slim.convolution(IMAGES, 4, 3, conv_dims=3), ValueError,
     "convolution at 'net/Conv': inputs must be [batch, depth, height, width, channels], got "
     "shape (2, 5, 6, 3); add a batch axis"),
    (lambda: slim.convolution(IMAGES, 4, 3, conv_dims=4), ValueError,
     "convolution: conv_dims must be 1, 2, 3, or None to go by the rank of the inputs, got 4"),
    (lambda: slim.conv3d_transpose(IMAGES, 4, 3), ValueError,
     "conv3d_transpose at 'net/Conv3d_transpose': inputs must be [batch, depth, height, width, "
     "channels], got shape (2, 5, 6, 3); add a batch axis"),
    (lambda: slim.conv3d_transpose(VOLUMES, 4, 3, data_format="NHWC"), ValueError,
     "conv3d_transpose at 'net/Conv3d_transpose': data_format must be 'NDHWC' or 'NCDHW', got "
     "'NHWC'"),
    (lambda: slim.conv2d_transpose(IMAGES, 4, 3, padding=[(1, 1), (1, 1)]), ValueError,
     "conv2d_transpose at 'net/Conv2d_transpose': padding must be 'SAME' or 'VALID', got "
     "[(1, 1), (1, 1)]"),
    (lambda: slim.conv2d_in_plane(IMAGES, 3, padding="explicit"), ValueError,
     "conv2d_in_plane at 'net/ConvInPlane': padding='explicit' does not say how much"),
    (lambda: slim.separable_conv2d(IMAGES, 4, 3, data_format="NCW"), ValueError,
     "separable_conv2d at 'net/SeparableConv2d': data_format must be 'NHWC' or 'NCHW', got 'NCW'"),
    (lambda: slim.pool(IMAGES, 2, "max"), ValueError,
     "pool: pooling_type must be 'AVG' or 'MAX', got 'max'"),
    (lambda: slim.pool(ROWS, 2, "MAX"), ValueError,
     "pool at 'net/max_pool': inputs must be [batch, ..., channels] with 1 to 3 spatial "
     "dimensions, got shape (4, 3); reshape them"),
    (lambda: slim.pool(IMAGES, 2, "AVG", data_format="NWC"), ValueError,
     "pool at 'net/avg_pool': data_format must be 'NHWC' or 'NCHW', got 'NWC'"),
    (lambda: slim.pool(IMAGES, 2, "AVG", dilation_rate=0), ValueError,
     "pool at 'net/avg_pool': dilation_rate must be one positive integer or 2 of them, got 0"),
    (lambda: slim.pool(IMAGES, 2, "AVG", dilation_rate=2, stride=[1, 2]), ValueError,
     "pool at 'net/avg_pool': stride and dilation_rate cannot both be above 1, got stride=(1, 2) "
     "and dilation_rate=(2, 2); use one of them"),
    (lambda: slim.max_pool2d(IMAGES, 2, padding=[(0, 0), (2, 0)]), ValueError,
     "max_pool2d at 'net/MaxPool2D': some windows of (2, 2) (rate (1, 1)) would see nothing of "
     "inputs of (5, 6) but their padding ((0, 0), (2, 0)); use less padding or a larger window"),
    (lambda: slim.pool(WAVES[:, :1], 2, "AVG", padding="SAME", dilation_rate=2), ValueError,
     "pool at 'net/avg_pool': some windows of (2,) (rate (2,)) would see nothing of inputs of "
     "(1,) but their padding ((1, 1),); use less padding or a larger window"),
    (lambda: slim.max_pool3d(IMAGES, 2), ValueError,
     "max_pool3d at 'net/MaxPool3D': inputs must be [batch, depth, height, width, channels], got "
     "shape (2, 5, 6, 3); add a batch axis"),
    (lambda: slim.avg_pool3d(VOLUMES, 2, data_format="NHWC"), ValueError,
     "avg_pool3d at 'net/AvgPool3D': data_format must be 'NDHWC' or 'NCDHW', got 'NHWC'"),
    (lambda: slim.avg_pool3d(VOLUMES, 2, padding="same!"), ValueError,
     "avg_pool3d at 'net/AvgPool3D': padding must be 'SAME', 'VALID' or a sequence of 3 pairs "
     "(before, after) of integers from 0, got 'same!'"),
    (lambda: slim.fully_connected(ROWS, 2.5), ValueError,
     "fully_connected at 'net/fully_connected': num_outputs must be a positive integer, got 2.5"),
    (lambda: slim.fully_connected(ROWS[0], 4), ValueError,
     "fully_connected at 'net/fully_connected': inputs must be [batch, ..., features], got shape "
     "(3,); add a batch axis"),
    (lambda: slim.fully_connected(ROWS.astype(jnp.uint8), 4), TypeError,
     f"fully_connected at 'net/fully_connected': {NEEDS_FLOAT}"),
    (lambda: slim.batch_norm(ROWS[0]), ValueError,
     "batch_norm at 'net/BatchNorm': inputs must be [batch, ..., channels], got shape (3,); add a "
     "batch axis"),
    (lambda: slim.batch_norm(ROWS[:0]), ValueError,
     "batch_norm at 'net/BatchNorm': there is nothing to take statistics of in inputs of shape "
     "(0, 3); pass is_training=False, or leave out the empty batch"),
    (lambda: slim.batch_norm(ROWS, dtype=jnp.int8), TypeError,
     "batch_norm at 'net/BatchNorm': dtype must be a floating point type, got int8"),
    (lambda: slim.batch_norm(ROWS, data_format="CN"), ValueError,
     "batch_norm at 'net/BatchNorm': data_format must be 'NHWC' or 'NCHW', got 'CN'"),
    (lambda: slim.batch_norm(ROWS, param_initializers={"gama": None}), ValueError,
     "batch_norm at 'net/BatchNorm': there is no param_initializers for 'gama'; did you mean "
     "'gamma'? (there are gamma, beta, moving_mean, moving_variance)"),
    (lambda: slim.batch_norm(ROWS, param_regularizers={"moving_mean": None}), ValueError,
     "batch_norm at 'net/BatchNorm': there is no param_regularizers for 'moving_mean' (there are "
     "gamma, beta)"),
    (lambda: jax.jit(lambda t: slim.batch_norm(ROWS, is_training=t))(True), TypeError,
     "batch_norm at 'net/BatchNorm': is_training must be a Python bool, got a traced array; mark "
     "it as static (jax.jit(f, static_argnames='is_training')) or fix it with functools.partial"),
    (lambda: slim.bias_add(ROWS[0]), ValueError,
     "bias_add at 'net/BiasAdd': inputs must be [batch, ..., channels], got shape (3,); add a "
     "batch axis"),
    (lambda: slim.bias_add(ROWS, data_format="NCHW"), ValueError,
     "bias_add at 'net/BiasAdd': inputs must be [batch, channels, height, width], got shape "),
    (lambda: slim.max_pool2d(IMAGES[0], 2), ValueError,
     "max_pool2d at 'net/MaxPool2D': inputs must be [batch, height, width, channels]"),
    (lambda: slim.max_pool2d(IMAGES, 6, scope="pool"), ValueError,
     "max_pool2d at 'net/pool': a window of (6, 6) (rate (1, 1)) does not fit into inputs of "),
    (lambda: slim.max_pool2d(IMAGES, 2, data_format="HWC"), ValueError,
     "max_pool2d at 'net/MaxPool2D': data_format must be 'NHWC' or 'NCHW', got 'HWC'"),
    (lambda: slim.avg_pool2d(IMAGES, [2]), ValueError,
     "avg_pool2d at 'net/AvgPool2D': kernel_size must be one positive integer or 2 of them, got "
     "[2]"),
    (lambda: slim.avg_pool2d(IMAGES.astype(jnp.uint8), 2), TypeError,
     f"avg_pool2d at 'net/AvgPool2D': {NEEDS_FLOAT}"),
    (lambda: slim.dropout(ROWS, 0.0), ValueError,
     "dropout at 'net/Dropout': keep_prob is the probability of keeping, above 0 and at most 1, "
     "got 0.0"),
    (lambda: slim.dropout(ROWS, 1.5), ValueError,
     "dropout at 'net/Dropout': keep_prob is the probability of keeping, above 0 and at most 1, "
     "got 1.5"),
    (lambda: slim.dropout(ROWS, 0.5, [4, 2]), ValueError,
     "dropout at 'net/Dropout': noise_shape must hold for each axis of (4, 3) that length, 1 or "
     "None, got (4, 2)"),
    (lambda: slim.dropout(ROWS, 0.5, [4]), ValueError,
     "dropout at 'net/Dropout': noise_shape must hold for each axis of (4, 3) that length, 1 or "
     "None, got (4,)"),
    (lambda: jax.jit(lambda t: slim.dropout(ROWS, is_training=t))(True), TypeError,
     "dropout at 'net/Dropout': is_training must be a Python bool, got a traced array"),
    (lambda: slim.flatten(jnp.ones(())), ValueError,
     "flatten at 'net/Flatten': inputs must be [batch, ...], got shape (); add a batch axis"),
    (lambda: slim.softmax(ROWS[0]), ValueError,
     "softmax at 'net/softmax': logits must be [batch, ..., num_classes], got shape (3,); add a "
     "batch axis"),
    (lambda: slim.batch_norm(ROWS, renorm=True, batch_weights=jnp.ones(4)), ValueError,
     "batch_norm at 'net/BatchNorm': renorm and batch_weights cannot be used together; leave "
     "one of them out"),
    (lambda: slim.batch_norm(ROWS, renorm=True, zero_debias_moving_mean=True), ValueError,
     "batch_norm at 'net/BatchNorm': renorm and zero_debias_moving_mean cannot be used together"),
    (lambda: slim.batch_norm(ROWS, renorm=True, updates_collections=None), ValueError,
     "batch_norm at 'net/BatchNorm': renorm and updates_collections cannot be used together"),
    (lambda: slim.batch_norm(ROWS, batch_weights=jnp.ones((4, 1))), ValueError,
     "batch_norm at 'net/BatchNorm': batch_weights must have shape (4,), one weight for each "
     "example, got (4, 1)"),
    (lambda: slim.batch_norm(ROWS, renorm=True, renorm_clipping={"rmx": 2.0}), ValueError,
     "batch_norm at 'net/BatchNorm': there is no renorm_clipping for 'rmx'; did you mean 'rmax'"),
    (lambda: slim.batch_norm(ROWS, renorm=True, renorm_clipping={"dmax": jnp.ones(3)}), ValueError,
     "batch_norm at 'net/BatchNorm': the dmax of renorm_clipping must be a number or a scalar "
     "array, got shape (3,)"),
    (lambda: slim.batch_norm(ROWS, renorm_clipping={"rmax": 1.0, "rmin": 2.0}), ValueError,
     "batch_norm at 'net/BatchNorm': renorm_clipping must have rmin <= rmax and dmax >= 0, got "
     "{'rmax': 1.0, 'rmin': 2.0}"),
    (lambda: slim.batch_norm(ROWS, renorm_clipping={"dmax": -1}), ValueError,
     "batch_norm at 'net/BatchNorm': renorm_clipping must have rmin <= rmax and dmax >= 0"),
    (lambda: slim.batch_norm(ROWS, adjustment=lambda shape: 2.0), ValueError,
     "batch_norm at 'net/BatchNorm': the result of adjustment must be (scale, bias), got 2.0"),
    (lambda: slim.batch_norm(ROWS, adjustment=lambda shape: (jnp.ones(4), 0.0)), ValueError,
     "batch_norm at 'net/BatchNorm': the results of adjustment must be numbers, [3] or broadcast "
     "to (4, 3), got shapes (4,) and ()"),
    (lambda: slim.batch_norm(ROWS, adjustment=lambda s: (1.0, jnp.ones((1, 4, 3)))), ValueError,
     "batch_norm at 'net/BatchNorm': the results of adjustment must be numbers, [3] or broadcast "
     "to (4, 3), got shapes () and (1, 4, 3)"),
    (lambda: slim.layer_norm(ROWS, begin_norm_axis=2), ValueError,
     "layer_norm at 'net/LayerNorm': begin_norm_axis must be from -2 to 1 for inputs of shape (4, "
     "3), got 2"),
    (lambda: slim.layer_norm(ROWS, begin_params_axis=-3), ValueError,
     "layer_norm at 'net/LayerNorm': begin_params_axis must be from -2 to 1 for inputs of shape "
     "(4, 3), got -3"),
    (lambda: slim.layer_norm(jnp.ones((2, 0))), ValueError,
     "layer_norm at 'net/LayerNorm': there is nothing to take statistics of in inputs of shape "
     "(2, 0)"),
    (lambda: slim.layer_norm(ROWS.astype(jnp.uint8)), TypeError,
     f"layer_norm at 'net/LayerNorm': {NEEDS_FLOAT}"),
    (lambda: slim.instance_norm(ROWS), ValueError,
     "instance_norm at 'net/InstanceNorm': inputs must be [batch, ..., channels] with an axis to "
     "normalize over, got shape (4, 3); use layer_norm or batch_norm for rows"),
    (lambda: slim.instance_norm(IMAGES[:, :0]), ValueError,
     "instance_norm at 'net/InstanceNorm': there is nothing to take statistics of in inputs of "
     "shape (2, 0, 6, 3)"),
    (lambda: slim.instance_norm(IMAGES, data_format="CN"), ValueError,
     "instance_norm at 'net/InstanceNorm': data_format must be 'NHWC' or 'NCHW', got 'CN'"),
    (lambda: slim.instance_norm(IMAGES, param_initializers={"bta": None}), ValueError,
     "instance_norm at 'net/InstanceNorm': there is no param_initializers for 'bta'; did you mean "
     "'beta'? (there are beta, gamma)"),
    (lambda: slim.group_norm(IMAGES), ValueError,
     "group_norm at 'net/GroupNorm': groups must be a positive integer that divides the 3 "
     "channels, got 32"),
    (lambda: slim.group_norm(IMAGES, 2), ValueError,
     "group_norm at 'net/GroupNorm': groups must be a positive integer that divides the 3 "
     "channels, got 2"),
    (lambda: slim.group_norm(IMAGES, 0), ValueError,
     "group_norm at 'net/GroupNorm': groups must be a positive integer that divides the 3 "
     "channels, got 0"),
    (lambda: slim.group_norm(IMAGES, 3, channels_axis=4), ValueError,
     "group_norm at 'net/GroupNorm': channels_axis must be from -4 to 3 for inputs of shape (2, 5, "
     "6, 3), got 4"),
    (lambda: slim.group_norm(ROWS, 3), ValueError,
     "group_norm at 'net/GroupNorm': reduction_axes must be from -2 to 1 for inputs of shape (4, "
     "3), got -3"),
    (lambda: slim.group_norm(IMAGES, 3, reduction_axes=(2, 3)), ValueError,
     "group_norm at 'net/GroupNorm': channels_axis and reduction_axes must all be different axes, "
     "got -1 and (2, 3) for inputs of shape (2, 5, 6, 3)"),
    (lambda: slim.group_norm(IMAGES, 3, reduction_axes=[1, -3]), ValueError,
     "group_norm at 'net/GroupNorm': channels_axis and reduction_axes must all be different axes, "
     "got -1 and (1, -3)"),
    (lambda: slim.group_norm(IMAGES, 3, param_initializers={"moving_mean": None}), ValueError,
     "group_norm at 'net/GroupNorm': there is no param_initializers for 'moving_mean' (there are "
     "beta, gamma)"),
    (lambda: slim.group_norm(IMAGES[:, :0], 3), ValueError,
     "group_norm at 'net/GroupNorm': there is nothing to take statistics of in inputs of shape "),
    (lambda: slim.gdn(ROWS), ValueError,
     "gdn at 'net/gdn': inputs must be [batch, ..., channels] of rank 3 to 5, got shape (4, 3)"),
    (lambda: slim.gdn(IMAGES, data_format="NHWC"), ValueError,
     "gdn at 'net/gdn': data_format must be 'channels_last' or 'channels_first', got 'NHWC'"),
    (lambda: slim.gdn(IMAGES, gamma_init=-0.1), ValueError,
     "gdn at 'net/gdn': gamma_init must not be negative, got -0.1"),
    (lambda: slim.gdn(IMAGES.astype(jnp.uint8), name="a"), TypeError,
     f"gdn at 'net/a': {NEEDS_FLOAT}"),
    (lambda: slim.unit_norm(ROWS, -1), ValueError,
     "unit_norm at 'net/UnitNorm': dim must be from 0 to 1 for inputs of shape (4, 3), got -1"),
    (lambda: slim.unit_norm(ROWS, 2), ValueError,
     "unit_norm at 'net/UnitNorm': dim must be from 0 to 1 for inputs of shape (4, 3), got 2"),
    (lambda: slim.one_hot_encoding(ROWS, 3), TypeError,
     "one_hot_encoding at 'net/OneHotEncoding': labels must be integers, got float32"),
    (lambda: slim.one_hot_encoding(jnp.array([1]), 0), ValueError,
     "one_hot_encoding at 'net/OneHotEncoding': num_classes must be a positive integer, got 0"),
    (lambda: slim.repeat(IMAGES, -1, slim.conv2d, 4, 3), ValueError,
     "repeat: repetitions must be an integer from 0, got -1"),
    (lambda: slim.stack(ROWS, slim.fully_connected, 4), ValueError,
     "stack: stack_args must be a list or tuple with an entry for each layer, got 4"),
    (lambda: slim.conv2d(IMAGES, 4, 3, reuse=True), slim.ScopeError,
     "variable_scope: reuse=True needs a name to reuse; give the 'Conv' layer scope='...'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[e[2][:60] for e in ERRORS])
def test_wrong_argument_is_named(call, error, text):
    def in_scope():
        with slim.variable_scope("net"):
            return call()

    with pytest.raises(error, match="^" + re.escape(text)):
        slim.Model(in_scope).init(jax.random.key(0))


def test_layers_with_variables_need_a_model():
    with pytest.raises(slim.ScopeError, match=r"^conv2d only works inside a model function"):
        slim.conv2d(IMAGES, 4, 3)


def test_batch_norm_in_training_needs_mutable_statistics():
    model = slim.Model(slim.batch_norm)
    variables = model.init(jax.random.key(0), ROWS)
    with pytest.raises(
        slim.ScopeError,
        match=r"'BatchNorm/moving_mean' is updated, but its collection 'batch_stats' is not mutable"
        r"; call apply\(..., mutable=\['batch_stats'\]\) .*is_training=False",
    ):
        model.apply(variables, ROWS)


def test_dropout_in_training_needs_a_key():
    model = slim.Model(slim.dropout)
    with pytest.raises(
        slim.ScopeError, match=r"dropout needs randomness; call apply\(..., rngs=\{'dropout'"
    ):
        model.apply({}, ROWS)
