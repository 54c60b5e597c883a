"""Separable convolutions, and one filter for all channels."""

IMAGES = {"x": (2, 5, 6, 3)}
CHANNELS_FIRST = {"x": (2, 3, 5, 6)}

CASES = [
    (
        IMAGES,
        {
            "conv2d_in_plane": "slim.conv2d_in_plane(x, [3, 3])",
            "conv2d_in_plane_strides": (
                "slim.conv2d_in_plane(x, [3, 2], stride=2, padding='VALID', activation_fn=None)"
            ),
            "conv2d_in_plane_row": (
                "slim.conv2d_in_plane(x, [1, 3], biases_initializer=None, activation_fn=None, "
                "weights_regularizer=slim.l1_regularizer(0.5), scope='smooth')"
            ),
            "conv2d_in_plane_batch_norm": "slim.conv2d_in_plane(x, [3, 3], normalizer_fn=slim.batch_norm)",
            "separable_conv2d": "slim.separable_conv2d(x, 4, [3, 3])",
            "separable_conv2d_multiplier": "slim.separable_conv2d(x, 4, [3, 3], 2)",
            "separable_conv2d_strides": "slim.separable_conv2d(x, 4, [3, 3], 1, stride=2, activation_fn=None)",
            "separable_conv2d_stride_pair": (
                "slim.separable_conv2d(x, 4, [3, 3], 1, stride=[1, 2], activation_fn=None)"
            ),
            "separable_conv2d_valid": (
                "slim.separable_conv2d(x, 3, [2, 3], 2, padding='VALID', activation_fn=tanh)"
            ),
            "separable_conv2d_rate": "slim.separable_conv2d(x, 4, [3, 3], 1, rate=2)",
            "separable_conv2d_depthwise": "slim.separable_conv2d(x, None, [3, 3])",
            "separable_conv2d_depthwise_multiplier": (
                "slim.separable_conv2d(x, None, 3, depth_multiplier=2, stride=2, activation_fn=None, "
                "weights_regularizer=slim.l2_regularizer(0.1))"
            ),
            "separable_conv2d_depthwise_batch_norm": (
                "slim.separable_conv2d(x, None, 3, 1, normalizer_fn=slim.batch_norm, scope='dw')"
            ),
            "conv2d_in_plane_explicit": (
                "slim.conv2d_in_plane(x, 3, stride=2, padding=[(1, 0), (2, 1)], activation_fn=None)",
                "slim.conv2d_in_plane(tf.pad(x, [(0, 0), (1, 0), (2, 1), (0, 0)]), 3, stride=2, "
                "padding='VALID', activation_fn=None)",
            ),
            "conv2d_in_plane_stride_pair": (
                "slim.conv2d_in_plane(x, [2, 3], stride=[1, 2], activation_fn=tanh, trainable=False)"
            ),
            "conv2d_in_plane_regularizers": (
                "slim.conv2d_in_plane(x, 2, weights_regularizer=slim.l2_regularizer(0.1), "
                "biases_regularizer=slim.l1_regularizer(0.2), normalizer_fn=None)"
            ),
            "conv2d_in_plane_normalizer_params": (
                "slim.conv2d_in_plane(x, 2, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'scale': True, 'is_training': False}, activation_fn=None)"
            ),
            "separable_conv2d_explicit": (
                "slim.separable_conv2d(x, 4, 3, 2, padding=[(2, 0), (1, 1)], activation_fn=None)",
                "slim.separable_conv2d(tf.pad(x, [(0, 0), (2, 0), (1, 1), (0, 0)]), 4, 3, 2, "
                "padding='VALID', activation_fn=None)",
            ),
            "separable_conv2d_depthwise_explicit": (
                "slim.separable_conv2d(x, None, 3, stride=2, padding=[(1, 1), (1, 1)])",
                "slim.separable_conv2d(tf.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), None, 3, "
                "stride=2, padding='VALID')",
            ),
            "separable_conv2d_rate_pair": (
                "slim.separable_conv2d(x, 4, [3, 2], 2, rate=[1, 2], padding='VALID', "
                "activation_fn=None)"
            ),
            "separable_conv2d_no_biases": (
                "slim.separable_conv2d(x, 4, 3, biases_initializer=None, trainable=False)"
            ),
            "separable_conv2d_normalizer_params": (
                "slim.separable_conv2d(x, 4, 3, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'is_training': False}, biases_regularizer="
                "slim.l2_regularizer(0.2), scope='a/b')"
            ),
            "separable_conv2d_depthwise_rate": (
                "slim.separable_conv2d(x, None, 3, 2, rate=2, activation_fn=None)"
            ),
            "separable_conv2d_depthwise_regularizers": (
                "slim.separable_conv2d(x, None, 2, 2, weights_regularizer=slim.l1_regularizer(0.1), "
                "biases_regularizer=slim.l2_regularizer(0.2), activation_fn=tanh)"
            ),
            "separable_conv2d_depthwise_no_biases": (
                "slim.separable_conv2d(x, None, 3, 2, biases_initializer=None, padding='VALID')"
            ),
            "separable_conv2d_depthwise_normalizer_params": (
                "slim.separable_conv2d(x, None, 3, 2, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'scale': True, 'decay': 0.7}, activation_fn=None)"
            ),
            "separable_conv2d_regularizers": (
                "slim.separable_conv2d(x, 4, 3, 1, weights_regularizer=slim.l2_regularizer(0.1), "
                "biases_regularizer=slim.l2_regularizer(0.2))"
            ),
            "separable_conv2d_batch_norm": (
                "slim.separable_conv2d(x, 4, 3, 2, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'scale': True, 'decay': 0.5})"
            ),
        },
    ),
    (
        CHANNELS_FIRST,
        {
            "separable_conv2d_channels_first": "slim.separable_conv2d(x, 4, 3, 2, stride=2, data_format='NCHW')",
            "separable_conv2d_channels_first_rate": (
                "slim.separable_conv2d(x, 4, 3, rate=2, data_format='NCHW', activation_fn=None)"
            ),
            "separable_conv2d_depthwise_channels_first": (
                "slim.separable_conv2d(x, None, 3, 2, padding='VALID', data_format='NCHW')"
            ),
        },
    ),
]
