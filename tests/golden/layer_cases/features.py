"""Layers that rework features, and images as sequences."""

IMAGES = {"x": (2, 5, 6, 4)}
ROWS = {"x": (6, 12)}

CASES = [
    (
        ROWS,
        {
            "maxout": "slim.maxout(x, 4)",
            "maxout_last_axis": "slim.maxout(x, 3, axis=1, scope='max')",
            "poincare_normalize": (
                "slim.poincare_normalize(x, epsilon=0.1)",
                "slim.layers.poincare_normalize(x, epsilon=0.1)",
            ),
            "poincare_normalize_axis": (
                "slim.poincare_normalize(x, axis=0)",
                "slim.layers.poincare_normalize(x, axis=0)",
            ),
            "scale_gradient": "slim.scale_gradient(x, 0.3)",
            "scale_gradient_reversed": "slim.scale_gradient(x * x, -2.0)",
            "bucketize": "slim.bucketize(4.0 * x, [-1.5, 0.0, 0.0, 2.0])",
        },
    ),
    (
        {"x": [[-5, 0, 3], [10, 150, 100]]},
        {"bucketize_integers": "slim.bucketize(x, [0, 10, 100])"},
    ),
    (
        IMAGES,
        {
            "maxout_images": "slim.maxout(x, 2)",
            "maxout_rows_of_images": (
                "slim.maxout(x, 3, axis=2)",
                "tf.reduce_max(tf.reshape(x, [2, 5, 3, 2, 4]), 3)",
            ),
            "spatial_softmax": "slim.spatial_softmax(x)",
            "spatial_softmax_temperature": (
                "slim.spatial_softmax(5.0 * x, temperature=0.5, name='where')"
            ),
            "spatial_softmax_frozen": "slim.spatial_softmax(x, 2.0, trainable=False)",
            "spatial_softmax_nchw": "slim.spatial_softmax(x, data_format='NCHW')",
            "images_to_sequence": "slim.images_to_sequence(x)",
            "images_to_sequence_nchw": "slim.images_to_sequence(x, data_format='NCHW')",
        },
    ),
    (
        {"x": (6, 10, 4)},
        {
            "sequence_to_images": "slim.sequence_to_images(x, 5)",
            "sequence_to_images_first": (
                "slim.sequence_to_images(x, 2, output_data_format='channels_first')"
            ),
        },
    ),
    (
        {"x": [[7, 0, 5], [0, 0, 0], [0, 3, 0]]},
        {
            "dense_to_sparse": (
                "s = slim.dense_to_sparse(x); y = (s.data[:3], s.indices[:3])",
                "s = slim.dense_to_sparse(x); y = (s.values, tf.cast(s.indices, tf.int32))",
            ),
            "dense_to_sparse_token": (
                "s = slim.dense_to_sparse(x, eos_token=7); y = (s.data[:8], s.indices[:8])",
                "s = slim.dense_to_sparse(x, eos_token=7); "
                "y = (s.values, tf.cast(s.indices, tf.int32))",
            ),
            "indicators_to_sparse_ids": (
                "s = slim.layers.sparse_ops.indicators_to_sparse_ids(x); "
                "y = (s.data[:3], s.indices[:3])",
                "s = __import__('tf_slim.layers.sparse_ops', fromlist=['*']).indicators_to_sparse_ids(x); "
                "y = (tf.cast(s.values, tf.int32), tf.cast(s.indices, tf.int32))",
            ),
            "sparse_row_envelope": (
                "slim.layers.sparse_ops.sparse_row_envelope(slim.dense_to_sparse(x))",
                "tf.cast(__import__('tf_slim.layers.sparse_ops', fromlist=['*']).sparse_row_envelope("
                "slim.dense_to_sparse(x)), tf.int32)",
            ),
            "sparse_column_envelope": (
                "slim.layers.sparse_ops.sparse_row_envelope(slim.dense_to_sparse(x), 1, 0)",
                "tf.cast(__import__('tf_slim.layers.sparse_ops', fromlist=['*']).sparse_row_envelope("
                "slim.dense_to_sparse(x), 1, 0), tf.int32)",
            ),
        },
    ),
]
