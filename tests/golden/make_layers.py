"""Makes layers.npz: what TF-Slim's layers compute, and their gradients.

Usage: ORACLE=<folder of oracle.py> <the oracle's python> make_layers.py

A case is Python code that means the same in TF-Slim and in jslim, given `slim`, `tanh` and the
named inputs: an expression, or statements that set `y`. The file holds `index`, a JSON text
`{case: {"code": ..., "arrays": {key: [offset, shape, dtype]}}}`, and `data`, one float32 vector
that the offsets point into. The keys of a case:

    in/NAME       inputs
    vars/NAME     every variable, by its TensorFlow name
    output        the result
    reg_loss      sum of the regularization losses, where there are any
    updated/NAME  the variables that are not trained, after one step
    ct            a cotangent for the output, and with it
    grad_in/NAME  the gradient of sum(output * ct) by an input, and
    grad/NAME     by a trained variable
"""

import json
import os
import pathlib
import sys

import numpy as np

sys.path.insert(0, os.environ["ORACLE"])
import oracle
import recipe

IMAGES = {"x": (2, 5, 6, 3)}
CHANNELS_FIRST = {"x": (2, 3, 5, 6)}
ROWS = {"x": (6, 3)}
SEQUENCE = {"x": (3, 4, 3)}

# {case: code}, by the inputs that the code needs.
CASES: list[tuple[dict, dict[str, str]]] = [
    (
        IMAGES,
        {
            "bias_add_images": "slim.bias_add(x)",
            "bias_add_activation": "slim.bias_add(x, activation_fn=tanh, scope='b')",
            "bias_add_regularizer": "slim.bias_add(x, regularizer=slim.l2_regularizer(0.3))",
            "batch_norm_train": "slim.batch_norm(x)",
            "batch_norm_infer": "slim.batch_norm(x, is_training=False)",
            "batch_norm_scale": "slim.batch_norm(x, decay=0.9, scale=True, epsilon=0.01)",
            "batch_norm_plain": "slim.batch_norm(x, center=False, decay=0.7)",
            "batch_norm_activation": "slim.batch_norm(x, scale=True, activation_fn=tanh)",
            "batch_norm_infer_scale": (
                "slim.batch_norm(x, scale=True, epsilon=0.1, is_training=False, scope='bn')"
            ),
            "batch_norm_not_fused": "slim.batch_norm(x, decay=0.9, scale=True, fused=False)",
            "batch_norm_not_fused_infer": "slim.batch_norm(x, fused=False, is_training=False)",
            "batch_norm_in_place": "slim.batch_norm(x, decay=0.9, updates_collections=None)",
            "batch_norm_param_regularizers": (
                "slim.batch_norm(x, scale=True, param_regularizers="
                "{'beta': slim.l2_regularizer(0.1), 'gamma': slim.l1_regularizer(0.2)})"
            ),
            "batch_norm_frozen": "slim.batch_norm(x, scale=True, trainable=False)",
            "conv2d": "slim.conv2d(x, 4, [3, 3])",
            "conv2d_int_kernel": "slim.conv2d(x, 4, 3, scope='conv1')",
            "conv2d_strides": "slim.conv2d(x, 4, [3, 3], stride=2)",
            "conv2d_stride_pair": "slim.conv2d(x, 3, [3, 2], stride=[1, 3], activation_fn=None)",
            "conv2d_valid": "slim.conv2d(x, 4, [2, 3], padding='VALID')",
            "conv2d_valid_strides": "slim.conv2d(x, 4, [3, 3], stride=2, padding='valid')",
            "conv2d_even_kernel": "slim.conv2d(x, 3, [2, 4], stride=2, activation_fn=None)",
            "conv2d_wide_kernel": "slim.conv2d(x, 2, [7, 7], stride=2, activation_fn=None)",
            "conv2d_1x1": "slim.conv2d(x, 4, [1, 1])",
            "conv2d_1x1_strides": "slim.conv2d(x, 4, 1, stride=2, activation_fn=None)",
            "conv2d_rate": "slim.conv2d(x, 4, [3, 3], rate=2)",
            "conv2d_rate_pair_valid": (
                "slim.conv2d(x, 4, [2, 2], rate=[1, 3], padding='VALID', activation_fn=None)"
            ),
            "conv2d_no_biases": "slim.conv2d(x, 4, [3, 3], biases_initializer=None)",
            "conv2d_regularizers": (
                "slim.conv2d(x, 4, [3, 3], activation_fn=tanh,"
                " weights_regularizer=slim.l2_regularizer(0.01),"
                " biases_regularizer=slim.l1_regularizer(0.1))"
            ),
            "conv2d_batch_norm": (
                "slim.conv2d(x, 4, [3, 3], normalizer_fn=slim.batch_norm, normalizer_params="
                "{'decay': 0.9, 'scale': True, 'is_training': True},"
                " biases_regularizer=slim.l1_regularizer(0.1))"
            ),
            "conv2d_batch_norm_infer": (
                "slim.conv2d(x, 4, [1, 3], normalizer_fn=slim.batch_norm,"
                " normalizer_params={'is_training': False}, scope='a/b')"
            ),
            "conv2d_bias_add": "slim.conv2d(x, 4, [3, 3], normalizer_fn=slim.bias_add)",
            "conv2d_frozen": (
                "slim.conv2d(x, 4, 3, trainable=False, normalizer_fn=slim.batch_norm)"
            ),
            "conv2d_in_plane": "slim.conv2d_in_plane(x, [3, 3])",
            "conv2d_in_plane_strides": (
                "slim.conv2d_in_plane(x, [3, 2], stride=2, padding='VALID', activation_fn=None)"
            ),
            "conv2d_in_plane_row": (
                "slim.conv2d_in_plane(x, [1, 3], biases_initializer=None, activation_fn=None,"
                " weights_regularizer=slim.l1_regularizer(0.5), scope='smooth')"
            ),
            "conv2d_in_plane_batch_norm": (
                "slim.conv2d_in_plane(x, [3, 3], normalizer_fn=slim.batch_norm)"
            ),
            "conv2d_transpose": "slim.conv2d_transpose(x, 4, [3, 3])",
            "conv2d_transpose_same_2": "slim.conv2d_transpose(x, 2, [3, 3], stride=2)",
            "conv2d_transpose_same_even": (
                "slim.conv2d_transpose(x, 2, [4, 4], stride=2, activation_fn=None)"
            ),
            "conv2d_transpose_same_small": (
                "slim.conv2d_transpose(x, 2, [2, 1], stride=3, activation_fn=None)"
            ),
            "conv2d_transpose_valid": (
                "slim.conv2d_transpose(x, 2, [3, 3], padding='VALID', activation_fn=None)"
            ),
            "conv2d_transpose_valid_2": (
                "slim.conv2d_transpose(x, 2, [4, 3], stride=2, padding='VALID')"
            ),
            "conv2d_transpose_valid_small": (
                "slim.conv2d_transpose(x, 2, [1, 2], stride=[2, 3], padding='VALID',"
                " activation_fn=None)"
            ),
            "conv2d_transpose_regularizers": (
                "slim.conv2d_transpose(x, 2, 3, biases_initializer=None,"
                " weights_regularizer=slim.l2_regularizer(0.1), scope='up')"
            ),
            "conv2d_transpose_batch_norm": (
                "slim.conv2d_transpose(x, 3, 3, stride=2, normalizer_fn=slim.batch_norm,"
                " normalizer_params={'scale': True})"
            ),
            "separable_conv2d": "slim.separable_conv2d(x, 4, [3, 3])",
            "separable_conv2d_multiplier": "slim.separable_conv2d(x, 4, [3, 3], 2)",
            "separable_conv2d_strides": (
                "slim.separable_conv2d(x, 4, [3, 3], 1, stride=2, activation_fn=None)"
            ),
            "separable_conv2d_stride_pair": (
                "slim.separable_conv2d(x, 4, [3, 3], 1, stride=[1, 2], activation_fn=None)"
            ),
            "separable_conv2d_valid": (
                "slim.separable_conv2d(x, 3, [2, 3], 2, padding='VALID', activation_fn=tanh)"
            ),
            "separable_conv2d_rate": "slim.separable_conv2d(x, 4, [3, 3], 1, rate=2)",
            "separable_conv2d_depthwise": "slim.separable_conv2d(x, None, [3, 3])",
            "separable_conv2d_depthwise_multiplier": (
                "slim.separable_conv2d(x, None, 3, depth_multiplier=2, stride=2,"
                " activation_fn=None, weights_regularizer=slim.l2_regularizer(0.1))"
            ),
            "separable_conv2d_depthwise_batch_norm": (
                "slim.separable_conv2d(x, None, 3, 1, normalizer_fn=slim.batch_norm, scope='dw')"
            ),
            "separable_conv2d_regularizers": (
                "slim.separable_conv2d(x, 4, 3, 1, weights_regularizer=slim.l2_regularizer(0.1),"
                " biases_regularizer=slim.l2_regularizer(0.2))"
            ),
            "separable_conv2d_batch_norm": (
                "slim.separable_conv2d(x, 4, 3, 2, normalizer_fn=slim.batch_norm,"
                " normalizer_params={'scale': True, 'decay': 0.5})"
            ),
            "fully_connected_images": "slim.fully_connected(x, 4)",
            "avg_pool2d": "slim.avg_pool2d(x, [2, 2])",
            "avg_pool2d_same": "slim.avg_pool2d(x, [3, 3], padding='SAME')",
            "avg_pool2d_same_stride_1": "slim.avg_pool2d(x, 3, stride=1, padding='same')",
            "avg_pool2d_pair": "slim.avg_pool2d(x, [3, 2], stride=[1, 3], scope='pool')",
            "max_pool2d": "slim.max_pool2d(x, [2, 2])",
            "max_pool2d_same": "slim.max_pool2d(x, [3, 3], padding='SAME')",
            "max_pool2d_same_stride_1": "slim.max_pool2d(x, 2, stride=1, padding='SAME')",
            "max_pool2d_pair": "slim.max_pool2d(x, [3, 2], stride=[1, 3], scope='pool')",
            "flatten_images": "slim.flatten(x)",
            "unit_norm_channels": "slim.unit_norm(x, 3)",
            "unit_norm_rows": "slim.unit_norm(x, 1, epsilon=0.1)",
            "softmax_images": "slim.softmax(x)",
            "dropout_infer": "slim.dropout(x, 0.25, is_training=False)",
            "repeat": "slim.repeat(x, 2, slim.conv2d, 3, [3, 3], scope='conv1')",
            "repeat_default_scope": (
                "y = slim.repeat(x, 1, slim.conv2d, 2, 1)\ny = slim.repeat(y, 2, slim.conv2d, 2, 1)"
            ),
            "repeat_batch_norm": (
                "slim.repeat(x, 2, slim.conv2d, 3, 3, normalizer_fn=slim.batch_norm, scope='r')"
            ),
            "stack_conv2d": (
                "slim.stack(x, slim.conv2d, [(2, [3, 3]), (3, [1, 1])], padding='VALID',"
                " scope='core')"
            ),
            "default_scopes": (
                "y = slim.conv2d(x, 2, 3)\n"
                "y = slim.conv2d(y, 2, 3, normalizer_fn=slim.batch_norm)\n"
                "y = slim.separable_conv2d(y, 2, 3, 1)\n"
                "y = slim.conv2d_in_plane(y, 3)\n"
                "y = slim.conv2d_transpose(y, 2, 2)\n"
                "y = slim.batch_norm(slim.bias_add(slim.bias_add(y)))\n"
                "y = slim.max_pool2d(y, 2)\n"
                "y = slim.conv2d(y, 2, 1)\n"
                "y = slim.fully_connected(slim.flatten(y), 3)\n"
                "y = slim.fully_connected(y, 2)"
            ),
            "shared_weights": (
                "decay = slim.l2_regularizer(0.1)\n"
                "y = slim.conv2d(x, 3, 3, weights_regularizer=decay, scope='c')\n"
                "y = slim.conv2d(y, 3, 3, weights_regularizer=decay, scope='c', reuse=True)"
            ),
            "arg_scope_net": (
                "with slim.arg_scope([slim.conv2d, slim.fully_connected],"
                " normalizer_fn=slim.batch_norm, weights_regularizer=slim.l2_regularizer(0.01)):\n"
                "    with slim.arg_scope([slim.batch_norm], decay=0.8, scale=True):\n"
                "        y = slim.repeat(x, 2, slim.conv2d, 4, [3, 3], scope='conv')\n"
                "        y = slim.max_pool2d(y, [2, 2], scope='pool')\n"
                "        y = slim.flatten(y)\n"
                "        y = slim.fully_connected(y, 3, activation_fn=None, normalizer_fn=None,"
                " scope='logits')"
            ),
        },
    ),
    (
        CHANNELS_FIRST,
        {
            "bias_add_channels_first": "slim.bias_add(x, data_format='NCHW')",
            "batch_norm_channels_first": (
                "slim.batch_norm(x, decay=0.9, scale=True, data_format='NCHW')"
            ),
            "conv2d_channels_first": (
                "slim.conv2d(x, 4, [3, 2], stride=2, data_format='NCHW', scope='c')"
            ),
            "conv2d_channels_first_rate": (
                "slim.conv2d(x, 4, [2, 2], rate=2, padding='VALID', data_format='NCHW',"
                " activation_fn=None)"
            ),
            "avg_pool2d_channels_first": (
                "slim.avg_pool2d(x, [3, 2], padding='SAME', data_format='NCHW')"
            ),
            "max_pool2d_channels_first": "slim.max_pool2d(x, [3, 2], data_format='NCHW')",
            "conv2d_transpose_channels_first": (
                "slim.conv2d_transpose(x, 2, [3, 2], stride=2, data_format='NCHW')"
            ),
            "separable_conv2d_channels_first": (
                "slim.separable_conv2d(x, 4, 3, 2, stride=2, data_format='NCHW')"
            ),
        },
    ),
    (
        ROWS,
        {
            "bias_add_rows": "slim.bias_add(x)",
            "batch_norm_rows": "slim.batch_norm(x, scale=True, decay=0.9)",
            "batch_norm_rows_infer": "slim.batch_norm(x, is_training=False)",
            "batch_norm_rows_not_fused": "slim.batch_norm(x, decay=0.9, fused=False)",
            "fully_connected": "slim.fully_connected(x, 4)",
            "fully_connected_linear": "slim.fully_connected(x, 4, activation_fn=None, scope='fc')",
            "fully_connected_no_biases": "slim.fully_connected(x, 2, biases_initializer=None)",
            "fully_connected_regularizers": (
                "slim.fully_connected(x, 4, weights_regularizer=slim.l1_l2_regularizer(0.1, 0.2),"
                " biases_regularizer=slim.l2_regularizer(0.3))"
            ),
            "fully_connected_batch_norm": (
                "slim.fully_connected(x, 4, activation_fn=tanh, normalizer_fn=slim.batch_norm,"
                " normalizer_params={'decay': 0.9, 'scale': True})"
            ),
            "flatten_rows": "slim.flatten(x)",
            "softmax": "slim.softmax(x)",
            "unit_norm": "slim.unit_norm(x, 1)",
            "stack": "slim.stack(x, slim.fully_connected, [4, 2, 3], scope='fc')",
            "stack_default_scope": (
                "y = slim.stack(x, slim.fully_connected, [4], activation_fn=None)\n"
                "y = slim.stack(y, slim.fully_connected, [3, 2], activation_fn=tanh)"
            ),
        },
    ),
    (
        SEQUENCE,
        {
            "bias_add_sequence": "slim.bias_add(x)",
            "batch_norm_sequence": "slim.batch_norm(x, decay=0.9, scale=True)",
            "fully_connected_sequence": "slim.fully_connected(x, 4)",
            "flatten_sequence": "slim.flatten(x)",
            "softmax_sequence": "slim.softmax(x)",
        },
    ),
    ({"x": (1, 3)}, {"batch_norm_one_row": "slim.batch_norm(x, decay=0.9)"}),
    ({"x": (4,)}, {"flatten_vector": "slim.flatten(x)"}),
]
LABELS = {
    "one_hot_encoding": ("slim.one_hot_encoding(labels, 4)", [0, 3, 1, 1]),
    "one_hot_encoding_values": (
        "slim.one_hot_encoding(labels, 3, on_value=0.9, off_value=0.05)",
        [2, 0],
    ),
    "one_hot_encoding_out_of_range": ("slim.one_hot_encoding(labels, 3)", [-1, 3, 2]),
    "one_hot_encoding_matrix": ("slim.one_hot_encoding(labels, 3)", [[0, 1], [2, 2]]),
}


