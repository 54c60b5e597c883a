"""The table of published weights: what there is, where, of what network, and how good.

    find("inception_v3").name  # 'tf-slim/inception_v3_2016_08_28'
    list_weights("timm/*")

TF-Slim's files and their accuracies are from the README of research/slim and the pages it links to;
timm's accuracies from its `results/results-imagenet.csv`; Keras's addresses, hashes and accuracies
from `keras.applications`. The accuracies are the sources' own, measured by their own programs.
"""

import fnmatch
from typing import NamedTuple

from jslim.core.errors import did_you_mean
from jslim.weights import _keras, _timm

_TF_SLIM = "https://storage.googleapis.com/download.tensorflow.org/models/"
_MOBILENET_V2 = "https://storage.googleapis.com/mobilenet_v2/checkpoints/"
_MOBILENET_V3 = "https://storage.googleapis.com/mobilenet_v3/checkpoints/"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/"


class Published(NamedTuple):
    """Published weights of a network, trained on ImageNet.

    Attributes:
      name: `SOURCE/FILE`: the source is `tf-slim`, `timm` or `keras`.
      network: The network of `jslim.nets`.
      address: The URL of a file, or `hf://REPOSITORY/FILE` on the Hugging Face hub.
      top_1: The accuracy that the source gives for it, in percent.
      licence: By its SPDX identifier.
      num_classes: 1000, or 1001 where the background comes first.
      image_size: Height and width of the images in pixels, of this accuracy.
      preprocessing: The preprocessing of the images.
      model: The name of the network at timm or Keras.
      md5: The hash of the file, where the source gives one.
    """

    name: str
    network: str
    address: str
    top_1: float
    licence: str
    num_classes: int
    image_size: int
    preprocessing: str
    model: str = ""
    md5: str | None = None

    @property
    def source(self) -> str:
        """Who published them."""
        return self.name.split("/")[0]

    @property
    def labels_offset(self) -> int:
        """What is subtracted from labels that count the background as class 0."""
        return 1001 - self.num_classes


def _tf_slim(
    file: str, network: str, top_1: float, size: int, classes: int = 1001, base: str = _TF_SLIM
) -> Published:
    name = file.split("/")[-1].removesuffix(".tar.gz").removesuffix(".tgz")
    preprocessing = "inception" if classes == 1001 else "vgg"
    return Published(
        f"tf-slim/{name}", network, base + file, top_1, "Apache-2.0", classes, size, preprocessing
    )


def _timm_row(tagged: str, top_1: float, size: int) -> Published:
    model = tagged.split(".")[0]
    address = f"hf://timm/{tagged}/model.safetensors"
    network = _timm.NETWORKS[model].network
    return Published(
        f"timm/{tagged}", network, address, top_1, "Apache-2.0", 1000, size, "inception", model
    )


def _keras_row(
    model: str, file: str, top_1: float, size: int = 224, md5: str | None = None, name: str = ""
) -> Published:
    network = _keras.NETWORKS[model].network
    preprocessing, licence = "inception", "Apache-2.0"
    if model.startswith("VGG"):
        preprocessing, licence = "vgg", "CC-BY-4.0"
    return Published(
        f"keras/{name or model}",
        network,
        _KERAS + file,
        top_1,
        licence,
        1000,
        size,
        preprocessing,
        model,
        md5,
    )


