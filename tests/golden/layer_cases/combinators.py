"""Layers repeated, stacked, shared and in nets."""

IMAGES = {"x": (2, 5, 6, 3)}
ROWS = {"x": (6, 3)}

CASES = [
    (
        IMAGES,
        {
            "repeat": "slim.repeat(x, 2, slim.conv2d, 3, [3, 3], scope='conv1')",
            "repeat_default_scope": (
                "y = slim.repeat(x, 1, slim.conv2d, 2, 1)\ny = slim.repeat(y, 2, slim.conv2d, 2, 1)"
            ),
            "repeat_batch_norm": (
                "slim.repeat(x, 2, slim.conv2d, 3, 3, normalizer_fn=slim.batch_norm, scope='r')"
            ),
            "stack_conv2d": (
                "slim.stack(x, slim.conv2d, [(2, [3, 3]), (3, [1, 1])], padding='VALID', "
                "scope='core')"
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
                "with slim.arg_scope([slim.conv2d, slim.fully_connected], normalizer_fn=slim.batch_norm, weights_regularizer=slim.l2_regularizer(0.01)):\n"
                "    with slim.arg_scope([slim.batch_norm], decay=0.8, scale=True):\n"
                "        y = slim.repeat(x, 2, slim.conv2d, 4, [3, 3], scope='conv')\n"
                "        y = slim.max_pool2d(y, [2, 2], scope='pool')\n"
                "        y = slim.flatten(y)\n"
                "        y = slim.fully_connected(y, 3, activation_fn=None, normalizer_fn=None, scope='logits')"
            ),
        },
    ),
    (
        ROWS,
        {
            "stack": "slim.stack(x, slim.fully_connected, [4, 2, 3], scope='fc')",
            "stack_default_scope": (
                "y = slim.stack(x, slim.fully_connected, [4], activation_fn=None)\n"
                "y = slim.stack(y, slim.fully_connected, [3, 2], activation_fn=tanh)"
            ),
        },
    ),
]
