"""LeNet, CifarNet, AlexNet, OverFeat and VGG.

AlexNet, OverFeat and VGG are TF-Slim's own; LeNet, CifarNet and the variants that TF-Slim's
package lacks are put together here from its layers.
"""

from oracle import slim, tf
from tf_slim.nets import alexnet, overfeat, vgg


def truncated_normal(stddev):
    return tf.truncated_normal_initializer(stddev=stddev)


def lenet(images, num_classes, is_training, weight_decay=0.0):
    points = {}
    common = {
        "weights_regularizer": slim.l2_regularizer(weight_decay),
        "weights_initializer": truncated_normal(0.1),
    }
    with tf.variable_scope("LeNet"), slim.arg_scope([slim.conv2d, slim.fully_connected], **common):
        net = images
        for index, depth in ((1, 32), (2, 64)):
            net = points[f"conv{index}"] = slim.conv2d(net, depth, 5, scope=f"conv{index}")
            net = points[f"pool{index}"] = slim.max_pool2d(net, 2, scope=f"pool{index}")
        net = points["Flatten"] = slim.flatten(net)
        net = points["fc3"] = slim.fully_connected(net, 1024, scope="fc3")
        net = points["dropout3"] = slim.dropout(net, 1.0, is_training=is_training)
        net = slim.fully_connected(net, num_classes, activation_fn=None, scope="fc4")
    points["Logits"], points["Predictions"] = net, tf.nn.softmax(net)
    return net, points


def cifarnet(images, num_classes, is_training, weight_decay=0.004):
    points = {}
    dense = {
        "weights_regularizer": slim.l2_regularizer(weight_decay),
        "weights_initializer": truncated_normal(0.04),
        "biases_initializer": tf.constant_initializer(0.1),
    }

    def normalize(net):
        return tf.nn.lrn(net, depth_radius=4, bias=1.0, alpha=0.001 / 9, beta=0.75)

    with tf.variable_scope("CifarNet"), slim.arg_scope([slim.fully_connected], **dense):
        net = points["conv1"] = slim.conv2d(images, 64, 5, scope="conv1")
        net = points["pool1"] = slim.max_pool2d(net, 2, scope="pool1")
        net = points["conv2"] = slim.conv2d(normalize(net), 64, 5, scope="conv2")
        net = points["pool2"] = slim.max_pool2d(normalize(net), 2, scope="pool2")
        net = points["Flatten"] = slim.flatten(net)
        net = points["fc3"] = slim.fully_connected(net, 384, scope="fc3")
        net = points["fc4"] = slim.fully_connected(net, 192, scope="fc4")
        net = slim.fully_connected(
            net,
            num_classes,
            activation_fn=None,
            weights_initializer=truncated_normal(1 / 192),
            weights_regularizer=None,
            biases_initializer=tf.zeros_initializer(),
            scope="logits",
        )
    points["Logits"], points["Predictions"] = net, tf.nn.softmax(net)
    return net, points


def packaged(function, scope):
    """A network of TF-Slim's package, under its own arg_scope and without dropout."""

    def build(images, num_classes, is_training):
        with slim.arg_scope(scope()):
            return function(images, num_classes, is_training, dropout_keep_prob=1.0)

    return build


def vgg_blocks(scope, repetitions, classes_at_any_size=False):
    """The convolutions of a VGG, and where wanted its classifier with SAME and global pooling."""

    def build(images, num_classes, is_training):
        del is_training
        net, points = images, {}
        with tf.variable_scope(scope):
            for block, (count, depth) in enumerate(
                zip(repetitions, (64, 128, 256, 512, 512), strict=True), 1
            ):
                with tf.variable_scope(f"conv{block}"):
                    for index in range(1, count + 1):
                        name = f"conv{block}_{index}"
                        net = points[f"{scope}/conv{block}/{name}"] = slim.conv2d(
                            net, depth, 3, scope=name
                        )
                net = points[f"{scope}/pool{block}"] = slim.max_pool2d(net, 2)
            if classes_at_any_size:
                net = points[f"{scope}/fc6"] = slim.conv2d(net, 4096, 7, scope="fc6")
                net = points[f"{scope}/fc7"] = slim.conv2d(net, 4096, 1, scope="fc7")
                net = points["global_pool"] = tf.reduce_mean(net, [1, 2], keepdims=True)
                net = slim.conv2d(net, num_classes, 1, activation_fn=None, scope="fc8")
                net = points[f"{scope}/fc8"] = tf.squeeze(net, [1, 2])
        return net, points

    return build


TREES = {
    "lenet": (lambda *a: lenet(*a, weight_decay=0.1), (1, 28, 28, 1), 10),
    "cifarnet": (cifarnet, (1, 32, 32, 3), 10),
    "alexnet_v2": (
        packaged(alexnet.alexnet_v2, alexnet.alexnet_v2_arg_scope),
        (1, 224, 224, 3),
        1000,
    ),
    "overfeat": (
        packaged(overfeat.overfeat, overfeat.overfeat_arg_scope),
        (1, 231, 231, 3),
        1000,
    ),
    "vgg_a": (packaged(vgg.vgg_a, vgg.vgg_arg_scope), (1, 224, 224, 3), 1000),
    "vgg_16": (packaged(vgg.vgg_16, vgg.vgg_arg_scope), (1, 224, 224, 3), 1000),
    "vgg_19": (packaged(vgg.vgg_19, vgg.vgg_arg_scope), (1, 224, 224, 3), 1000),
}

VALUES = {
    "lenet": (lenet, (2, 28, 28, 1), 10, False),
    "lenet_train": (lambda *a: lenet(*a, weight_decay=0.0005), (4, 28, 28, 1), 10, True),
    "cifarnet": (cifarnet, (2, 32, 32, 3), 10, False),
    "cifarnet_train": (cifarnet, (4, 32, 32, 3), 10, True),
    "alexnet_v2": (TREES["alexnet_v2"][0], (1, 224, 224, 3), 11, False),
    "overfeat_train": (TREES["overfeat"][0], (1, 231, 231, 3), 11, True, "conv|fc8"),
    "vgg_a": (TREES["vgg_a"][0], (1, 224, 224, 3), 11, False),
    "vgg_a_any_size": (vgg_blocks("vgg_a", (1, 1, 2, 2, 2), True), (1, 64, 96, 3), 11, False),
    "vgg_16_blocks": (vgg_blocks("vgg_16", (2, 2, 3, 3, 3)), (2, 32, 32, 3), None, False),
    "vgg_19_blocks": (vgg_blocks("vgg_19", (2, 2, 4, 4, 4)), (2, 32, 32, 3), None, False),
}
