"""Summaries encoded as TensorFlow does, read back by TensorBoard."""

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
from programs import ending
from summary_checks import FEATURES, pixels, read, scalars

import jslim as slim
from jslim import summaries
from jslim.summaries import NullWriter, SummaryWriter

GOLDEN = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "summaries.json").read_text())


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
    with ending(process):
        assert process.stdout.readline() == "flushed\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == -signal.SIGTERM
    assert scalars(tmp_path, "loss") == [(step, 1.0) for step in range(50)]
    assert read(tmp_path).Histograms("weights")[0].histogram_value.num == 2


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
            r"SummaryWriter needs tensorboard, which is not installed; run: pip install "
            r"'jslim\[cli\]'",
        ),
        (
            "PIL",
            r"image summary 'x/image/0' needs pillow, which is not installed; run: pip install",
        ),
    ],
)
def test_missing_package_names_the_extra_to_install(module, text, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    images = summaries.image_summary("x", jnp.zeros((1, 2, 2, 1)))
    with pytest.raises(ImportError, match=text), SummaryWriter(tmp_path) as writer:
        writer.write(1, images)