_V1 = "mobilenet_v1_2018_08_02/mobilenet_v1_"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"
# The first row of a network is what its name alone stands for.
WEIGHTS: tuple[Published, ...] = (
    _tf_slim("inception_v1_2016_08_28.tar.gz", "inception_v1", 69.8, 224),
    _tf_slim("inception_v2_2016_08_28.tar.gz", "inception_v2", 73.9, 224),
    _tf_slim("inception_v3_2016_08_28.tar.gz", "inception_v3", 78.0, 299),
    _tf_slim("inception_v4_2016_09_09.tar.gz", "inception_v4", 80.2, 299),
    _tf_slim("inception_resnet_v2_2016_08_30.tar.gz", "inception_resnet_v2", 80.4, 299),
    _tf_slim("resnet_v1_50_2016_08_28.tar.gz", "resnet_v1_50", 75.2, 224, 1000),
    _tf_slim("resnet_v1_101_2016_08_28.tar.gz", "resnet_v1_101", 76.4, 224, 1000),
    _tf_slim("resnet_v1_152_2016_08_28.tar.gz", "resnet_v1_152", 76.8, 224, 1000),
    _tf_slim("resnet_v2_50_2017_04_14.tar.gz", "resnet_v2_50", 75.6, 299),
    _tf_slim("resnet_v2_101_2017_04_14.tar.gz", "resnet_v2_101", 77.0, 299),
    _tf_slim("resnet_v2_152_2017_04_14.tar.gz", "resnet_v2_152", 77.8, 299),
    _tf_slim("vgg_16_2016_08_28.tar.gz", "vgg_16", 71.5, 224, 1000),
    _tf_slim("vgg_19_2016_08_28.tar.gz", "vgg_19", 71.1, 224, 1000),
    _tf_slim(f"{_V1}1.0_224.tgz", "mobilenet_v1", 70.9, 224),
    _tf_slim(f"{_V1}0.75_224.tgz", "mobilenet_v1_075", 68.4, 224),
    _tf_slim(f"{_V1}0.5_224.tgz", "mobilenet_v1_050", 63.3, 224),
    _tf_slim(f"{_V1}0.25_224.tgz", "mobilenet_v1_025", 49.8, 224),
    _tf_slim("mobilenet_v2_1.0_224.tgz", "mobilenet_v2", 71.8, 224, base=_MOBILENET_V2),
    _tf_slim("mobilenet_v2_1.4_224.tgz", "mobilenet_v2_140", 75.0, 224, base=_MOBILENET_V2),
    _tf_slim("mobilenet_v2_0.5_224.tgz", "mobilenet_v2_050", 65.4, 224, base=_MOBILENET_V2),
    _tf_slim("mobilenet_v2_0.35_224.tgz", "mobilenet_v2_035", 60.3, 224, base=_MOBILENET_V2),
    _tf_slim("v3-large_224_1.0_float.tgz", "mobilenet_v3_large", 75.2, 224, base=_MOBILENET_V3),
    _tf_slim(
        "v3-large_224_0.75_float.tgz", "mobilenet_v3_large_075", 73.3, 224, base=_MOBILENET_V3
    ),
    _tf_slim(
        "v3-large-minimalistic_224_1.0_float.tgz",
        "mobilenet_v3_large_minimalistic",
        72.3,
        224,
        base=_MOBILENET_V3,
    ),
    _tf_slim("v3-small_224_1.0_float.tgz", "mobilenet_v3_small", 67.5, 224, base=_MOBILENET_V3),
    _tf_slim(
        "v3-small_224_0.75_float.tgz", "mobilenet_v3_small_075", 65.4, 224, base=_MOBILENET_V3
    ),
    _tf_slim(
        "v3-small-minimalistic_224_1.0_float.tgz",
        "mobilenet_v3_small_minimalistic",
        61.9,
        224,
        base=_MOBILENET_V3,
    ),
    _tf_slim("nasnet-a_mobile_04_10_2017.tar.gz", "nasnet_mobile", 74.0, 224),
    _tf_slim("nasnet-a_large_04_10_2017.tar.gz", "nasnet_large", 82.7, 331),
    _tf_slim("pnasnet-5_large_2017_12_13.tar.gz", "pnasnet_large", 82.9, 331),
    _tf_slim("pnasnet-5_mobile_2017_12_13.tar.gz", "pnasnet_mobile", 74.2, 224),
    _timm_row("inception_v3.tf_in1k", 77.862, 299),
    _timm_row("inception_v3.tf_adv_in1k", 77.592, 299),
    _timm_row("inception_v4.tf_in1k", 80.156, 299),
    _timm_row("inception_resnet_v2.tf_in1k", 80.462, 299),
    _timm_row("inception_resnet_v2.tf_ens_adv_in1k", 79.978, 299),
    _timm_row("nasnetalarge.tf_in1k", 82.626, 331),
    _timm_row("pnasnet5large.tf_in1k", 82.782, 331),
    _timm_row("tf_mobilenetv3_large_100.in1k", 75.516, 224),
    _timm_row("tf_mobilenetv3_large_075.in1k", 73.432, 224),
    _timm_row("tf_mobilenetv3_large_minimal_100.in1k", 72.258, 224),
    _timm_row("tf_mobilenetv3_small_100.in1k", 67.918, 224),
    _timm_row("tf_mobilenetv3_small_075.in1k", 65.728, 224),
    _timm_row("tf_mobilenetv3_small_minimal_100.in1k", 62.890, 224),
    _keras_row("VGG16", f"vgg16/vgg16_{_KERNELS}.h5", 71.3, md5="64373286793e3c8b2b4e3219cbf3544b"),
    _keras_row("VGG19", f"vgg19/vgg19_{_KERNELS}.h5", 71.3, md5="cbe5617147190e668d6c5d5026f83318"),
    _keras_row(
        "InceptionV3",
        f"inception_v3/inception_v3_{_KERNELS}.h5",
        77.9,
        299,
        "9a0d58056eeedaa3f26cb7ebd46da564",
    ),
    _keras_row(
        "InceptionResNetV2",
        f"inception_resnet_v2/inception_resnet_v2_{_KERNELS}.h5",
        80.3,
        299,
        "e693bd0210a403b3192acc6073ad2e96",
    ),
    _keras_row("MobileNet", "mobilenet/mobilenet_1_0_224_tf.h5", 70.4),
    _keras_row("MobileNetV2", f"mobilenet_v2/mobilenet_v2_{_KERNELS}_1.0_224.h5", 71.3),
    _keras_row(
        "MobileNetV3Large",
        "mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float.h5",
        75.6,
        md5="59e551e166be033d707958cf9e29a6a7",
    ),
    _keras_row(
        "MobileNetV3Small",
        "mobilenet_v3/weights_mobilenet_v3_small_224_1.0_float.h5",
        68.1,
        md5="8768d4c2e7dee89b9d02b2d03d65d862",
    ),
    _keras_row(
        "NASNetMobile", "nasnet/NASNet-mobile.h5", 74.4, md5="020fb642bf7360b370c678b08e0adf61"
    ),
    _keras_row(
        "NASNetLarge", "nasnet/NASNet-large.h5", 82.5, 331, "11577c9a518f0070763c2b964a382f17"
    ),
)


def list_weights(pattern: str = "*") -> list[str]:
    """The names of published weights that match a shell pattern, also by their network.

    >>> list_weights("vgg_16")
    ['tf-slim/vgg_16_2016_08_28', 'keras/VGG16']
    """
    return [
        row.name
        for row in WEIGHTS
        if fnmatch.fnmatchcase(row.name, pattern) or fnmatch.fnmatchcase(row.network, pattern)
    ]


def find(name: str) -> Published | None:
    """The row with this name, or the first one of the network with this name; None without one.

    The source may be left out where that is unambiguous: `InceptionV3`.

    >>> find("inception_v3").name
    'tf-slim/inception_v3_2016_08_28'
    """
    for row in WEIGHTS:
        if name in (row.name, row.network):
            return row
    files = [row for row in WEIGHTS if row.name.split("/", 1)[1] == name]
    return files[0] if len(files) == 1 else None


def nearest(name: str) -> str:
    """A proposal for a name that is none, for the end of an error; empty if none is near."""
    return did_you_mean(name, [*(row.name for row in WEIGHTS), *(row.network for row in WEIGHTS)])
