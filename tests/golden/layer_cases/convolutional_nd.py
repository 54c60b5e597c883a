"""Convolutions of sequences and volumes, ordinary and transposed."""

WAVES = {"x": (2, 7, 3)}
VOLUMES = {"x": (2, 4, 5, 3, 2)}

CASES = [
    (
        WAVES,
        {
            "conv1d": "slim.conv1d(x, 4, 3)",
            "conv1d_strides": "slim.conv1d(x, 4, [3], stride=2, activation_fn=None, scope='wave')",
            "conv1d_even_kernel_strides": "slim.conv1d(x, 4, 4, stride=3, activation_fn=tanh)",
            "conv1d_valid": "slim.conv1d(x, 2, 2, padding='VALID', data_format='NWC')",
            "conv1d_1": "slim.conv1d(x, 4, 1, stride=2, activation_fn=None)",
            "conv1d_rate": "slim.conv1d(x, 4, 3, rate=2)",
            "conv1d_rate_valid": "slim.conv1d(x, 4, 3, padding='VALID', rate=[3], activation_fn=None)",
            "conv1d_regularizers": (
                "slim.conv1d(x, 4, 3, weights_regularizer=slim.l1_regularizer(0.01), "
                "biases_regularizer=slim.l2_regularizer(0.1))"
            ),
            "conv1d_no_biases": "slim.conv1d(x, 4, 3, biases_initializer=None, trainable=False)",
            "conv1d_batch_norm": (
                "slim.conv1d(x, 4, 3, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'scale': True, 'decay': 0.8})"
            ),
            "convolution_1d": "slim.convolution(x, 4, 2, stride=2, activation_fn=tanh)",
            "conv1d_explicit": (
                "slim.conv1d(x, 4, 3, stride=2, padding=[(2, 1)])",
                "slim.conv1d(tf.pad(x, [(0, 0), (2, 1), (0, 0)]), 4, 3, stride=2, padding='VALID')",
            ),
            "conv1d_channels_first": (
                "slim.conv1d(x, 4, 3, stride=2, data_format='NCW', activation_fn=None)"
            ),
            "conv1d_channels_first_rate": (
                "slim.convolution1d(x, 2, 2, padding='VALID', data_format='NCW', rate=2)"
            ),
        },
    ),
    (
        VOLUMES,
        {
            "conv3d": "slim.conv3d(x, 3, 3)",
            "conv3d_strides": "slim.conv3d(x, 3, [3, 2, 1], stride=[1, 2, 3], activation_fn=None)",
            "conv3d_valid": "slim.conv3d(x, 3, 2, stride=2, padding='VALID', scope='a/b')",
            "conv3d_1x1x1": "slim.conv3d(x, 3, [1, 1, 1], activation_fn=tanh)",
            "conv3d_1x1x1_strides": "slim.conv3d(x, 3, 1, stride=2, activation_fn=None)",
            "conv3d_rate": "slim.conv3d(x, 3, 2, rate=[2, 3, 1], activation_fn=None)",
            "conv3d_regularizers": (
                "slim.conv3d(x, 3, 2, weights_regularizer=slim.l2_regularizer(0.01), "
                "biases_regularizer=slim.l1_regularizer(0.1))"
            ),
            "conv3d_no_biases": "slim.conv3d(x, 3, 2, biases_initializer=None, activation_fn=None)",
            "conv3d_batch_norm": (
                "slim.conv3d(x, 3, 2, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'is_training': False, 'scale': True})"
            ),
            "conv3d_frozen": "slim.conv3d(x, 3, 2, trainable=False)",
            "convolution_3d": "slim.convolution(x, 3, [1, 3, 3], data_format='NDHWC')",
            "conv3d_explicit": (
                "slim.conv3d(x, 3, 2, stride=2, padding=[(1, 0), (0, 1), (1, 1)])",
                "slim.conv3d(tf.pad(x, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 0)]), 3, 2, stride=2, "
                "padding='VALID')",
            ),
            "conv3d_channels_first": (
                "slim.conv3d(x, 3, [2, 3, 1], stride=2, data_format='NCDHW', activation_fn=None)"
            ),
            "convolution_channels_first": (
                "slim.convolution(x, 3, 2, data_format='NCDHW', biases_regularizer="
                "slim.l2_regularizer(0.1))"
            ),
            "conv3d_transpose": "slim.conv3d_transpose(x, 2, 3)",
            "conv3d_transpose_same_2": (
                "slim.conv3d_transpose(x, 2, [3, 2, 4], stride=2, activation_fn=None)"
            ),
            "conv3d_transpose_same_small": (
                "slim.conv3d_transpose(x, 2, [2, 1, 3], stride=[3, 2, 1], activation_fn=None)"
            ),
            "conv3d_transpose_valid": (
                "slim.conv3d_transpose(x, 2, [3, 1, 2], stride=[2, 2, 1], padding='VALID', "
                "activation_fn=tanh)"
            ),
            "conv3d_transpose_regularizers": (
                "slim.conv3d_transpose(x, 2, 2, weights_regularizer=slim.l2_regularizer(0.1), "
                "biases_regularizer=slim.l1_regularizer(0.1), scope='up')"
            ),
            "conv3d_transpose_batch_norm": (
                "slim.conv3d_transpose(x, 2, 2, stride=2, normalizer_fn=slim.batch_norm, "
                "normalizer_params={'is_training': False})"
            ),
            "conv3d_transpose_no_biases": (
                "slim.conv3d_transpose(x, 2, 2, biases_initializer=None, trainable=False)"
            ),
            "conv3d_transpose_channels_first": (
                "slim.conv3d_transpose(x, 2, [3, 2, 1], stride=2, data_format='NCDHW')"
            ),
        },
    ),
]
