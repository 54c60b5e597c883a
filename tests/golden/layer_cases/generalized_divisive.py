"""Generalized divisive normalization."""

import oracle

# TF-Slim 1.1 has this gradient but leaves it unregistered, so that training with gdn fails.
oracle.tf.RegisterGradient("GDNLowerBound")(oracle.slim.GDN._lower_bound_grad)

CASES = [
    (
        {"x": (2, 4, 3, 4)},
        {
            "gdn": "slim.gdn(x)",
            "gdn_inverse": "slim.gdn(x, inverse=True, name='g')",
            "gdn_beta_min": "slim.gdn(x, beta_min=0.01, gamma_init=0.4)",
            "gdn_offset": "slim.gdn(x, reparam_offset=0.2)",
            "gdn_channels_first": "slim.gdn(x, data_format='channels_first')",
            "gdn_frozen": "slim.gdn(x, trainable=False)",
            "gdn_regularizer": "slim.gdn(x, activity_regularizer=slim.l2_regularizer(0.3))",
            "gdn_object": "slim.GDN(inverse=True, gamma_init=0.2, name='g')(x)",
        },
    ),
    (
        {"x": (3, 4, 2)},
        {
            "gdn_sequence": "slim.gdn(x)",
            "gdn_sequence_channels_first": "slim.gdn(x, data_format='channels_first')",
        },
    ),
    (
        {"x": (2, 2, 3, 2, 2)},
        {
            "gdn_volumes": "slim.gdn(x)",
        },
    ),
]
