"""The options of batch_norm that change its statistics."""

IMAGES = {"x": (4, 3, 2, 3)}
WEIGHTED = {"x": (4, 3, 2, 3), "w": (4,)}

CASES = [
    (
        IMAGES,
        {
            "batch_norm_renorm": "slim.batch_norm(x, renorm=True, scale=True, decay=0.9)",
            "batch_norm_renorm_decay": (
                "slim.batch_norm(x, renorm=True, renorm_decay=0.7, decay=0.8, epsilon=0.1)"
            ),
            "batch_norm_renorm_clipping": (
                "slim.batch_norm(x, renorm=True, scale=True, renorm_decay=0.8,"
                " renorm_clipping={'rmax': 3.0, 'rmin': 0.5, 'dmax': 0.4})"
            ),
            "batch_norm_renorm_rmin": (
                "slim.batch_norm(x, renorm=True, center=False, renorm_clipping={'rmin': 7.0})"
            ),
            "batch_norm_renorm_infer": "slim.batch_norm(x, renorm=True, is_training=False)",
            "batch_norm_renorm_frozen": "slim.batch_norm(x, renorm=True, trainable=False)",
            "batch_norm_zero_debias": "slim.batch_norm(x, zero_debias_moving_mean=True, decay=0.9)",
            "batch_norm_zero_debias_scale": (
                "slim.batch_norm(x, scale=True, zero_debias_moving_mean=True, scope='bn')"
            ),
            "batch_norm_zero_debias_not_fused": (
                "slim.batch_norm(x, zero_debias_moving_mean=True, fused=False, decay=0.8)"
            ),
            "batch_norm_zero_debias_in_place": (
                "slim.batch_norm(x, zero_debias_moving_mean=True, updates_collections=None,"
                " decay=0.8)"
            ),
            "batch_norm_zero_debias_infer": (
                "slim.batch_norm(x, zero_debias_moving_mean=True, is_training=False)"
            ),
            "batch_norm_zero_debias_in_conv": (
                "slim.conv2d(x, 2, 1, normalizer_fn=slim.batch_norm, scope='c',"
                " normalizer_params={'zero_debias_moving_mean': True, 'decay': 0.9})"
            ),
            "batch_norm_adjustment": (
                "slim.batch_norm(x, scale=True, decay=0.9,"
                " adjustment=lambda shape: ([0.9, 1.1, 1.3], [0.2, -0.1, 0.3]))"
            ),
            "batch_norm_adjustment_of_inputs": (
                "slim.batch_norm(x, adjustment=lambda shape: (x[:, :1, :1] * 0.1 + 1.0,"
                " x[:1, :, :] * 0.2))"
            ),
            "batch_norm_adjustment_renorm": (
                "slim.batch_norm(x, scale=True, renorm=True,"
                " adjustment=lambda shape: ([0.9, 1.1, 1.3], [0.2, -0.1, 0.3]))"
            ),
            "batch_norm_adjustment_infer": (
                "slim.batch_norm(x, is_training=False, adjustment=lambda shape: (2.0, 1.0))"
            ),
        },
    ),
    (
        WEIGHTED,
        {
            "batch_norm_weights": "slim.batch_norm(x, batch_weights=w + 1.5, decay=0.9, scale=True)",
            "batch_norm_weights_zero": (
                "slim.batch_norm(x, batch_weights=w * 0.0, epsilon=0.3, decay=0.5)"
            ),
            "batch_norm_weights_integers": (
                "slim.batch_norm(x, batch_weights=[1, 0, 2, 3], decay=0.9)"
            ),
            "batch_norm_weights_zero_debias": (
                "slim.batch_norm(x, batch_weights=w + 1.5, zero_debias_moving_mean=True, decay=0.9)"
            ),
            "batch_norm_weights_infer": "slim.batch_norm(x, batch_weights=w, is_training=False)",
        },
    ),
    (
        {"x": (4, 3, 5), "w": (4,)},
        {
            "batch_norm_weights_channels_first": (
                "slim.batch_norm(x, batch_weights=w + 1.5, data_format='NCHW', decay=0.9)"
            ),
            "batch_norm_renorm_channels_first": (
                "slim.batch_norm(x, renorm=True, scale=True, data_format='NCHW', decay=0.9)"
            ),
            "batch_norm_sequence_zero_debias": (
                "slim.batch_norm(x, zero_debias_moving_mean=True, decay=0.9)"
            ),
        },
    ),
    (
        {"x": (5, 2)},
        {
            "batch_norm_rows_zero_debias": (
                "slim.batch_norm(x, zero_debias_moving_mean=True, decay=0.9)"
            ),
            "batch_norm_rows_renorm": "slim.batch_norm(x, renorm=True, decay=0.9)",
            "batch_norm_rows_channels_first": (
                "slim.batch_norm(x, scale=True, data_format='NCHW', decay=0.9)"
            ),
        },
    ),
    (
        {"x": (2, 2, 3, 2, 3)},
        {
            "batch_norm_volumes": "slim.batch_norm(x, scale=True, decay=0.9)",
            "batch_norm_volumes_zero_debias": (
                "slim.batch_norm(x, zero_debias_moving_mean=True, decay=0.9)"
            ),
            "batch_norm_volumes_in_place": (
                "slim.batch_norm(x, updates_collections=None, decay=0.9)"
            ),
            "batch_norm_volumes_renorm": "slim.batch_norm(x, renorm=True, decay=0.9)",
        },
    ),
]