def compute() -> dict[str, tuple[str, dict[str, np.ndarray]]]:
    """`{case: (code, arrays)}` for every case."""
    results = {}
    for shapes, cases in CASES:
        inputs = {k: recipe.uniform(0, "in:" + k, s, -1, 1) for k, s in shapes.items()}
        for name, code in cases.items():
            setting = code if "y = " in code else f"y = {code}"
            results[name] = code, oracle.run_layer(f"tanh = tf.tanh\n{setting}", inputs)
    for name, (code, labels) in LABELS.items():
        results[name] = code, oracle.run_layer(code, {"labels": np.array(labels, np.int32)})
    return results


def main() -> None:
    index: dict[str, dict] = {}
    pieces: list[np.ndarray] = []
    offsets: dict[bytes, int] = {}  # equal arrays (inputs, cotangents) are stored once
    size = 0
    for name, (code, arrays) in compute().items():
        places = {}
        for key, array in sorted(arrays.items()):
            flat = np.asarray(array, np.float32).ravel()
            if flat.tobytes() not in offsets:
                offsets[flat.tobytes()] = size
                pieces.append(flat)
                size += flat.size
            places[key] = [offsets[flat.tobytes()], list(array.shape), array.dtype.name]
        index[name] = {"code": code, "arrays": places}
    path = pathlib.Path(__file__).with_name("layers.npz")
    np.savez_compressed(path, data=np.concatenate(pieces), index=np.array(json.dumps(index)))
    print(f"{path}: {len(index)} cases, {size} numbers, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
