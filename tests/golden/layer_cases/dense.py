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
        },
    ),
]
