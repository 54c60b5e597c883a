"""What holds for every Inception network."""

import functools

import jax
import jax.numpy as jnp
import net_checks
import pytest
from inception_checks import CLASSIFIERS, END_POINTS, FEATURES, base, map_sizes, network, own_size
from net_checks import shapes, structure

import jslim as slim
from jslim.core.model import shapes_of
from jslim.layers import conv2d, fully_connected, separable_conv2d, softmax
from jslim.nets import nets_factory

NAMES = nets_factory.list_networks("inception*")


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_end_points_are_in_order_with_shapes(name):
    logits, end_points = shapes(network(name, num_classes=1000), *own_size(name))
    assert logits.shape == (2, 1000)
    wanted = END_POINTS[name] | CLASSIFIERS[name]
    assert list(map_sizes(end_points).items()) == list(wanted.items())


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_base_stops_at_its_final_endpoint(name):
    names = list(END_POINTS[name])
    for last in (names[0], names[len(names) // 2], None):
        kwargs = {"final_endpoint": last} if last else {}
        net, end_points = shapes(base(name, **kwargs), *own_size(name))
        last = last or names[-1]
        assert list(end_points) == names[: names.index(last) + 1]
        assert map_sizes({"": net, last: end_points[last]})[""] == END_POINTS[name][last]
        assert net.shape == end_points[last].shape


@pytest.mark.parametrize("name", NAMES)
def test_inception_base_makes_nothing_behind_its_final_endpoint(name):
    last = list(END_POINTS[name])[1]
    variables = structure(base(name, final_endpoint=last), own_size(name)[1:]).variables
    assert {row[0].split("/")[1] for row in variables} <= set(list(END_POINTS[name])[:2])
    assert variables


@pytest.mark.parametrize("name", NAMES)
def test_inception_base_refuses_an_unknown_final_endpoint(name):
    names = list(END_POINTS[name])
    with pytest.raises(ValueError) as error:
        shapes(base(name, final_endpoint=names[-1].lower()), *own_size(name))
    message = str(error.value)
    assert message.startswith(
        f"{name}_base: there is no end point {names[-1].lower()!r}; did you mean {names[-1]!r}"
    )
    assert message.endswith(f" (there are {', '.join(names)})")


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_without_classes_gives_features(name):
    model = slim.Model(network(name, num_classes=None))
    images = jax.ShapeDtypeStruct(own_size(name), jnp.float32)
    (features, end_points), tree = shapes_of(model.init_with_output, jax.random.key(0), images)
    assert features.shape == (2, 1, 1, CLASSIFIERS[name][FEATURES[name]][1])
    assert set(end_points) == {*END_POINTS[name], FEATURES[name]}
    again = jax.eval_shape(functools.partial(model.apply, num_classes=0), tree, images)
    assert again == (features, end_points)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_shares_its_variables_by_reuse(name):
    build = nets_factory.networks_map[name]
    names = []

    def twice(images):
        build(images, 11)
        once = list(slim.get_model_variables())
        result = build(images, 11, reuse=True)
        names[:] = once, list(slim.get_model_variables())
        return result

    initialized(twice, own_size(name))
    assert names[0] == names[1]


def initialized(net, image_shape):
    model = slim.Model(net)
    rngs = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    return shapes_of(model.init, rngs, jax.ShapeDtypeStruct(image_shape, jnp.float32))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_twice_without_reuse_names_the_variable(name):
    build = nets_factory.networks_map[name]

    def twice(images):
        build(images, 11, is_training=False)
        return build(images, 11, is_training=False)

    with pytest.raises(slim.ScopeError, match=r"/Conv2d_1a.*weights' already exists"):
        shapes(twice, *own_size(name))


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_inside_another_scope_has_its_full_names(name):
    def nested(images):
        with slim.variable_scope("tower"):
            return network(name, scope=None)(images)

    variables = structure(nested, own_size(name)[1:]).variables
    plain = net_checks.load_tree(name)["variables"]
    assert [row[0] for row in variables] == [f"tower/{row[0]}" for row in plain]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_in_training_drops_features_and_updates_every_moving_statistic(name):
    images = jax.ShapeDtypeStruct(own_size(name), jnp.float32)
    model = slim.Model(network(name, is_training=True))
    tree = shapes_of(model.init, jax.random.key(0), images)
    with pytest.raises(slim.ScopeError, match="batch_stats"):
        jax.eval_shape(model.apply, tree, images)
    apply = functools.partial(model.apply, mutable=["batch_stats"])
    with pytest.raises(slim.ScopeError, match=r"/Logits' needs randomness"):
        jax.eval_shape(apply, tree, images)
    kept = functools.partial(apply, dropout_keep_prob=1.0)
    _, updates = jax.eval_shape(kept, tree, images)
    assert updates["batch_stats"] == tree["batch_stats"]


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_inception_in_bfloat16_by_arg_scope(name):
    model = slim.Model(network(name))
    images = jax.ShapeDtypeStruct(own_size(name), jnp.float32)
    with slim.arg_scope([conv2d, separable_conv2d, fully_connected], dtype=jnp.bfloat16):
        variables = shapes_of(model.init, jax.random.key(0), images)
        outputs = jax.eval_shape(model.apply, variables, images)
    assert {value.dtype for value in jax.tree.leaves(outputs)} == {jnp.dtype(jnp.bfloat16)}
    assert {value.dtype for value in jax.tree.leaves(variables)} == {jnp.dtype(jnp.float32)}


@pytest.mark.long
@pytest.mark.parametrize("name", ["inception_v1", "inception_v2", "inception_v3"])
def test_inception_predictions_are_made_by_prediction_fn(name):
    scopes = []

    def prediction_fn(logits, scope):
        scopes.append(scope)
        return softmax(logits, scope=scope)[..., :1]

    _, end_points = shapes(network(name, prediction_fn=prediction_fn), *own_size(name))
    assert end_points["Predictions"].shape == (2, 1)
    assert set(scopes) == {"Predictions"}


@pytest.mark.parametrize("name", NAMES)
def test_inception_refuses_one_image_without_batch_axis(name):
    with pytest.raises(ValueError, match=rf"^{name}: images must be .* add a batch axis"):
        shapes(network(name), *own_size(name)[1:])


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "kwargs", "smallest", "remedy"),
    [
        ("inception_v1", {}, 193, ", or pass global_pool=True"),
        ("inception_v3", {}, 107, ", or pass create_aux_logits=False"),
        ("inception_v3", {"create_aux_logits": False}, 75, ""),
        ("inception_v3", {"num_classes": None}, 75, ""),
        ("inception_v4", {}, 107, ", or pass create_aux_logits=False"),
        ("inception_v4", {"create_aux_logits": False}, 75, ""),
        ("inception_resnet_v2", {}, 107, ", or pass create_aux_logits=False"),
        ("inception_resnet_v2", {"num_classes": 0}, 75, ""),
    ],
)
def test_inception_takes_images_of_its_smallest_size(name, kwargs, smallest, remedy):
    initialized(network(name, **kwargs), (1, smallest, smallest, 3))
    with pytest.raises(ValueError) as error:
        shapes(network(name, **kwargs), 1, 300, smallest - 1, 3)
    assert str(error.value) == (
        f"{name}: images of 300x{smallest - 1} are too small, it takes {smallest}x{smallest} or "
        f"more; resize them{remedy}"
    )
