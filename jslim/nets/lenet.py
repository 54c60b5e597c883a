"""LeNet for small grey images, as TF-Slim trains it on MNIST.

    with slim.arg_scope(lenet.lenet_arg_scope()):
        logits, end_points = lenet.lenet(images)

A larger variant of LeNet-5 of LeCun et al. (1998),
http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf.
"""

import jax

from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.core.scopes import variable_scope
from jslim.initializers import truncated_normal_initializer
from jslim.layers import conv2d, dropout, flatten, fully_connected, max_pool2d, softmax
from jslim.nets._common import EndPoints, Function, Outputs, check_images, with_image_size
from jslim.regularizers import l2_regularizer


def lenet_arg_scope(weight_decay: float = 0.0) -> ArgScope:
    """The defaults of LeNet: initial weights with a standard deviation of 0.1, L2 on all weights.

    Args:
      weight_decay: Scale of the L2 penalty; 0.0 for none.

    Returns:
      A scope for `slim.arg_scope`.
    """
    with arg_scope(
        [conv2d, fully_connected],
        weights_regularizer=l2_regularizer(weight_decay),
        weights_initializer=truncated_normal_initializer(stddev=0.1),
        activation_fn=jax.nn.relu,
    ) as scope:
        return scope


@with_image_size(28)
def lenet(
    images: jax.Array,
    num_classes: int | None = 10,
    is_training: bool = False,
    dropout_keep_prob: float = 0.5,
    prediction_fn: Function = softmax,
    scope: str = "LeNet",
) -> Outputs:
    """Two 5x5 convolutions with pooling, and two fully connected layers.

    Args:
      images: `[batch, height, width, channels]`, 4x4 pixels or more. The variables of `fc3`
        depend on height and width.
      num_classes: Number of logits; None or 0 for the features `fc3` before dropout.
      is_training: Whether to drop features.

    Returns:
      The logits, `[batch, num_classes]`, or the features, `[batch, 1024]`; and the end points
      conv1, pool1, conv2, pool2, Flatten, fc3, dropout3, Logits, Predictions as a dict.

    Raises:
      ValueError: The images are not a batch, or too small.

    >>> import jslim as slim
    >>> images = jax.numpy.zeros((1, 28, 28, 1))
    >>> variables = jax.eval_shape(slim.Model(lenet).init, jax.random.key(0), images)
    >>> sum(leaf.size for leaf in jax.tree.leaves(variables))
    3274634
    """
    check_images(images, "lenet", 4)
    end_points: EndPoints = {}
    with variable_scope(scope, "LeNet"):
        net = end_points["conv1"] = conv2d(images, 32, [5, 5], scope="conv1")
        net = end_points["pool1"] = max_pool2d(net, [2, 2], 2, scope="pool1")
        net = end_points["conv2"] = conv2d(net, 64, [5, 5], scope="conv2")
        net = end_points["pool2"] = max_pool2d(net, [2, 2], 2, scope="pool2")
        net = end_points["Flatten"] = flatten(net)
        net = end_points["fc3"] = fully_connected(net, 1024, scope="fc3")
        if not num_classes:
            return net, end_points
        net = end_points["dropout3"] = dropout(
            net, dropout_keep_prob, is_training=is_training, scope="dropout3"
        )
        logits = end_points["Logits"] = fully_connected(
            net, num_classes, activation_fn=None, scope="fc4"
        )
    end_points["Predictions"] = prediction_fn(logits, scope="Predictions")
    return logits, end_points
