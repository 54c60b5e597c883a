"""What `jslim models` says of networks is what they are."""

import pytest

from jslim.cli.networks import NETWORKS
from jslim.nets import nets_factory, network_sizes
from jslim.weights import WEIGHTS


def test_every_network_has_a_row():
    assert list(NETWORKS) == nets_factory.list_networks()


@pytest.mark.parametrize("name", NETWORKS)
def test_facts_are_those_of_the_network(name):
    network, row = nets_factory.get_network(name), NETWORKS[name]
    published = tuple(row.name for row in WEIGHTS if row.network == name)
    facts = (network.image_size, network.preprocessing, network.takes_videos, published)
    assert row[2:] == facts


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("lenet", "vgg_a") else pytest.mark.long)
        for name in NETWORKS
    ],
)
def test_sizes_are_those_of_the_network(name):
    assert NETWORKS[name][:2] == network_sizes.sizes_of(name)


@pytest.mark.parametrize(
    ("name", "parameters", "giga_multiply_adds"),
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
def test_sizes_are_those_that_others_publish(name, parameters, giga_multiply_adds):
    row = NETWORKS[name]
    assert row.parameters == parameters
    if giga_multiply_adds is not None:
        assert row.flops / 2e9 == pytest.approx(giga_multiply_adds, rel=0.005)
