"""Pools."""

IMAGES = {"x": (2, 5, 6, 3)}
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
        CHANNELS_FIRST,
        {
            "avg_pool2d_channels_first": "slim.avg_pool2d(x, [3, 2], padding='SAME', data_format='NCHW')",
            "max_pool2d_channels_first": "slim.max_pool2d(x, [3, 2], data_format='NCHW')",
        },
    ),
]
