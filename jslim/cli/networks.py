"""What `jslim models` says of each network, so that it need not start JAX nor trace networks."""

from typing import NamedTuple


class Row(NamedTuple):
    """A network.

    Attributes:
      parameters, flops: See `jslim.nets.network_sizes`.
      image_size, preprocessing, takes_videos: See `nets_factory.Network`.
      weights: The names of its published weights, in the order of `slim.weights.WEIGHTS`.
    """

    parameters: int
    flops: int
    image_size: int
    preprocessing: str
    takes_videos: bool = False
    weights: tuple[str, ...] = ()


# tests/cli/test_networks.py compares them with the networks, and shows what a row must be.
NETWORKS = {
    "alexnet_v2": Row(50_303_912, 1_473_111_552, 224, "vgg"),
    "cifarnet": Row(1_756_426, 69_750_528, 32, "cifarnet"),
    "i3d": Row(13_304_984, 222_314_889_216, 224, "inception", takes_videos=True),
    "inception_resnet_v2": Row(
        59_179_952,
        26_325_002_432,
        299,
        "inception",
        weights=(
            "tf-slim/inception_resnet_v2_2016_08_30",
            "timm/inception_resnet_v2.tf_in1k",
            "timm/inception_resnet_v2.tf_ens_adv_in1k",
            "keras/InceptionResNetV2",
        ),
    ),
    "inception_v1": Row(
        6_617_624, 2_996_752_384, 224, "inception", weights=("tf-slim/inception_v1_2016_08_28",)
    ),
    "inception_v2": Row(
        11_178_336, 3_869_714_432, 224, "inception", weights=("tf-slim/inception_v2_2016_08_28",)
    ),
    "inception_v3": Row(
        27_143_152,
        11_437_798_592,
        299,
        "inception",
        weights=(
            "tf-slim/inception_v3_2016_08_28",
            "timm/inception_v3.tf_in1k",
            "timm/inception_v3.tf_adv_in1k",
            "keras/InceptionV3",
        ),
    ),
    "inception_v4": Row(
        46_006_800,
        24_520_954_048,
        299,
        "inception",
        weights=("tf-slim/inception_v4_2016_09_09", "timm/inception_v4.tf_in1k"),
    ),
    "lenet": Row(3_274_634, 27_767_808, 28, "lenet"),
    "mobilenet_edgetpu": Row(4_091_432, 1_981_338_368, 224, "inception"),
    "mobilenet_edgetpu_075": Row(2_988_160, 1_248_972_608, 224, "inception"),
    "mobilenet_v1": Row(
        4_231_976,
        1_137_480_704,
        224,
        "inception",
        weights=("tf-slim/mobilenet_v1_1.0_224", "keras/MobileNet"),
    ),
    "mobilenet_v1_025": Row(
        470_072, 82_060_544, 224, "inception", weights=("tf-slim/mobilenet_v1_0.25_224",)
    ),
    "mobilenet_v1_050": Row(
        1_331_592, 298_994_176, 224, "inception", weights=("tf-slim/mobilenet_v1_0.5_224",)
    ),
    "mobilenet_v1_075": Row(
        2_585_560, 650_800_896, 224, "inception", weights=("tf-slim/mobilenet_v1_0.75_224",)
    ),
    "mobilenet_v2": Row(
        3_504_872,
        601_548_544,
        224,
        "inception",
        weights=("tf-slim/mobilenet_v2_1.0_224", "keras/MobileNetV2"),
    ),
    "mobilenet_v2_035": Row(
        1_677_128, 118_571_616, 224, "inception", weights=("tf-slim/mobilenet_v2_0.35_224",)
    ),
    "mobilenet_v2_050": Row(
        1_968_680, 194_263_680, 224, "inception", weights=("tf-slim/mobilenet_v2_0.5_224",)
    ),
    "mobilenet_v2_140": Row(
        6_108_776, 1_164_391_648, 224, "inception", weights=("tf-slim/mobilenet_v2_1.4_224",)
    ),
    "mobilenet_v3_large": Row(
        5_483_032,
        433_179_520,
        224,
        "inception",
        weights=(
            "tf-slim/v3-large_224_1.0_float",
            "timm/tf_mobilenetv3_large_100.in1k",
            "keras/MobileNetV3Large",
        ),
    ),
    "mobilenet_v3_large_075": Row(
        3_993_528,
        309_121_248,
        224,
        "inception",
        weights=("tf-slim/v3-large_224_0.75_float", "timm/tf_mobilenetv3_large_075.in1k"),
    ),
    "mobilenet_v3_large_123": Row(7_974_008, 675_716_000, 224, "inception"),
    "mobilenet_v3_large_minimalistic": Row(
        3_924_288,
        418_273_408,
        224,
        "inception",
        weights=(
            "tf-slim/v3-large-minimalistic_224_1.0_float",
            "timm/tf_mobilenetv3_large_minimal_100.in1k",
        ),
    ),
    "mobilenet_v3_small": Row(
        2_542_856,
        113_020_800,
        224,
        "inception",
        weights=(
            "tf-slim/v3-small_224_1.0_float",
            "timm/tf_mobilenetv3_small_100.in1k",
            "keras/MobileNetV3Small",
        ),
    ),
    "mobilenet_v3_small_075": Row(
        2_041_872,
        86_798_688,
        224,
        "inception",
        weights=("tf-slim/v3-small_224_0.75_float", "timm/tf_mobilenetv3_small_075.in1k"),
    ),
    "mobilenet_v3_small_minimalistic": Row(
        2_044_736,
        104_576_896,
        224,
        "inception",
        weights=(
            "tf-slim/v3-small-minimalistic_224_1.0_float",
            "timm/tf_mobilenetv3_small_minimal_100.in1k",
        ),
    ),
    "nasnet_cifar": Row(3_346_538, 1_088_666_624, 32, "cifarnet"),
    "nasnet_large": Row(
        88_753_150,
        47_566_829_316,
        331,
        "inception",
        weights=(
            "tf-slim/nasnet-a_large_04_10_2017",
            "timm/nasnetalarge.tf_in1k",
            "keras/NASNetLarge",
        ),
    ),
    "nasnet_mobile": Row(
        5_289_978,
        1_127_277_632,
        224,
        "inception",
        weights=("tf-slim/nasnet-a_mobile_04_10_2017", "keras/NASNetMobile"),
    ),
    "overfeat": Row(145_704_424, 5_294_022_656, 231, "vgg"),
    "pnasnet_large": Row(
        86_057_668,
        49_874_791_584,
        331,
        "inception",
        weights=("tf-slim/pnasnet-5_large_2017_12_13", "timm/pnasnet5large.tf_in1k"),
    ),
    "pnasnet_mobile": Row(
        5_064_487, 1_174_586_400, 224, "inception", weights=("tf-slim/pnasnet-5_mobile_2017_12_13",)
    ),
    "resnet_v1_101": Row(
        44_549_160, 14_388_953_088, 224, "vgg", weights=("tf-slim/resnet_v1_101_2016_08_28",)
    ),
    "resnet_v1_152": Row(
        60_192_808, 21_813_395_456, 224, "vgg", weights=("tf-slim/resnet_v1_152_2016_08_28",)
    ),
    "resnet_v1_200": Row(64_673_832, 28_801_105_920, 224, "vgg"),
    "resnet_v1_50": Row(
        25_557_032, 6_964_510_720, 224, "vgg", weights=("tf-slim/resnet_v1_50_2016_08_28",)
    ),
    "resnet_v2_101": Row(
        44_577_896, 26_747_033_088, 299, "inception", weights=("tf-slim/resnet_v2_101_2017_04_14",)
    ),
    "resnet_v2_152": Row(
        60_236_904, 40_421_643_776, 299, "inception", weights=("tf-slim/resnet_v2_152_2017_04_14",)
    ),
    "resnet_v2_200": Row(64_726_120, 53_291_865_600, 299, "inception"),
    "resnet_v2_50": Row(
        25_568_360, 13_072_422_400, 299, "inception", weights=("tf-slim/resnet_v2_50_2017_04_14",)
    ),
    "s3dg": Row(10_133_848, 128_378_222_080, 224, "inception", takes_videos=True),
    "vgg_16": Row(
        138_357_544,
        30_940_528_640,
        224,
        "vgg",
        weights=("tf-slim/vgg_16_2016_08_28", "keras/VGG16"),
    ),
    "vgg_19": Row(
        143_667_240,
        39_264_124_928,
        224,
        "vgg",
        weights=("tf-slim/vgg_19_2016_08_28", "keras/VGG19"),
    ),
    "vgg_a": Row(132_863_336, 15_218_180_096, 224, "vgg"),
}
