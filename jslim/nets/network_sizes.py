"""Parameters and FLOPs of each network, so that a list of all of them need not trace any."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jslim import model_analyzer
from jslim.core.model import Model
from jslim.nets import nets_factory

_FRAMES = 64  # of a video
_MOST_SMALL = 32  # pixels of images of which a data set has ten classes
_SMALL_CLASSES, _CLASSES = 10, 1000


class Sizes(NamedTuple):
    """The sizes of a network.

    Attributes:
      num_parameters: The numbers that training changes, auxiliary heads included; with 10 classes
        if its images have 32 pixels or fewer, else with 1,000.
      num_flops: The operations of convolutions and matrix products for one image in evaluation, a
        multiplication and an addition as two; of a video of 64 frames.
    """

    num_parameters: int
    num_flops: int


def sizes_of(name: str) -> Sizes:
    """The sizes of a network, for images of its size.

    Raises:
      ValueError: The name is unknown.

    >>> sizes_of("lenet")
    Sizes(num_parameters=3274634, num_flops=27767808)
    """
    return _SIZES.get(name) or computed_sizes(name)


def computed_sizes(name: str) -> Sizes:
    """`sizes_of` from the network itself, which takes seconds."""
    network = nets_factory.get_network(name)
    side = network.image_size
    frames = [_FRAMES] if network.takes_videos else []
    channels = 1 if network.preprocessing == "lenet" else 3
    images = jax.ShapeDtypeStruct((1, *frames, side, side, channels), jnp.float32)
    num_classes = _SMALL_CLASSES if side <= _MOST_SMALL else _CLASSES
    model = Model(nets_factory.get_network_fn(name, num_classes))
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    num_parameters, _ = model_analyzer.analyze_vars({"params": shapes["params"]})
    flops = model_analyzer.count_flops(model.apply, shapes, images)
    return Sizes(num_parameters, sum(flops.values()))


# tests/nets/test_network_sizes.py compares them, and shows what a row must be.
_SIZES = {
    "alexnet_v2": Sizes(50_303_912, 1_473_111_552),
    "cifarnet": Sizes(1_756_426, 69_750_528),
    "i3d": Sizes(13_304_984, 222_314_889_216),
    "inception_resnet_v2": Sizes(59_179_952, 26_325_002_432),
    "inception_v1": Sizes(6_617_624, 2_996_752_384),
    "inception_v2": Sizes(11_178_336, 3_869_714_432),
    "inception_v3": Sizes(27_143_152, 11_437_798_592),
    "inception_v4": Sizes(46_006_800, 24_520_954_048),
    "lenet": Sizes(3_274_634, 27_767_808),
    "mobilenet_edgetpu": Sizes(4_091_432, 1_981_338_368),
    "mobilenet_edgetpu_075": Sizes(2_988_160, 1_248_972_608),
    "mobilenet_v1": Sizes(4_231_976, 1_137_480_704),
    "mobilenet_v1_025": Sizes(470_072, 82_060_544),
    "mobilenet_v1_050": Sizes(1_331_592, 298_994_176),
    "mobilenet_v1_075": Sizes(2_585_560, 650_800_896),
    "mobilenet_v2": Sizes(3_504_872, 601_548_544),
    "mobilenet_v2_035": Sizes(1_677_128, 118_571_616),
    "mobilenet_v2_050": Sizes(1_968_680, 194_263_680),
    "mobilenet_v2_140": Sizes(6_108_776, 1_164_391_648),
    "mobilenet_v3_large": Sizes(5_483_032, 433_179_520),
    "mobilenet_v3_large_075": Sizes(3_993_528, 309_121_248),
    "mobilenet_v3_large_123": Sizes(7_974_008, 675_716_000),
    "mobilenet_v3_large_minimalistic": Sizes(3_924_288, 418_273_408),
    "mobilenet_v3_small": Sizes(2_542_856, 113_020_800),
    "mobilenet_v3_small_075": Sizes(2_041_872, 86_798_688),
    "mobilenet_v3_small_minimalistic": Sizes(2_044_736, 104_576_896),
    "nasnet_cifar": Sizes(3_346_538, 1_088_666_624),
    "nasnet_large": Sizes(88_753_150, 47_566_829_316),
    "nasnet_mobile": Sizes(5_289_978, 1_127_277_632),
    "overfeat": Sizes(145_704_424, 5_294_022_656),
    "pnasnet_large": Sizes(86_057_668, 49_874_791_584),
    "pnasnet_mobile": Sizes(5_064_487, 1_174_586_400),
    "resnet_v1_101": Sizes(44_549_160, 14_388_953_088),
    "resnet_v1_152": Sizes(60_192_808, 21_813_395_456),
    "resnet_v1_200": Sizes(64_673_832, 28_801_105_920),
    "resnet_v1_50": Sizes(25_557_032, 6_964_510_720),
    "resnet_v2_101": Sizes(44_577_896, 26_747_033_088),
    "resnet_v2_152": Sizes(60_236_904, 40_421_643_776),
    "resnet_v2_200": Sizes(64_726_120, 53_291_865_600),
    "resnet_v2_50": Sizes(25_568_360, 13_072_422_400),
    "s3dg": Sizes(10_133_848, 128_378_222_080),
    "vgg_16": Sizes(138_357_544, 30_940_528_640),
    "vgg_19": Sizes(143_667_240, 39_264_124_928),
    "vgg_a": Sizes(132_863_336, 15_218_180_096),
}
