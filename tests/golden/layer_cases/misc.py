"""Layers without variables."""

IMAGES = {"x": (2, 5, 6, 3)}
ROWS = {"x": (6, 3)}
SEQUENCE = {"x": (3, 4, 3)}

CASES = [
    (
        IMAGES,
        {
            "flatten_images": "slim.flatten(x)",
            "softmax_images": "slim.softmax(x)",
            "dropout_infer": "slim.dropout(x, 0.25, is_training=False)",
        },
    ),
    (
        ROWS,
        {
            "flatten_rows": "slim.flatten(x)",
            "softmax": "slim.softmax(x)",
        },
    ),
    (
        SEQUENCE,
        {
            "flatten_sequence": "slim.flatten(x)",
            "softmax_sequence": "slim.softmax(x)",
        },
    ),
    (
        {"x": (4,)},
        {
            "flatten_vector": "slim.flatten(x)",
        },
    ),
    (
        {"labels": [0, 3, 1, 1]},
        {
            "one_hot_encoding": "slim.one_hot_encoding(labels, 4)",
        },
    ),
    (
        {"labels": [2, 0]},
        {
            "one_hot_encoding_values": "slim.one_hot_encoding(labels, 3, on_value=0.9, off_value=0.05)",
        },
    ),
    (
        {"labels": [-1, 3, 2]},
        {
            "one_hot_encoding_out_of_range": "slim.one_hot_encoding(labels, 3)",
        },
    ),
    (
        {"labels": [[0, 1], [2, 2]]},
        {
            "one_hot_encoding_matrix": "slim.one_hot_encoding(labels, 3)",
        },
    ),
]
