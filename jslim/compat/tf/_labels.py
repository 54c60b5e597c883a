"""TensorFlow's names of operations, by the functions that make them: 'relu' makes 'Relu'."""

# Where it is not the name of the function in camel case.
_OTHERS = {
    "add_n": "AddN", "argmax": "ArgMax", "argmin": "ArgMin", "avg_pool2d": "AvgPool",
    "batch_matmul": "MatMul", "batch_norm": "FusedBatchNormV3",
    "batch_norm_with_global_normalization": "batchnorm/add_1",
    "batch_normalization": "batchnorm/add_1",
    "conv1d": "Conv1D", "conv2d": "Conv2D", "conv2d_transpose": "conv2d_transpose",
    "conv3d": "Conv3D", "convolution": "convolution", "depthwise_conv2d": "depthwise",
    "dropout": "Identity", "flatten": "flatten/Reshape", "fully_connected": "MatMul",
    "gather": "GatherV2", "l2_loss": "L2Loss", "layer_norm": "batchnorm/add_1",
    "local_response_normalization": "LRN", "matmul": "MatMul", "max_pool2d": "MaxPool",
    "moments": "moments/Squeeze", "multiply": "Mul", "negative": "Neg",
    "one_hot_encoding": "one_hot", "pool": "pool", "resize_images": "resize/ResizeBilinear",
    "reverse": "ReverseV2", "separable_conv2d": "separable_conv2d", "sub": "Sub",
    "subtract": "Sub", "selected": "Select", "divide": "truediv", "crelu": "CRelu/Relu",
}  # fmt: skip
_SAME = (
    *("clip_by_value", "concat", "div", "floordiv", "l2_normalize", "one_hot", "ones_like"),
    *("range", "split", "stack", "truediv", "transpose", "unstack", "zeros_like"),
)


def label_of(function: str) -> str:
    """The name of the operation that a function makes.

    >>> label_of("relu6"), label_of("reduce_mean"), label_of("matmul"), label_of("concat")
    ('Relu6', 'Mean', 'MatMul', 'concat')
    """
    name = function.strip("<_>")
    if name in _SAME:
        return name
    if (other := _OTHERS.get(name)) is not None:
        return other
    words = name.removeprefix("reduce_").split("_")
    return "".join(word[:1].upper() + word[1:] for word in words)
