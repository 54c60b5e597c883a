"""A network of one's own in `train.py` and all other programs, with all of their flags.

    python examples/own_network.py train --model_name=digit_net --dataset_name=digits \\
        --train_dir=runs/own --batch_size=64 --learning_rate=0.05 --max_number_of_steps=300
    python examples/own_network.py eval --dataset_name=digits --checkpoint_path=runs/own
    python examples/own_network.py predict --checkpoint_path=runs/own digit.png

This is the command `jslim` with one more row in its table of networks. `jslim` itself does not have
that row: where a run names commands to go on with, call this script. For `slim.load` import it.
"""

import sys

import jslim as slim
from jslim.nets import nets_factory


def digit_net_arg_scope(weight_decay=0.0005):
    """The defaults of the network's layers; --weight_decay gives the argument."""
    with slim.arg_scope(
        [slim.conv2d, slim.fully_connected],
        weights_regularizer=slim.l2_regularizer(weight_decay),
        normalizer_fn=slim.batch_norm,
    ) as scope:
        return scope


def digit_net(images, num_classes=10, is_training=True, scope="DigitNet"):
    """Two convolutions and a classifier. Returns the logits, and the end points by name."""
    end_points = {}
    with (
        slim.variable_scope(scope, "DigitNet"),
        slim.arg_scope([slim.batch_norm, slim.dropout], is_training=is_training),
    ):
        net = end_points["conv1"] = slim.conv2d(images, 16, [3, 3], scope="conv1")
        net = end_points["conv2"] = slim.conv2d(net, 32, [3, 3], stride=2, scope="conv2")
        net = slim.dropout(slim.flatten(net), 0.8, scope="dropout2")
        logits = end_points["Logits"] = slim.fully_connected(
            net, num_classes, activation_fn=None, normalizer_fn=None, scope="logits"
        )
    end_points["Predictions"] = slim.softmax(logits)
    return logits, end_points


digit_net.default_image_size = 8
nets_factory.NETWORKS["digit_net"] = nets_factory.Network(
    digit_net,
    digit_net_arg_scope,
    preprocessing="lenet",
    label_offset=0,
    head=("DigitNet/logits",),  # left out where other classes are learned
)

if __name__ == "__main__":
    from jslim.cli.main import main

    sys.exit(main())
