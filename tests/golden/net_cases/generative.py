"""The generative networks of research/slim, with the random numbers of pix2pix left out."""

import functools

from nets import cyclegan, dcgan, pix2pix
from oracle import slim, tf

# Every block of pix2pix without dropout, by both ways to say so.
BLOCKS = [pix2pix.Block(6, 1.0), pix2pix.Block(8, 0), pix2pix.Block(10, 0)]


def cyclegan_generator(scope_arguments=(), method=None, align_corners=False, **kwargs):
    arguments = dict(scope_arguments)
    if method:
        kwargs["upsample_fn"] = functools.partial(
            cyclegan.cyclegan_upsample, method=method, align_corners=align_corners
        )

    def build(images, num_classes, is_training):
        del num_classes
        return cyclegan.cyclegan_generator_resnet(
            images,
            functools.partial(cyclegan.cyclegan_arg_scope, **arguments),
            is_training=is_training,
            **kwargs,
        )

    return build


def enlarge(**kwargs):
    """`cyclegan_upsample` alone."""

    def build(images, num_classes, is_training):
        del is_training
        with slim.arg_scope(cyclegan.cyclegan_arg_scope()):
            net = cyclegan.cyclegan_upsample(images, num_classes, **kwargs)
        return net, {"upsampled": net}

    return build


def dcgan_network(name, **kwargs):
    """A network under defaults that move the statistics."""

    def build(inputs, num_classes, is_training):
        del num_classes
        with slim.arg_scope([slim.batch_norm], decay=0.9):
            return getattr(dcgan, name)(inputs, is_training=is_training, **kwargs)

    return build


def pix2pix_generator(**kwargs):
    def build(images, num_classes, is_training):
        with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
            return pix2pix.pix2pix_generator(images, num_classes, is_training=is_training, **kwargs)

    return build


def pix2pix_discriminator(num_filters, **kwargs):
    def build(images, num_classes, is_training):
        del num_classes
        with slim.arg_scope(pix2pix.pix2pix_arg_scope()):
            return pix2pix.pix2pix_discriminator(
                images, num_filters, is_training=is_training, **kwargs
            )

    return build


def trained(build, rows, dtype=tf.float64):
    """The network with decay and a loss: the tanh of all that it puts out as `rows` rows of logits.

    Without the tanh a bias that all of them share would have no gradient.
    """

    def build_rows(inputs, *arguments):
        layers = [slim.conv2d, slim.conv2d_transpose]
        with slim.arg_scope(layers, weights_regularizer=slim.l2_regularizer(0.01)):
            outputs, end_points = build(tf.cast(inputs, dtype), *arguments)
        size = outputs.shape.num_elements()
        return tf.reshape(tf.tanh(outputs), [rows, size // rows]), end_points

    return build_rows


FILTERS = [64, 128, 256, 512]
TREES = {
    f"generative/{name}": case
    for name, case in {
        "cyclegan_6": (cyclegan_generator({"weight_decay": 0.1}), (1, 256, 256, 3), None),
        "cyclegan_9": (
            cyclegan_generator({"weight_decay": 0.1}, num_resnet_blocks=9),
            (1, 256, 256, 3),
            None,
        ),
        "dcgan_discriminator": (dcgan_network("discriminator"), (1, 32, 32, 3), None),
        "dcgan_generator": (dcgan_network("generator"), (1, 100), None),
        "pix2pix_generator": (pix2pix_generator(), (1, 256, 256, 3), 3),
        "pix2pix_discriminator": (pix2pix_discriminator(FILTERS), (1, 256, 256, 6), None),
    }.items()
}

SMALL = {"num_filters": 4, "num_resnet_blocks": 2}
VALUES = {
    "cyclegan": (cyclegan_generator(**SMALL), (2, 12, 16, 3), None, False),
    "cyclegan_nearest": (
        cyclegan_generator(
            {"instance_norm_center": False, "instance_norm_epsilon": 0.1},
            "nn_upsample_conv",
            kernel_size=[4, 1],
            tanh_linear_slope=0.5,
            **SMALL,
        ),
        (1, 16, 8, 2),
        None,
        False,
    ),
    "cyclegan_train": (
        trained(
            cyclegan_generator({"instance_norm_scale": False, "weight_decay": 0.01}, **SMALL), 2
        ),
        (2, 16, 12, 3),
        None,
        True,
    ),
    # TensorFlow's bilinear resizing gives float32.
    "cyclegan_bilinear_train": (
        trained(
            cyclegan_generator(method="bilinear_upsample_conv", num_filters=4, num_resnet_blocks=0),
            2,
            tf.float32,
        ),
        (2, 16, 12, 3),
        None,
        True,
    ),
    "cyclegan_upsample": (
        enlarge(stride=[3, 2], method="bilinear_upsample_conv", pad_mode="SYMMETRIC"),
        (1, 5, 4, 3),
        3,
        False,
    ),
    "cyclegan_upsample_aligned": (
        enlarge(stride=[2, 3], method="bilinear_upsample_conv", align_corners=True),
        (1, 5, 4, 3),
        3,
        False,
    ),
    "cyclegan_upsample_constant": (
        enlarge(stride=[2, 3], method="nn_upsample_conv", pad_mode="CONSTANT"),
        (1, 5, 4, 3),
        3,
        False,
    ),
    "cyclegan_upsample_transposed": (enlarge(stride=[3, 2]), (1, 5, 4, 3), 3, False),
    "dcgan_discriminator": (
        dcgan_network("discriminator", depth=4),
        (2, 16, 16, 3),
        None,
        False,
    ),
    "dcgan_generator": (
        dcgan_network("generator", depth=4, final_size=8, num_outputs=2),
        (3, 7),
        None,
        False,
    ),
    "dcgan_discriminator_train": (
        trained(dcgan_network("discriminator", depth=4), 2),
        (6, 16, 16, 3),
        None,
        True,
    ),
    "dcgan_generator_train": (
        trained(dcgan_network("generator", depth=4, final_size=16), 4),
        (4, 7),
        None,
        True,
    ),
    "pix2pix_generator": (pix2pix_generator(blocks=BLOCKS), (2, 16, 24, 3), 5, False),
    "pix2pix_generator_transposed_train": (
        trained(pix2pix_generator(blocks=BLOCKS, upsample_method="conv2d_transpose"), 2),
        (2, 24, 16, 3),
        2,
        True,
    ),
    "pix2pix_generator_train": (
        trained(pix2pix_generator(blocks=BLOCKS), 2),
        (2, 16, 16, 3),
        2,
        True,
    ),
    "pix2pix_discriminator": (
        pix2pix_discriminator([4, 6, 8]),
        (2, 20, 17, 4),
        None,
        False,
    ),
    "pix2pix_discriminator_constant": (
        pix2pix_discriminator([4, 6], padding=1, pad_mode="CONSTANT", activation_fn=tf.nn.elu),
        (1, 12, 9, 4),
        None,
        False,
    ),
    "pix2pix_discriminator_unpadded": (
        pix2pix_discriminator([4, 6], padding=0),
        (1, 24, 25, 4),
        None,
        False,
    ),
    "pix2pix_discriminator_train": (
        trained(pix2pix_discriminator([4, 6, 8], pad_mode="SYMMETRIC"), 2),
        (2, 20, 17, 4),
        None,
        True,
    ),
}
