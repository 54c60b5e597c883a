"""Summaries: recorded in a model, encoded as TensorFlow does, read back by TensorBoard."""

import io
import json
import pathlib
import signal
import subprocess
import sys
import textwrap

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jslim as slim
from jslim import summaries
from jslim.summaries import NullWriter, SummaryWriter

GOLDEN = json.loads((pathlib.Path(__file__).parent / "golden" / "summaries.json").read_text())
FEATURES = jnp.array([[1.0, -2.0, 0.0], [0.5, 4.0, 0.0]])


def record(function, *args):
    """What a model function without variables records."""
    _, updated = slim.Model(function).apply({}, *args, mutable=["summaries"])
    return updated.get("summaries", {})


def read(logdir):
    """All that TensorBoard's own reader finds in a directory."""
    accumulator = EventAccumulator(
        str(logdir), size_guidance={"scalars": 0, "histograms": 0, "images": 0}
    )
    return accumulator.Reload()


def scalars(logdir, tag):
    return [(event.step, event.value) for event in read(logdir).Scalars(tag)]


def pixels(event, shape):
    return np.asarray(Image.open(io.BytesIO(event.encoded_image_string))).reshape(shape)


# Recording -------------------------------------------------------------------------------------


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


# TF-Slim's forms -------------------------------------------------------------------------------


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


# Writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", GOLDEN["histograms"])
def test_histogram_is_that_of_tensorflow(case, tmp_path):
    expected = GOLDEN["histograms"][case]
    values = np.array(expected["values"], np.float32)
    with SummaryWriter(tmp_path) as writer:
        writer.write(1, summaries.histogram_summary("x", values))
    (event,) = read(tmp_path).Histograms("x")
    found = event.histogram_value
    assert list(found.bucket_limit) == expected["bucket_limit"]
    assert list(found.bucket) == expected["bucket"]
    assert (found.min, found.max, found.num) == tuple(expected[k] for k in ("min", "max", "num"))
    np.testing.assert_allclose(found.sum, expected["sum"], rtol=1e-5)
    # The sum of squares is a float32 here, whose largest is 3.4e38.
    if expected["sum_squares"] < 1e38:
        np.testing.assert_allclose(found.sum_squares, expected["sum_squares"], rtol=1e-5)
    else:
        assert found.sum_squares == np.inf


@pytest.mark.parametrize("case", GOLDEN["images"])
def test_images_are_those_of_tensorflow(case, tmp_path):
    expected = GOLDEN["images"][case]
    images = np.array([float(v) for v in expected["values"]], expected["dtype"])
    images = images.reshape(expected["shape"])
    with SummaryWriter(tmp_path) as writer:
        writer.write(1, summaries.image_summary("x", images, expected["max_images"]))
    events = read(tmp_path)
    assert events.Tags()["images"] == expected["tags"]
    for tag, (shape, values) in zip(expected["tags"], expected["pixels"], strict=True):
        (event,) = events.Images(tag)
        assert (event.height, event.width) == tuple(shape[:2])
        np.testing.assert_array_equal(pixels(event, shape), np.reshape(values, shape))


def test_what_apply_returned_is_read_back_by_tensorboard(tmp_path):
    def model_function(features):
        summaries.scalar("half", jnp.asarray(1.5, jnp.bfloat16))
        summaries.scalar("lost", jnp.nan)
        summaries.histogram("features", features)
        return features

    model = slim.Model(model_function)
    apply = jax.jit(lambda x: model.apply({}, x, mutable=["summaries"]))
    with SummaryWriter(tmp_path / "new" / "logs") as writer:
        for step in (3, jnp.int32(4)):
            writer.write(step, apply(FEATURES)[1])
        writer.write(5, {})
        writer.scalar(jnp.int32(5), "by_hand", jnp.float32(0.25))
    logdir = tmp_path / "new" / "logs"
    assert scalars(logdir, "half") == [(3, 1.5), (4, 1.5)]
    assert [np.isnan(value) for _, value in scalars(logdir, "lost")] == [True, True]
    assert scalars(logdir, "by_hand") == [(5, 0.25)]
    histogram = read(logdir).Histograms("features")[1].histogram_value
    assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (-2, 4, 6, 3.5)


