"""Summaries as they are recorded in a model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from summary_checks import FEATURES, record, scalars

import jslim as slim
from jslim import summaries
from jslim.summaries import SummaryWriter


def test_recorded_values_carry_kind_and_tag():
    def model_function(features):
        summaries.scalar("accuracy", jnp.mean(features))
        with slim.variable_scope("conv1"):
            summaries.scalar("accuracy", 2)
            summaries.histogram("activations", features)
        summaries.scalar("accuracy", features[0, 0])
        summaries.image("input", jnp.zeros((2, 4, 5, 1)))

    recorded = record(model_function, FEATURES)
    assert list(recorded) == [
        "scalar/accuracy",
        "scalar/conv1/accuracy",
        "histogram/conv1/activations",
        "scalar/accuracy_1",
        "image/input/image/0",
        "image/input/image/1",
    ]
    np.testing.assert_allclose(recorded["scalar/accuracy"], 3.5 / 6)
    assert recorded["scalar/conv1/accuracy"].dtype == jnp.float32
    assert recorded["scalar/accuracy_1"] == 1
    assert recorded["image/input/image/1"].shape == (4, 5, 1)


def test_recording_is_compiled_away_unless_asked_for():
    def plain(features):
        return jnp.sum(features)

    def recording(features):
        summaries.histogram("features", features)
        summaries.scalar("mean", jnp.mean(jnp.sin(features)))
        summaries.add_zero_fraction_summary(features, "features")
        return jnp.sum(features)

    def flops(function, mutable=False):
        model = slim.Model(function)
        compiled = jax.jit(lambda x: model.apply({}, x, mutable=mutable)).lower(FEATURES).compile()
        return compiled.cost_analysis()["flops"]

    assert flops(recording) == flops(plain)
    assert flops(recording, mutable=["summaries"]) > flops(plain)


def test_recording_does_not_change_gradients_or_outputs():
    def recording(features):
        squared = jnp.square(features)
        summaries.histogram("squared", squared)
        summaries.scalar("largest", jnp.max(squared))
        return jnp.sum(squared)

    def loss(features):
        return slim.Model(recording).apply({}, features, mutable=["summaries"])

    gradient, updated = jax.jit(jax.grad(loss, has_aux=True))(FEATURES)
    np.testing.assert_array_equal(gradient, 2 * FEATURES)
    assert updated["summaries"]["scalar/largest"] == 16
    assert updated["summaries"]["histogram/squared"].counts.sum() == 6


def test_summaries_of_eight_devices_are_those_of_one():
    batch = jnp.arange(16.0).reshape(8, 2)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("data",))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))

    def summarize(batch):
        return summaries.histogram_summary("x", batch) | summaries.scalar_summary(
            "mean", jnp.mean(batch)
        )

    one, eight = (jax.jit(summarize)(b) for b in (batch, jax.device_put(batch, sharding)))
    jax.tree.map(np.testing.assert_array_equal, one, eight)


def test_arguments_have_tensorflows_names_too():
    def model_function(images):
        with slim.variable_scope("net"):
            summaries.scalar("a", tensor=1.0, collections=["summaries"])
            summaries.scalar("b", 2.0, family="losses")
            summaries.histogram("c", values=FEATURES, family="losses")
            summaries.image("d", tensor=images, max_outputs=1)
            summaries.image("e", images, 2, None, "seen")

    # What tf.summary names these: the family stands before the scope and before the name.
    assert list(record(model_function, jnp.zeros((2, 2, 2, 1)))) == [
        "scalar/net/a",
        "scalar/losses/net/losses/b",
        "histogram/losses/net/losses/c",
        "image/net/d/image",
        "image/seen/net/seen/e/image/0",
        "image/seen/net/seen/e/image/1",
    ]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: summaries.scalar("a", 1.0, collections=["mine"]),
            r"summary.scalar: collections must be None or 'summaries', got \['mine'\]; what is "
            "recorded leaves the model where mutable names 'summaries'",
        ),
        (
            lambda: summaries.scalar("a", 1.0, display_name="A"),
            "unexpected keyword argument 'display_name'",
        ),
        (
            lambda: summaries.image("a", 1.0, tensor=2.0),
            "summary.image: images, or tensor, was given twice",
        ),
        (lambda: summaries.scalar("a"), "summary.scalar: value, or tensor, was given not at all"),
        (
            lambda: summaries.image("a", 1.0, 2, max_outputs=2),
            "summary.image: max_outputs is max_images; give one of the two",
        ),
    ],
)
def test_arguments_that_mean_nothing_are_refused(call, text):
    with pytest.raises((TypeError, ValueError), match=text):
        record(call)


def test_numbers_of_the_host_are_scalars(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.write(3, {"a": 0.5, "b/c": np.float32(1.5), "d": 2, "scalar/e": np.float64(2.5)})
        writer.write(4, {"loss": jnp.float32(4.0)})
        with pytest.raises(TypeError, match="for one number call scalar"):
            writer.write(5, 0.5)
    found = {tag: scalars(tmp_path, tag) for tag in ("a", "b/c", "d", "e", "loss")}
    assert found == {
        "a": [(3, 0.5)],
        "b/c": [(3, 1.5)],
        "d": [(3, 2.0)],
        "e": [(3, 2.5)],
        "loss": [(4, 4.0)],
    }


def test_image_takes_the_first_images_of_each_type():
    floating = jnp.ones((5, 2, 2, 3), jnp.bfloat16)
    assert len(summaries.image_summary("x", floating)) == 3
    assert list(summaries.image_summary("x", floating, 1)) == ["image/x/image"]
    assert len(summaries.image_summary("x", floating[:2], 4)) == 2
    (half,) = summaries.image_summary("x", floating, 1).values()
    assert half.dtype == jnp.float32
    mask = jnp.array([[[[True], [False]]]])
    (shown,) = summaries.image_summary("x", mask, 1).values()
    np.testing.assert_array_equal(shown, np.array([[[255], [0]]], np.uint8))
    assert shown.dtype == jnp.uint8


def test_gradient_summaries_are_histogram_and_norm():
    recorded = summaries.gradient_summaries({"fc/weights": jnp.array([[3.0, 4.0]])})
    assert list(recorded) == [
        "histogram/fc/weights/gradient",
        "scalar/fc/weights/gradient_norm",
    ]
    np.testing.assert_allclose(recorded["scalar/fc/weights/gradient_norm"], 5)
    assert recorded["histogram/fc/weights/gradient"].maximum == 4


def test_slim_forms_take_names_prefixes_variables_and_dicts():
    def model_function(features):
        with slim.variable_scope("fc"):
            weights = slim.model_variable("weights", [3, 2], initializer=0.5)
            biases = slim.model_variable("biases", [2], initializer=0.0)
        net = features @ weights + biases[None]
        summaries.add_scalar_summary(jnp.mean(net), "Total Loss")
        summaries.add_scalar_summary(jnp.mean(net), "mean", prefix="train")
        summaries.add_histogram_summary(weights)
        summaries.add_histogram_summaries(slim.get_model_variables(), prefix="all")
        summaries.add_histogram_summaries([biases], "listed")
        summaries.add_scalar_summaries({"a": 1.0, "b": 2.0}, "pair")
        summaries.add_image_summary(net[:, None, None, :1], "net")
        summaries.add_image_summaries({"more": net[:, None, None, :1]})
        summaries.add_zero_fraction_summary(features, "features")
        summaries.add_zero_fraction_summaries([biases], prefix="zeros")

    model = slim.Model(model_function)
    variables = model.init(jax.random.key(0), FEATURES)
    apply = jax.jit(lambda v, x: model.apply(v, x, mutable=["summaries"])[1]["summaries"])
    recorded = apply(variables, FEATURES)
    assert set(recorded) == {
        "scalar/Total Loss",
        "scalar/train/mean",
        "histogram/fc/weights",
        "histogram/all/fc/weights",
        "histogram/all/fc/biases",
        "histogram/listed/fc/biases",
        "scalar/pair/a",
        "scalar/pair/b",
        "image/net/image/0",
        "image/net/image/1",
        "image/more/image/0",
        "image/more/image/1",
        "scalar/features/Fraction_of_Zero_Values",
        "scalar/zeros/fc/biases/Fraction_of_Zero_Values",
    }
    np.testing.assert_allclose(recorded["scalar/features/Fraction_of_Zero_Values"], 2 / 6)
    assert recorded["scalar/zeros/fc/biases/Fraction_of_Zero_Values"] == 1


def test_print_summary_prints_when_summaries_are_computed(capfd):
    def model_function(features):
        summaries.add_scalar_summary(features[0, 1], "{odd} name", print_summary=True)
        summaries.add_zero_fraction_summary(features, "net", print_summary=True)
        summaries.add_image_summary(features[:1, None, None, :1], "seen", print_summary=True)

    slim.Model(model_function).apply({}, FEATURES)
    jax.effects_barrier()
    assert capfd.readouterr().out == ""
    record(model_function, FEATURES)
    jax.effects_barrier()
    assert capfd.readouterr().out.splitlines() == [
        "{odd} name = -2.0",
        f"net/Fraction_of_Zero_Values = {np.float32(1 / 3)}",
        "seen = [[[[1.]]]]",
    ]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda: summaries.scalar("accuracy", 1.0),
            slim.ScopeError,
            "summary.scalar 'accuracy' only works inside a model function; wrap the function",
        ),
        (
            lambda: summaries.add_histogram_summary(FEATURES),
            slim.ScopeError,
            "only works inside a model function",
        ),
        (
            lambda: record(lambda: summaries.scalar(jnp.ones(()), "accuracy")),
            ValueError,
            r"summary.scalar: the name comes first and must be a non-empty string, got \w+; call "
            r"summary.scalar\(name, value\)",
        ),
        (
            lambda: record(lambda: summaries.histogram("", FEATURES)),
            ValueError,
            "summary.histogram: the name comes first",
        ),
        (
            lambda: record(lambda: summaries.scalar("accuracy", FEATURES)),
            ValueError,
            r"summary 'accuracy': a scalar must have shape \(\), got \(2, 3\); average it, or "
            "record a histogram",
        ),
        (
            lambda: record(lambda: summaries.image("seen", FEATURES)),
            ValueError,
            r"summary 'seen': images must be \[batch, height, width, channels\] with 1, 3 or 4 "
            r"channels, got shape \(2, 3\); add a batch axis, or choose channels",
        ),
        (
            lambda: summaries.image_summary("seen", jnp.zeros((1, 2, 2, 2))),
            ValueError,
            r"got shape \(1, 2, 2, 2\)",
        ),
        (
            lambda: summaries.image_summary("seen", jnp.zeros((1, 2, 2, 3), jnp.int32)),
            ValueError,
            "summary 'seen': images must be floating, uint8 or bool, got int32; cast what is in "
            r"0\.\.255 to uint8",
        ),
        (
            lambda: summaries.image_summary("seen", jnp.zeros((1, 2, 2, 3)), 0),
            ValueError,
            "summary 'seen': max_images must be at least 1, got 0",
        ),
        (
            lambda: record(lambda: summaries.add_scalar_summary(jnp.ones(()))),
            ValueError,
            "add_scalar_summary: name is missing, and only a variable has a name of its own; give "
            r"name=\.\.\., or for several tensors a dict \{name: tensor\}",
        ),
        (
            lambda: record(lambda: jax.vmap(lambda x: summaries.scalar("x", x))(FEATURES[0])),
            slim.ScopeError,
            "'scalar/x' is added to collection 'summaries', which happens inside a JAX",
        ),
    ],
)
def test_recording_errors_say_what_to_do(call, error, text):
    with pytest.raises(error, match=text):
        call()
