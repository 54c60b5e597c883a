"""The variables of every network of the table are those of its golden tree."""

import functools

import flax.traverse_util
import jax
import jax.numpy as jnp
import net_checks
import pytest

import jslim as slim
from jslim.nets import nets_factory

NAMES = nets_factory.list_networks()


def test_every_network_has_a_golden_tree():
    trees = sorted(path.stem for path in net_checks.GOLDEN.glob("*.json"))
    assert trees == NAMES


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_network_variables_are_those_of_tf_slim(name):
    tree = net_checks.load_tree(name)
    network_fn = nets_factory.get_network_fn(name, tree["num_classes"], weight_decay=0.1)
    variables, num_losses = net_checks.structure(network_fn, tree["image_shape"])
    assert variables == tree["variables"], (
        f"the variables of {name} changed; if that is meant: python tests/golden/make_nets.py"
    )
    assert num_losses == tree["num_regularization_losses"]


def images_of(name):
    return jax.ShapeDtypeStruct((1, *net_checks.load_tree(name)["image_shape"]), jnp.float32)


@functools.cache  # half of the time of these tests
def initialized(name, num_classes):
    """The variables of the network without weight decay."""
    model = slim.Model(nets_factory.get_network_fn(name, num_classes))
    return jax.eval_shape(model.init, jax.random.key(0), images_of(name))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_network_parameter_count_is_that_of_tf_slim(name):
    tree = net_checks.load_tree(name)
    leaves = jax.tree.leaves(initialized(name, tree["num_classes"]))
    assert sum(leaf.size for leaf in leaves) == tree["num_parameters"]


@pytest.mark.parametrize("name", NAMES)
def test_network_image_size_is_that_of_its_tree(name):
    *frames, height, width, _ = net_checks.load_tree(name)["image_shape"]
    network = nets_factory.get_network(name)
    assert len(frames) == network.takes_videos
    assert nets_factory.get_network_fn(name, 10).default_image_size == height == width
    assert network.image_size == (299 if name.startswith("resnet_v2") else height)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_network_head_is_all_that_comes_with_classes(name):
    def shapes(num_classes):
        return {
            path: value.shape
            for variables in initialized(name, num_classes).values()
            for path, value in flax.traverse_util.flatten_dict(variables, sep="/").items()
        }

    num_classes = net_checks.load_tree(name)["num_classes"]
    few, more, none = shapes(num_classes), shapes(num_classes + 1), shapes(None)
    assert set(few) == set(more)
    head = {n for n in few if n.startswith(tuple(f"{s}/" for s in network_head(name)))}
    assert head == set(few) - set(none)
    assert head
    assert {n for n in few if few[n] != more[n]} <= head


def network_head(name):
    return nets_factory.get_network(name).head


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_network_without_weight_decay_has_no_regularization_losses(name):
    num_classes = net_checks.load_tree(name)["num_classes"]
    model = slim.Model(nets_factory.get_network_fn(name, num_classes))
    apply = functools.partial(model.apply, mutable=["regularization_losses"])
    _, collected = jax.eval_shape(apply, initialized(name, num_classes), images_of(name))
    assert not jax.tree.leaves(collected)
