"""Pools."""

WAVES = {"x": (2, 7, 3)}
IMAGES = {"x": (2, 5, 6, 3)}
VOLUMES = {"x": (2, 4, 5, 3, 2)}
CHANNELS_FIRST = {"x": (2, 3, 5, 6)}

CASES = [
    (
        IMAGES,
        {
            "avg_pool2d": "slim.avg_pool2d(x, [2, 2])",
            "avg_pool2d_same": "slim.avg_pool2d(x, [3, 3], padding='SAME')",
            "avg_pool2d_same_stride_1": "slim.avg_pool2d(x, 3, stride=1, padding='same')",
            "avg_pool2d_pair": "slim.avg_pool2d(x, [3, 2], stride=[1, 3], scope='pool')",
            "max_pool2d": "slim.max_pool2d(x, [2, 2])",
            "max_pool2d_same": "slim.max_pool2d(x, [3, 3], padding='SAME')",
            "max_pool2d_same_stride_1": "slim.max_pool2d(x, 2, stride=1, padding='SAME')",
            "max_pool2d_pair": "slim.max_pool2d(x, [3, 2], stride=[1, 3], scope='pool')",
        },
    ),
    (
        WAVES,
        {
            "pool_waves_max": "slim.pool(x, 2, 'MAX')",
            "pool_waves_avg": "slim.pool(x, [3], 'AVG', padding='SAME', stride=2, scope='p')",
            "pool_waves_dilation_max": "slim.pool(x, 3, 'MAX', dilation_rate=2)",
            "pool_waves_dilation_avg": "slim.pool(x, 2, 'AVG', data_format='NWC', dilation_rate=[3])",
            "pool_waves_dilation_same_max": (
                "slim.pool(x, 3, 'MAX', padding='SAME', dilation_rate=2)",
                "y = slim.pool(tf.pad(x, [(0, 0), (2, 2), (0, 0)], constant_values=-9.), 3, 'MAX', dilation_rate=2)",
            ),
            "pool_waves_dilation_same_avg": (
                "slim.pool(x, 3, 'AVG', padding='SAME', dilation_rate=2)",
                "y = slim.pool(tf.pad(x, [(0, 0), (2, 2), (0, 0)]), 3, 'AVG', dilation_rate=2) / slim.pool(tf.pad(tf.ones_like(x), [(0, 0), (2, 2), (0, 0)]), 3, 'AVG', dilation_rate=2)",
            ),
            "pool_waves_explicit_max": (
                "slim.pool(x, 3, 'MAX', padding=[(2, 1)], stride=2)",
                "y = slim.pool(tf.pad(x, [(0, 0), (2, 1), (0, 0)], constant_values=-9.), 3, 'MAX', stride=2)",
            ),
            "pool_waves_explicit_avg": (
                "slim.pool(x, 3, 'AVG', padding=[(2, 1)], stride=2)",
                "y = slim.pool(tf.pad(x, [(0, 0), (2, 1), (0, 0)]), 3, 'AVG', stride=2) / slim.pool(tf.pad(tf.ones_like(x), [(0, 0), (2, 1), (0, 0)]), 3, 'AVG', stride=2)",
            ),
            "pool_waves_channels_first": "slim.pool(x, 2, 'MAX', padding='SAME', data_format='NCW', stride=2)",
        },
    ),
    (
        IMAGES,
        {
            "pool_images_max": "slim.pool(x, [3, 2], 'MAX', padding='SAME', stride=[1, 2])",
            "pool_images_avg": "slim.pool(x, [3, 2], 'AVG', stride=2)",
            "pool_images_dilation_max": "slim.pool(x, 2, 'MAX', dilation_rate=[2, 3])",
            "pool_images_dilation_avg": "slim.pool(x, [2, 3], 'AVG', dilation_rate=[3, 1])",
            "max_pool2d_explicit": (
                "slim.max_pool2d(x, 3, padding=[(1, 0), (1, 1)])",
                "y = slim.max_pool2d(tf.pad(x, [(0, 0), (1, 0), (1, 1), (0, 0)], constant_values=-9.), 3)",
            ),
            "avg_pool2d_explicit": (
                "slim.avg_pool2d(x, 3, padding=[(1, 0), (1, 1)])",
                "y = slim.avg_pool2d(tf.pad(x, [(0, 0), (1, 0), (1, 1), (0, 0)]), 3) / slim.avg_pool2d(tf.pad(tf.ones_like(x), [(0, 0), (1, 0), (1, 1), (0, 0)]), 3)",
            ),
        },
    ),
    (
        VOLUMES,
        {
            "avg_pool3d": "slim.avg_pool3d(x, 2)",
            "avg_pool3d_same": "slim.avg_pool3d(x, 3, padding='SAME')",
            "avg_pool3d_triple": "slim.avg_pool3d(x, [2, 3, 1], stride=[1, 2, 3], padding='SAME', scope='p')",
            "avg_pool3d_large": "slim.avg_pool3d(x, [4, 5, 3])",
            "max_pool3d": "slim.max_pool3d(x, 2)",
            "max_pool3d_same": "slim.max_pool3d(x, 3, padding='SAME')",
            "max_pool3d_triple": "slim.max_pool3d(x, [2, 3, 1], stride=[1, 2, 3], padding='same', scope='p')",
            "avg_pool3d_explicit": (
                "slim.avg_pool3d(x, 2, padding=[(1, 0), (0, 1), (1, 1)])",
                "y = slim.avg_pool3d(tf.pad(x, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 0)]), 2) / slim.avg_pool3d(tf.pad(tf.ones_like(x), [(0, 0), (1, 0), (0, 1), (1, 1), (0, 0)]), 2)",
            ),
            "max_pool3d_explicit": (
                "slim.max_pool3d(x, 2, padding=[(1, 0), (0, 1), (1, 1)])",
                "y = slim.max_pool3d(tf.pad(x, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 0)], constant_values=-9.), 2)",
            ),
            "pool_volumes_max": "slim.pool(x, 2, 'MAX', padding='SAME')",
            "pool_volumes_avg": "slim.pool(x, [2, 3, 2], 'AVG', stride=[2, 1, 1])",
            "pool_volumes_dilation": "slim.pool(x, 2, 'AVG', dilation_rate=[2, 3, 1])",
            "max_pool3d_channels_first": "slim.max_pool3d(x, [3, 2, 2], padding='SAME', data_format='NCDHW')",
            "avg_pool3d_channels_first": "slim.avg_pool3d(x, [2, 3, 2], padding='SAME', data_format='NCDHW')",
            "pool_channels_first": "slim.pool(x, 2, 'AVG', data_format='NCDHW', stride=2)",
        },
    ),
    (
        CHANNELS_FIRST,
        {
            "avg_pool2d_channels_first": "slim.avg_pool2d(x, [3, 2], padding='SAME', data_format='NCHW')",
            "max_pool2d_channels_first": "slim.max_pool2d(x, [3, 2], data_format='NCHW')",
        },
    ),
]
