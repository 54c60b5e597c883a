"""The variables of every network of the table are those of its golden tree."""

import functools

import flax.traverse_util
import jax
import net_checks
import pytest

from jslim.nets import nets_factory

NAMES = nets_factory.list_networks()


def test_every_network_has_a_golden_tree():
    trees = sorted(path.stem for path in net_checks.GOLDEN.glob("*.json"))
    assert trees == NAMES


@pytest.fixture(scope="module", params=NAMES)  # a module's, so that it goes network by network
def name(request):
    return request.param


@functools.lru_cache(maxsize=3)  # a trace takes seconds
def structure(name, num_classes, weight_decay=0.0):
    """What a network makes of images of its tree."""
    network_fn = nets_factory.get_network_fn(name, num_classes, weight_decay=weight_decay)
    return net_checks.structure(network_fn, net_checks.load_tree(name)["image_shape"])


def golden_structure(name):
    """What a network makes with weight decay and the classes of its tree."""
    return structure(name, net_checks.load_tree(name)["num_classes"], weight_decay=0.1)


@pytest.mark.long
def test_network_variables_are_those_of_tf_slim(name):
    tree = net_checks.load_tree(name)
    found = golden_structure(name)
    assert found.variables == tree["variables"], (
        f"the variables of {name} changed; if that is meant: python tests/golden/make_nets.py"
    )
    network_fn = nets_factory.get_network_fn(name, tree["num_classes"], weight_decay=0.1)
    num_losses = net_checks.num_collected_losses(network_fn, found.shapes, tree["image_shape"])
    assert num_losses == found.num_losses == tree["num_regularization_losses"]


@pytest.mark.long
def test_network_parameter_count_is_that_of_tf_slim(name):
    leaves = jax.tree.leaves(golden_structure(name).shapes)
    assert sum(leaf.size for leaf in leaves) == net_checks.load_tree(name)["num_parameters"]


def test_network_image_size_is_that_of_its_tree(name):
    *frames, height, width, _ = net_checks.load_tree(name)["image_shape"]
    network = nets_factory.get_network(name)
    assert len(frames) == network.takes_videos
    assert nets_factory.get_network_fn(name, 10).default_image_size == height == width
    assert network.image_size == (299 if name.startswith("resnet_v2") else height)


@pytest.mark.long
def test_network_head_is_all_that_comes_with_classes(name):
    def shapes(found):
        return {
            path: value.shape
            for variables in found.shapes.values()
            for path, value in flax.traverse_util.flatten_dict(variables, sep="/").items()
        }

    num_classes = net_checks.load_tree(name)["num_classes"]
    few = shapes(golden_structure(name))
    more, none = shapes(structure(name, num_classes + 1)), shapes(structure(name, None))
    assert set(few) == set(more)
    head = {n for n in few if n.startswith(tuple(f"{s}/" for s in network_head(name)))}
    assert head == set(few) - set(none)
    assert head
    changed = {n for n in few if few[n] != more[n]}
    assert changed
    assert changed <= head


def network_head(name):
    return nets_factory.get_network(name).head


@pytest.mark.long
def test_network_without_weight_decay_has_no_regularization_losses(name):
    num_classes = net_checks.load_tree(name)["num_classes"]
    assert structure(name, num_classes + 1).num_losses == 0