def test_elements_that_are_not_finite_are_left_out_and_counted(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        writer.write(1, summaries.histogram_summary("some", jnp.array([1.0, jnp.nan, -jnp.inf])))
        writer.write(1, summaries.histogram_summary("none", jnp.array([jnp.nan])))
        writer.write(1, summaries.histogram_summary("empty", jnp.zeros((0,))))
        writer.write(1, summaries.histogram_summary("all", jnp.array([1.0])))
    events = read(tmp_path)
    some = events.Histograms("some")[0].histogram_value
    assert (some.min, some.max, some.num, some.sum) == (1, 1, 1, 1)
    assert scalars(tmp_path, "some/non_finite") == [(1, 2)]
    assert scalars(tmp_path, "none/non_finite") == [(1, 1)]
    for tag in ("none", "empty"):
        nothing = events.Histograms(tag)[0].histogram_value
        assert (nothing.min, nothing.max, nothing.num) == (0, 0, 0)
    assert events.Tags()["scalars"] == ["some/non_finite", "none/non_finite"]


def test_summaries_of_a_model_inside_a_linen_module_are_written(tmp_path):
    class Outer(nn.Module):
        @nn.compact
        def __call__(self, features):
            return slim.Model(lambda x: summaries.scalar("mean", jnp.mean(x)), name="inner")(
                features
            )

    _, updated = Outer().apply({}, FEATURES, mutable=["summaries"])
    with SummaryWriter(tmp_path) as writer:
        writer.write(0, updated)
    np.testing.assert_allclose(scalars(tmp_path, "inner/mean"), [(0, 3.5 / 6)], rtol=1e-6)


def test_a_resumed_run_adds_a_file_and_replaces_what_it_runs_again(tmp_path):
    with SummaryWriter(tmp_path) as writer:
        for step in range(6):
            writer.scalar(step, "loss", step)
    with SummaryWriter(tmp_path, purge_step=4) as writer:
        for step in range(4, 8):
            writer.scalar(step, "loss", 10 * step)
    assert len(list(tmp_path.iterdir())) == 2
    expected = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 40), (5, 50), (6, 60), (7, 70)]
    assert scalars(tmp_path, "loss") == expected


def test_close_may_be_called_twice_and_ends_writing(tmp_path):
    writer = SummaryWriter(tmp_path)
    writer.scalar(1, "loss", 2.0)
    writer.close()
    writer.close()
    assert scalars(tmp_path, "loss") == [(1, 2)]
    with pytest.raises(ValueError, match="closed file"):
        writer.scalar(2, "loss", 1.0)


def test_null_writer_has_every_method_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with NullWriter() as writer:
        writer.write(1, summaries.scalar_summary("x", 1.0))
        writer.scalar(1, "x", 1.0)
        writer.flush()
    writer.close()
    assert list(tmp_path.iterdir()) == []
    public = {name for name in vars(SummaryWriter) if not name.startswith("_")}
    assert public <= set(vars(NullWriter))


@pytest.mark.long
def test_flushed_file_is_whole_after_sigterm(tmp_path):
    program = textwrap.dedent(
        """
        import sys, time
        from jslim.summaries import SummaryWriter, histogram_summary
        writer = SummaryWriter(sys.argv[1])
        for step in range(50):
            writer.scalar(step, "loss", 1.0)
        writer.flush()
        writer.write(50, histogram_summary("weights", [1.0, 2.0]))
        print("flushed", flush=True)
        writer.scalar(51, "loss", 1.0)
        time.sleep(60)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "flushed\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == -signal.SIGTERM
    finally:
        process.kill()
        process.stdout.close()
    assert scalars(tmp_path, "loss") == [(step, 1.0) for step in range(50)]
    assert read(tmp_path).Histograms("weights")[0].histogram_value.num == 2


# Errors ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"params": {"weights": 1.0}},
            r"SummaryWriter.write: 'params/weights' is not a summary; give what apply\(\.\.\., "
            r"mutable=\['summaries'\]\) returned beside the output",
        ),
        ({"scalar": 1.0}, "'scalar' is not a summary"),
        (
            {"scalar/x": np.ones(5)},
            r"SummaryWriter.write: 'x' has been stacked to shape \(5,\), by a lifted scan or "
            "vmap; leave 'summaries' out of its variable_axes",
        ),
        (
            jax.tree.map(lambda v: v[None], summaries.histogram_summary("h", FEATURES)),
            r"'h' has been stacked to shape \(1, 1551\)",
        ),
        ({"image/i": np.ones((1, 2, 2, 3))}, r"'i' has been stacked to shape \(1, 2, 2, 3\)"),
    ],
)
def test_writing_errors_say_what_to_do(given, text, tmp_path):
    with SummaryWriter(tmp_path) as writer, pytest.raises(ValueError, match=text):
        writer.write(1, given)


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (
            "tensorboard.summary.writer.record_writer",
            r"SummaryWriter needs tensorboard, which is not installed; run pip install "
            r"'jslim\[cli\]'",
        ),
        ("PIL", r"image summary 'x/image/0' needs pillow, which is not installed; run pip install"),
    ],
)
def test_missing_package_names_the_extra_to_install(module, text, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    images = summaries.image_summary("x", jnp.zeros((1, 2, 2, 1)))
    with pytest.raises(ImportError, match=text), SummaryWriter(tmp_path) as writer:
        writer.write(1, images)
