"""Normalizers."""

IMAGES = {"x": (2, 5, 6, 3)}
CHANNELS_FIRST = {"x": (2, 3, 5, 6)}
ROWS = {"x": (6, 3)}
SEQUENCE = {"x": (3, 4, 3)}

CASES = [
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
                "slim.batch_norm(x, scale=True, param_regularizers={'beta': slim.l2_regularizer(0.1),"
                " 'gamma': slim.l1_regularizer(0.2)})"
            ),
            "batch_norm_frozen": "slim.batch_norm(x, scale=True, trainable=False)",
            "unit_norm_channels": "slim.unit_norm(x, 3)",
            "unit_norm_rows": "slim.unit_norm(x, 1, epsilon=0.1)",
        },
    ),
    (
        CHANNELS_FIRST,
        {
            "bias_add_channels_first": "slim.bias_add(x, data_format='NCHW')",
            "batch_norm_channels_first": "slim.batch_norm(x, decay=0.9, scale=True, data_format='NCHW')",
        },
    ),
    (
        ROWS,
        {
            "bias_add_rows": "slim.bias_add(x)",
            "batch_norm_rows": "slim.batch_norm(x, scale=True, decay=0.9)",
            "batch_norm_rows_infer": "slim.batch_norm(x, is_training=False)",
            "batch_norm_rows_not_fused": "slim.batch_norm(x, decay=0.9, fused=False)",
            "unit_norm": "slim.unit_norm(x, 1)",
        },
    ),
    (
        SEQUENCE,
        {
            "bias_add_sequence": "slim.bias_add(x)",
            "batch_norm_sequence": "slim.batch_norm(x, decay=0.9, scale=True)",
        },
    ),
    (
        {"x": (1, 3)},
        {
            "batch_norm_one_row": "slim.batch_norm(x, decay=0.9)",
        },
    ),
]
