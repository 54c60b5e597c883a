"""The stored sizes of networks are those of the networks."""

import pytest

from jslim.nets import nets_factory, network_sizes


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("lenet", "vgg_a") else pytest.mark.long)
        for name in nets_factory.list_networks()
    ],
)
def test_stored_sizes_are_those_of_the_network(name):
    assert network_sizes.sizes_of(name) == network_sizes.computed_sizes(name)


def test_every_network_has_stored_sizes():
    assert sorted(network_sizes._SIZES) == nets_factory.list_networks()


@pytest.mark.parametrize(
    ("name", "num_parameters", "giga_multiply_adds"),
    [
        # Tables of torchvision, of networks that are the same in it.
        ("resnet_v1_50", 25_557_032, None),
        ("resnet_v1_101", 44_549_160, None),
        ("vgg_16", 138_357_544, 15.47),
        ("vgg_19", 143_667_240, 19.63),
        # Sandler and others, 2018, table 4; Howard and others, 2017, table 8.
        ("mobilenet_v2", 3_504_872, 0.300),
        ("mobilenet_v1", 4_231_976, 0.569),
    ],
)
def test_sizes_are_those_that_others_publish(name, num_parameters, giga_multiply_adds):
    sizes = network_sizes.sizes_of(name)
    assert sizes.num_parameters == num_parameters
    if giga_multiply_adds is not None:
        assert sizes.num_flops / 2e9 == pytest.approx(giga_multiply_adds, rel=0.005)
