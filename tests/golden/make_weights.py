"""Makes weights.json.gz: networks of timm and Keras with random variables, and their logits.

    pip install timm keras
    KERAS_BACKEND=jax PYTHONPATH=tests/weights python tests/golden/make_weights.py [MODEL ...]

The values come from the names of the variables (tests/weights/random_arrays.py), so that names and
shapes are all that is kept of them. Three things that are done in another way than in TensorFlow
are set right here, since they are no matter of the weights. An average over a border counts the
border in timm's `inception_v3`, and where it pads as TensorFlow in its `nasnetalarge`. Keras's
NASNet pads with zeros before pools of stride 2, so that maxima and averages count them.
"""

import functools
import gzip
import json
import pathlib
import sys

import numpy as np
from random_arrays import images, random_arrays

FILE = pathlib.Path(__file__).with_name("weights.json.gz")
SIDES = {"inception_v3": 128, "inception_v4": 128, "inception_resnet_v2": 128, "VGG16": 224}
SIDES |= {"VGG19": 224, "InceptionV3": 128, "InceptionResNetV2": 128}
TIMM = (
    *("inception_v3", "inception_v4", "inception_resnet_v2", "nasnetalarge", "pnasnet5large"),
    *(f"tf_mobilenetv3_{size}" for size in ("large_100", "large_075", "large_minimal_100")),
    *(f"tf_mobilenetv3_{size}" for size in ("small_100", "small_075", "small_minimal_100")),
)
KERAS = (
    *("VGG16", "VGG19", "InceptionV3", "InceptionResNetV2", "MobileNet", "MobileNetV2"),
    *("MobileNetV3Large", "MobileNetV3Small", "NASNetMobile", "NASNetLarge"),
)


def of_timm(model, batch):
    import timm
    import torch
    from timm.layers import pool2d_same
    from torch.nn import functional

    average = functional.avg_pool2d
    if model == "inception_v3":
        functional.avg_pool2d = functools.partial(average, count_include_pad=False)
    elif model == "nasnetalarge":

        def averaged(x, kernel_size, stride, *_):
            padded = pool2d_same.pad_same(x, kernel_size, stride)
            ones = pool2d_same.pad_same(torch.ones_like(x), kernel_size, stride)
            return average(padded, kernel_size, stride) / average(ones, kernel_size, stride)

        pool2d_same.avg_pool2d_same = averaged
        pool2d_same.AvgPool2dSame.forward = lambda self, x: averaged(
            x, self.kernel_size, self.stride
        )
    network = timm.create_model(model).eval()
    state = {n: v for n, v in network.state_dict().items() if "num_batches_tracked" not in n}
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    values = random_arrays(shapes, is_torch=True)
    network.load_state_dict({n: torch.from_numpy(v) for n, v in values.items()}, strict=False)
    with torch.no_grad():
        logits = network(torch.from_numpy(batch.transpose(0, 3, 1, 2))).numpy()
    functional.avg_pool2d = average
    return shapes, logits


class PoolsOfTensorFlow:
    """Keras's layers, but for the pools of NASNet's reductions and what pads them."""

    def __init__(self, layers):
        self._layers = layers

    def __getattr__(self, name):
        made = getattr(self._layers, name)

        def make(*args, **options):
            layer = str(options.get("name"))
            if name == "ZeroPadding2D" and layer.startswith("reduction_pad_1"):
                return self._layers.Activation("linear")
            if name.endswith("Pooling2D") and layer.startswith("reduction_"):
                options["padding"] = "same"
            return made(*args, **options)

        return make


def of_keras(model, batch):
    import keras
    from keras.src.applications import nasnet

    if not isinstance(nasnet.layers, PoolsOfTensorFlow):
        nasnet.layers = PoolsOfTensorFlow(nasnet.layers)

    keras.utils.clear_session()
    options = {} if "NASNet" in model else {"classifier_activation": None}
    if "MobileNetV3" in model:
        options["include_preprocessing"] = False
    network = getattr(keras.applications, model)(
        weights=None, input_shape=batch.shape[1:], **options
    )
    if "NASNet" in model:
        network.layers[-1].activation = keras.activations.linear
    shapes = {v.path: tuple(v.shape) for v in network.weights}
    values = random_arrays(shapes, is_torch=False)
    for variable in network.weights:
        variable.assign(values[variable.path])
    return shapes, np.asarray(network(batch, training=False))


def main():
    found = json.loads(gzip.decompress(FILE.read_bytes())) if FILE.exists() else {}
    for framework, models, make in (("timm", TIMM, of_timm), ("keras", KERAS, of_keras)):
        for model in models:
            if len(sys.argv) > 1 and model not in sys.argv[1:]:
                continue
            side = SIDES.get(model, 96)
            shapes, logits = make(model, images(side))
            found[f"{framework}/{model}"] = {
                "side": side,
                "shapes": shapes,
                "logits": [[round(float(x), 7) for x in row[::10]] for row in logits],
            }
            print(framework, model, np.abs(logits).max(), flush=True)
            FILE.write_bytes(gzip.compress(json.dumps(found).encode(), mtime=0))


if __name__ == "__main__":
    main()
