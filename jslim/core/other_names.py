"""What Keras, Flax and PyTorch call the things of TF-Slim: for errors about unknown names."""

from collections.abc import Collection, Mapping

from jslim.core.errors import did_you_mean, nearest

# Arguments; () if nothing means the same.
ARGUMENTS: dict[str, tuple[str, ...]] = {
    "activation": ("activation_fn",),
    "axis": ("dim",),
    "bias": ("biases_initializer",),
    "bias_init": ("biases_initializer", "weight_init"),
    "bias_initializer": ("biases_initializer",),
    "bias_regularizer": ("biases_regularizer",),
    "deterministic": ("is_training",),
    "dilation": ("rate",),
    "dilation_rate": ("rate",),
    "dilations": ("rate",),
    "eps": ("epsilon",),
    "feature_group_count": (),
    "features": ("num_outputs",),
    "filters": ("num_outputs",),
    "groups": (),
    "kernel": ("kernel_size",),
    "kernel_dilation": ("rate",),
    "kernel_init": ("weights_initializer",),
    "kernel_initializer": ("weights_initializer",),
    "kernel_regularizer": ("weights_regularizer",),
    "labels": ("onehot_labels", "multi_class_labels"),
    "momentum": ("decay",),
    "name": ("scope",),
    "out_channels": ("num_outputs",),
    "out_features": ("num_outputs",),
    "p": ("keep_prob",),
    "pool_size": ("kernel_size",),
    "preds": ("predictions",),
    "rate": ("keep_prob",),
    "sample_weight": ("weights",),
    "strides": ("stride",),
    "target": ("labels", "onehot_labels", "multi_class_labels"),
    "targets": ("labels", "onehot_labels", "multi_class_labels"),
    "train": ("is_training",),
    "training": ("is_training",),
    "units": ("num_outputs",),
    "use_bias": ("biases_initializer",),
    "use_running_average": ("is_training",),
    "use_scale": ("scale",),
    "window_shape": ("kernel_size",),
    "x": ("inputs",),
    "y_pred": ("predictions", "logits"),
    "y_true": ("labels", "onehot_labels", "multi_class_labels"),
}
# What to say of an argument whose value means something else.
_OTHER_VALUES = {
    ("bias", "biases_initializer"): "None leaves the biases out",
    ("deterministic", "is_training"): "it is the opposite",
    ("p", "keep_prob"): "it is 1 minus that",
    ("rate", "keep_prob"): "it is 1 minus that",
    ("use_bias", "biases_initializer"): "None leaves the biases out",
    ("use_running_average", "is_training"): "it is the opposite",
}

# Functions and classes, by their name in lower case.
THINGS: dict[str, tuple[str, ...]] = {
    "adamoptimizer": ("adam",),
    "auc": ("streaming_auc",),
    "batchnorm1d": ("batch_norm",),
    "batchnorm2d": ("batch_norm",),
    "batchnormalization": ("batch_norm",),
    "bceloss": ("log_loss",),
    "bcewithlogitsloss": ("sigmoid_cross_entropy",),
    "binarycrossentropy": ("sigmoid_cross_entropy",),
    "categoricalaccuracy": ("streaming_accuracy",),
    "categoricalcrossentropy": ("softmax_cross_entropy",),
    "conv": ("conv2d",),
    "crossentropyloss": ("sparse_softmax_cross_entropy", "softmax_cross_entropy"),
    "dataloader": ("batches",),
    "dense": ("fully_connected", "linear"),
    "depthwiseconv2d": ("separable_conv2d",),
    "groupnormalization": ("group_norm",),
    "he_normal": ("variance_scaling_initializer",),
    "henormal": ("variance_scaling_initializer",),
    "imagefolder": ("FolderDataset",),
    "l1loss": ("absolute_difference",),
    "layernormalization": ("layer_norm",),
    "mean": ("streaming_mean",),
    "meaniou": ("streaming_mean_iou",),
    "mse": ("mean_squared_error", "streaming_mean_squared_error"),
    "mseloss": ("mean_squared_error",),
    "sequential": ("stack", "repeat"),
    "sparsecategoricalcrossentropy": ("sparse_softmax_cross_entropy",),
    "unitnormalization": ("unit_norm",),
}


def meant_argument(name: str, parameters: Collection[str]) -> str:
    """`"; did you mean 'stride'?"` for the name of an argument; `""` if nothing is like it.

    >>> meant_argument("features", ["inputs", "num_outputs"])
    "; did you mean 'num_outputs'?"
    >>> meant_argument("rate", ["inputs", "keep_prob"])
    "; did you mean 'keep_prob' (it is 1 minus that)?"
    """
    if (meant := ARGUMENTS.get(name)) == ():
        return ""
    found = [argument for argument in meant or () if argument in parameters]
    if not found:
        return did_you_mean(name, parameters)
    words = _OTHER_VALUES.get((name, found[0]))
    note = f" ({words})" if words else ""
    return f"; did you mean {' or '.join(map(repr, found))}{note}?"


def meant_thing(name: str, things: Mapping[str, str]) -> str:
    """The same for the name of a function or class.

    Args:
      name: The name.
      things: The names that there are, each with the words for it.

    >>> meant_thing("Dense", {"fully_connected": "layers.fully_connected", "gdn": "layers.gdn"})
    '; did you mean layers.fully_connected?'
    """
    found = [meant for meant in THINGS.get(name.lower(), ()) if meant in things]
    found = found or nearest(name, things)
    return f"; did you mean {' or '.join(things[meant] for meant in found)}?" if found else ""
