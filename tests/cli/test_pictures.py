"""What train.py writes for TensorBoard beside losses, as TF-Slim's script does."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import jslim as slim
from jslim import summaries
from jslim.cli import pictures, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The events of a run with summaries of every step, and the programs that it compiled."""
    directory = tmp_path_factory.mktemp("run")
    flags = [
        "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8", "--batch_size=8",
        "--max_number_of_steps=3", "--save_summaries_secs=1e-9", "--log_every_n_steps=1",
        f"--train_dir={directory}",
    ]  # fmt: skip
    compiled = []

    class Handler(logging.Handler):
        def emit(self, record):
            compiled.append(record.getMessage())

    logger, handler = logging.getLogger("jax._src.interpreters.pxla"), Handler()
    logger.addHandler(handler)
    with jax.log_compiles(True):
        assert train.main(["train.py", *flags]) == 0
    logger.removeHandler(handler)
    events = EventAccumulator(str(directory), {"histograms": 0, "images": 0}).Reload()
    return events, [message for message in compiled if message.startswith("Compiling")]


def test_tags_are_those_of_the_script_of_tf_slim(run):
    events, _ = run
    tags = events.Tags()
    assert {"LeNet/conv1/weights", "LeNet/fc4/biases"} <= set(tags["histograms"])
    assert {
        "sparsity/conv1", "sparsity/Predictions", "learning_rate", "total_loss",
    } <= set(tags["scalars"])  # fmt: skip
    assert any(tag.startswith("losses/") for tag in tags["scalars"])
    assert tags["images"] == [f"input_images/image/{index}" for index in range(3)]
    for tag in ("sparsity/conv1", "Accuracy"):
        assert [event.step for event in events.Scalars(tag)] == [1, 2, 3]
    assert [event.step for event in events.Histograms("LeNet/conv1/weights")] == [1, 2, 3]
    assert 0 < events.Scalars("sparsity/conv1")[0].value < 1
    (image, *_) = events.Images("input_images/image/0")
    assert (image.width, image.height) == (8, 8)


def test_the_step_is_compiled_once(run):
    _, compiled = run
    steps = [message for message in compiled if "jit(_step)" in message or " _step " in message]
    assert len(steps) == 1, compiled


def test_histograms_of_variables_and_images_compile_nothing():
    state = slim.learning.TrainState(
        step=jnp.int32(1),
        params={"conv": {"weights": jnp.arange(6.0).reshape(2, 3), "scale": jnp.bfloat16(2)}},
        batch_stats={"bn": {"moving_mean": jnp.zeros(4)}},
        opt_state=None,
        rng=jax.random.key(0),
    )
    batch = {"image": jnp.ones((2, 4, 4, 3)), "label": jnp.zeros(2)}
    jax.block_until_ready((state, batch))
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, secs, **more: compiled.append(name) if "compile" in name else None
    )
    found = pictures.of_step(state, batch)
    assert compiled == []
    assert list(found) == [
        "histogram/conv/weights", "histogram/conv/scale", "histogram/bn/moving_mean",
        "image/input_images/image/0", "image/input_images/image/1",
    ]  # fmt: skip
    assert found["histogram/conv/weights"].counts.sum() == 6
    assert found["histogram/conv/scale"].maximum == 2


def test_sparsity_is_the_share_of_zeros():
    def net(x):
        pictures.record_activations({"relu": jax.nn.relu(x), "logits": x})
        return x

    model = slim.Model(net)
    _, updated = model.apply({}, jnp.array([-1.0, -2.0, 0.0, 3.0]), mutable=["summaries"])
    assert {tag: float(value) for tag, value in updated["summaries"].items()} == {
        "scalar/sparsity/relu": 0.75,
        "scalar/sparsity/logits": 0.25,
    }


VALUES = {
    "weights": np.random.default_rng(0).standard_normal(1000),
    "of all sizes": np.geomspace(1e-30, 1e30, 999) * np.where(np.arange(999) % 2, 1, -1),
    "limits": np.array([0.0, -0.0, 1e-12, -1e-12, 1.1e-12, 1e20, -1e20]),
    "not finite": np.array([np.nan, np.inf, -np.inf, 1.0]),
    "none": np.zeros(0),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_histograms_of_the_host_are_those_of_the_device(values):
    ours = summaries.host_histogram("x", values)["histogram/x"]
    theirs = summaries.histogram_summary("x", values)["histogram/x"]
    np.testing.assert_array_equal(ours.counts, theirs.counts)
    for name in ("minimum", "maximum", "num_non_finite"):
        assert float(getattr(ours, name)) == float(getattr(theirs, name)), name
    finite = values[np.isfinite(values)].astype(np.float32).astype(np.float64)
    assert float(ours.total) == pytest.approx(finite.sum(), rel=1e-12)
    assert float(ours.total_squares) == pytest.approx((finite**2).sum(), rel=1e-12)
