"""Convolutions of images, ordinary and transposed."""

IMAGES = {"x": (2, 5, 6, 3)}
CHANNELS_FIRST = {"x": (2, 3, 5, 6)}

CASES = [
    (
        IMAGES,
        {
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
                "slim.conv2d(x, 4, [3, 3], activation_fn=tanh, "
                "weights_regularizer=slim.l2_regularizer(0.01), "
                "biases_regularizer=slim.l1_regularizer(0.1))"
            ),
            "conv2d_batch_norm": (
                "slim.conv2d(x, 4, [3, 3], normalizer_fn=slim.batch_norm, normalizer_params={'decay':"
                " 0.9, 'scale': True, 'is_training': True}, "
                "biases_regularizer=slim.l1_regularizer(0.1))"
            ),
            "conv2d_batch_norm_infer": (
                "slim.conv2d(x, 4, [1, 3], normalizer_fn=slim.batch_norm, "
                "normalizer_params={'is_training': False}, scope='a/b')"
            ),
            "conv2d_bias_add": "slim.conv2d(x, 4, [3, 3], normalizer_fn=slim.bias_add)",
            "conv2d_frozen": "slim.conv2d(x, 4, 3, trainable=False, normalizer_fn=slim.batch_norm)",
            "conv2d_transpose": "slim.conv2d_transpose(x, 4, [3, 3])",
            "conv2d_transpose_same_2": "slim.conv2d_transpose(x, 2, [3, 3], stride=2)",
            "conv2d_transpose_same_even": "slim.conv2d_transpose(x, 2, [4, 4], stride=2, activation_fn=None)",
            "conv2d_transpose_same_small": "slim.conv2d_transpose(x, 2, [2, 1], stride=3, activation_fn=None)",
            "conv2d_transpose_valid": (
                "slim.conv2d_transpose(x, 2, [3, 3], padding='VALID', activation_fn=None)"
            ),
            "conv2d_transpose_valid_2": "slim.conv2d_transpose(x, 2, [4, 3], stride=2, padding='VALID')",
            "conv2d_transpose_valid_small": (
                "slim.conv2d_transpose(x, 2, [1, 2], stride=[2, 3], padding='VALID', "
                "activation_fn=None)"
            ),
            "conv2d_transpose_regularizers": (
                "slim.conv2d_transpose(x, 2, 3, biases_initializer=None, "
                "weights_regularizer=slim.l2_regularizer(0.1), scope='up')"
            ),
            "conv2d_transpose_batch_norm": (
                "slim.conv2d_transpose(x, 3, 3, stride=2, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'scale': True})"
            ),
        },
    ),
    (
        IMAGES,
        {
            "convolution_2d": (
                "slim.convolution(x, 4, [3, 2], stride=[2, 1], data_format='NHWC', scope='c', "
                "weights_regularizer=slim.l2_regularizer(0.1))"
            ),
            "convolution_conv_dims": "slim.convolution(x, 2, 3, rate=2, padding='VALID', conv_dims=2)",
            "convolutions_by_turns": (
                "y = slim.conv2d(slim.convolution(x, 4, 3), 3, 1, activation_fn=tanh)"
            ),
            "conv2d_explicit": (
                "slim.conv2d(x, 4, 3, padding=[(1, 0), (2, 3)], activation_fn=None)",
                "slim.conv2d(tf.pad(x, [(0, 0), (1, 0), (2, 3), (0, 0)]), 4, 3, padding='VALID', "
                "activation_fn=None)",
            ),
            "conv2d_explicit_strides": (
                "slim.conv2d(x, 4, 3, stride=2, padding=((1, 1), (1, 1)), activation_fn=None)",
                "slim.conv2d(tf.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]), 4, 3, stride=2, "
                "padding='VALID', activation_fn=None)",
            ),
            "conv2d_explicit_1x1": (
                "slim.conv2d(x, 4, 1, stride=2, padding=[[1, 0], [0, 2]], activation_fn=None)",
                "slim.conv2d(tf.pad(x, [(0, 0), (1, 0), (0, 2), (0, 0)]), 4, 1, stride=2, "
                "padding='VALID', activation_fn=None)",
            ),
            "conv2d_explicit_rate": (
                "slim.conv2d(x, 2, 2, rate=[3, 2], padding=[(2, 1), (0, 3)])",
                "slim.conv2d(tf.pad(x, [(0, 0), (2, 1), (0, 3), (0, 0)]), 2, 2, rate=[3, 2], "
                "padding='VALID')",
            ),
        },
    ),
    (
        CHANNELS_FIRST,
        {
            "conv2d_channels_first": "slim.conv2d(x, 4, [3, 2], stride=2, data_format='NCHW', scope='c')",
            "conv2d_channels_first_rate": (
                "slim.conv2d(x, 4, [2, 2], rate=2, padding='VALID', data_format='NCHW', "
                "activation_fn=None)"
            ),
            "conv2d_transpose_channels_first": "slim.conv2d_transpose(x, 2, [3, 2], stride=2, data_format='NCHW')",
        },
    ),
]
