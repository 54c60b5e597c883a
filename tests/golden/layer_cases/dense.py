"""Fully connected layers."""

IMAGES = {"x": (2, 5, 6, 3)}
ROWS = {"x": (6, 3)}
SEQUENCE = {"x": (3, 4, 3)}

CASES = [
    (
        IMAGES,
        {
            "fully_connected_images": "slim.fully_connected(x, 4)",
        },
    ),
    (
        ROWS,
        {
            "fully_connected": "slim.fully_connected(x, 4)",
            "fully_connected_linear": "slim.fully_connected(x, 4, activation_fn=None, scope='fc')",
            "fully_connected_no_biases": "slim.fully_connected(x, 2, biases_initializer=None)",
            "fully_connected_regularizers": (
                "slim.fully_connected(x, 4, weights_regularizer=slim.l1_l2_regularizer(0.1, 0.2), "
                "biases_regularizer=slim.l2_regularizer(0.3))"
            ),
            "linear": "slim.linear(x, 4, weights_regularizer=slim.l2_regularizer(0.1))",
            "linear_of_a_scope": (
                "with slim.arg_scope([slim.fully_connected], biases_initializer=None, "
                "activation_fn=tanh):\n    y = slim.linear(slim.fully_connected(x, 4), 2)"
            ),
            "relu": "slim.relu(x, 4)",
            "relu6": "slim.relu6(8.0 * x, 4)",
            "elu": "slim.elu(x, 4, normalizer_fn=slim.batch_norm)",
            "legacy_fully_connected": "slim.legacy_fully_connected(x, 4, tanh, name='old')",
            "legacy_linear": "slim.legacy_linear(x, 4, bias_init=None, trainable=False)",
            "fully_connected_batch_norm": (
                "slim.fully_connected(x, 4, activation_fn=tanh, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'decay': 0.9, 'scale': True})"
            ),
        },
    ),
    (
        SEQUENCE,
        {
            "fully_connected_sequence": "slim.fully_connected(x, 4)",
            "relu_sequence": "slim.relu(x, 4, biases_initializer=None, scope='fc')",
            "legacy_sequence": (
                "slim.legacy_relu(x, 4, weight_regularizer=slim.l2_regularizer(0.1), "
                "bias_regularizer=slim.l1_regularizer(0.2))"
            ),
        },
    ),
]
