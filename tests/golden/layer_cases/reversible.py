"""Reversible layers, and functions that are computed again for the backward pass.

The cotangent is for the first output alone, so both halves go into one.
"""

import tensorflow as tf

tf.compat.v1.enable_resource_variables()  # recompute_grad takes no others

HALVES = {"x1": (2, 3, 4), "x2": (2, 3, 4)}
SIDES = {"x1": (3, 4), "x2": (3, 4), "side": (3, 4), "other": (3, 4)}
IMAGES = {"x1": (2, 4, 4, 2), "x2": (2, 4, 4, 2)}

DENSE = "lambda x: slim.fully_connected(x, 4, activation_fn=tanh)"
LINEAR = "lambda x: slim.fully_connected(x, 4, activation_fn=None, scope='linear')"
REGULARIZED = (
    "lambda x: slim.fully_connected(x, 4, activation_fn=tanh, "
    "weights_regularizer=slim.l2_regularizer(0.1))"
)
CONV = "lambda x: slim.conv2d(x, 2, [3, 3], activation_fn=tanh, scope='conv')"

CASES = [
    (
        HALVES,
        {
            "rev_block": f"a, b = slim.rev_block(x1, x2, {DENSE}, {DENSE})\ny = a + 2.0 * b",
            "rev_block_layers": (
                f"a, b = slim.rev_block(x1, x2, {DENSE}, {LINEAR}, num_layers=3)\ny = a - 0.5 * b"
            ),
            "rev_block_lists": (
                f"a, b = slim.rev_block(x1, x2, [{DENSE}, {LINEAR}], [{LINEAR}, {DENSE}], 2)\n"
                "y = a * b"
            ),
            "rev_block_infer": (
                f"a, b = slim.rev_block(x1, x2, {DENSE}, {LINEAR}, 2, is_training=False)\ny = a * b"
            ),
            "rev_block_twice": (
                f"a, b = slim.rev_block(x1, x2, {DENSE}, {LINEAR})\n"
                f"a, b = slim.rev_block(a, b, {DENSE}, {LINEAR})\ny = a * b"
            ),
            "rev_block_regularized": (
                f"a, b = slim.rev_block(x1, x2, {REGULARIZED}, {REGULARIZED}, 2)\ny = a * b"
            ),
            "RevBlock_named": (
                f"block = slim.RevBlock({DENSE}, {LINEAR}, 2, name='twins')\n"
                "a, b = block.forward(x1, x2)\ny = a * b"
            ),
            "RevBlock_backward": (
                f"block = slim.RevBlock({DENSE}, {LINEAR}, 2, use_efficient_backprop=False)\n"
                "a, b = block.forward(x1, x2)\nc, d = block.backward(0.9 * a, b)\ny = c + d * d"
            ),
        },
    ),
    (
        SIDES,
        {
            "rev_block_side_inputs": (
                "f = lambda x, s: slim.fully_connected(x * s[0], 4, activation_fn=tanh)\n"
                "g = lambda x, s: slim.fully_connected(x + s[0], 4, activation_fn=tanh) * s[1]\n"
                "a, b = slim.rev_block(x1, x2, f, g, 3, f_side_input=[side], "
                "g_side_input=[side * 2.0, other])\ny = a * b"
            ),
        },
    ),
    (
        IMAGES,
        {
            "rev_block_conv2d": f"a, b = slim.rev_block(x1, x2, {CONV}, {CONV}, 2)\ny = a + 2.0 * b",
        },
    ),
    (
        {"x": (5, 3), "z": (5, 4)},
        {
            "recompute_grad": (
                "f = lambda x, z: slim.fully_connected(x, 4, activation_fn=tanh, scope='fc') * z\n"
                "y = slim.recompute_grad(f)(x, z)"
            ),
            "recompute_grad_twice": (
                "f = slim.recompute_grad(tupleize_grads=True)(lambda x: slim.fully_connected("
                "x, 4, activation_fn=tanh, scope='fc1'))\n"
                "g = slim.recompute_grad(use_data_dep=True)(lambda x, z: slim.fully_connected("
                "x, 4, activation_fn=tanh, scope='fc2', weights_regularizer=slim.l1_regularizer(0.1))"
                " * z)\n"
                "y = g(f(x), z)"
            ),
        },
    ),
]
