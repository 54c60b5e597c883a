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
    (
        {"x": (2, 4, 3, 4)},
        {
            "layer_norm": "slim.layer_norm(x)",
            "layer_norm_activation": "slim.layer_norm(x, activation_fn=tanh, scope='ln')",
            "layer_norm_center": "slim.layer_norm(x, scale=False)",
            "layer_norm_scale": "slim.layer_norm(x, center=False)",
            "layer_norm_plain": "slim.layer_norm(x, center=False, scale=False)",
            "layer_norm_frozen": "slim.layer_norm(x, trainable=False)",
            "layer_norm_axes": "slim.layer_norm(x, begin_norm_axis=2, begin_params_axis=1)",
            "layer_norm_last": "slim.layer_norm(x, begin_norm_axis=-1, begin_params_axis=-2)",
            "layer_norm_all": "slim.layer_norm(x, begin_norm_axis=0, begin_params_axis=0)",
            "instance_norm": "slim.instance_norm(x)",
            "instance_norm_epsilon": "slim.instance_norm(x, epsilon=0.1, activation_fn=tanh)",
            "instance_norm_center": "slim.instance_norm(x, scale=False, scope='in')",
            "instance_norm_scale": "slim.instance_norm(x, center=False, trainable=False)",
            "instance_norm_channels_first": "slim.instance_norm(x, data_format='NCHW')",
            "group_norm": "slim.group_norm(x, 2)",
            "group_norm_epsilon": "slim.group_norm(x, groups=1, epsilon=0.2, activation_fn=tanh)",
            "group_norm_center": "slim.group_norm(x, groups=4, scale=False, scope='gn')",
            "group_norm_scale": "slim.group_norm(x, groups=2, center=False, trainable=False)",
            "group_norm_channels_first": (
                "slim.group_norm(x, 2, channels_axis=-3, reduction_axes=(-2, -1))"
            ),
            "group_norm_one_axis": "slim.group_norm(x, 2, 3, [1])",
            "group_norm_close_to_zero": "slim.group_norm(x, 2, mean_close_to_zero=True)",
            "unit_norm_images": "slim.unit_norm(x, 2, epsilon=0.01)",
            "unit_norm_batch": "slim.unit_norm(x, 0)",
        },
    ),
    (
        {"x": (3, 4, 2)},
        {
            "layer_norm_sequence": "slim.layer_norm(x)",
            "instance_norm_sequence": "slim.instance_norm(x)",
            "group_norm_one_image": "slim.group_norm(x, 2)",
        },
    ),
    (
        {"x": (2, 2, 3, 2, 2)},
        {
            "instance_norm_volumes": "slim.instance_norm(x, data_format='NCHW')",
            "group_norm_volumes": "slim.group_norm(x, 2, reduction_axes=(1, 2, 3))",
        },
    ),
    (
        {"x": (4, 6)},
        {
            "layer_norm_rows": "slim.layer_norm(x)",
            "group_norm_rows": "slim.group_norm(x, 3, reduction_axes=())",
        },
    ),
]
