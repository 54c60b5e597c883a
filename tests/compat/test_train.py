"""Optimizers, steps, moving averages, checkpoints and summaries."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim
from jslim.compat import tf

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"

OPTIMIZERS = {
    "GradientDescentOptimizer": ((0.1,), {}, slim.optimizers.sgd(0.1)),
    "MomentumOptimizer": (
        (0.1, 0.8), {"use_nesterov": True}, slim.optimizers.momentum(0.1, 0.8, use_nesterov=True)
    ),
    "AdamOptimizer": (
        (0.1, 0.8, 0.9, 1e-3), {}, slim.optimizers.adam(0.1, beta1=0.8, beta2=0.9, epsilon=1e-3)
    ),
    "RMSPropOptimizer": (
        (0.1, 0.8, 0.5, 1e-3), {},
        slim.optimizers.rmsprop(0.1, decay=0.8, momentum=0.5, epsilon=1e-3),
    ),
    "AdagradOptimizer": (
        (0.1, 0.2), {}, slim.optimizers.adagrad(0.1, initial_accumulator_value=0.2)
    ),
    "AdadeltaOptimizer": (
        (0.1, 0.8, 1e-3), {}, slim.optimizers.adadelta(0.1, rho=0.8, epsilon=1e-3)
    ),
    "FtrlOptimizer": (
        (0.1, -0.4, 0.2, 0.01, 0.02), {},
        slim.optimizers.ftrl(
            0.1, learning_rate_power=-0.4, initial_accumulator_value=0.2, l1=0.01, l2=0.02
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_is_that_of_jslim(name):
    """Those of jslim are compared with TensorFlow's in tests/test_optimizers.py."""
    args, kwargs, expected = OPTIMIZERS[name]
    found = getattr(tf.train, name)(*args, **kwargs)
    assert isinstance(found, tf.train.Optimizer)
    assert isinstance(found, optax.GradientTransformation)
    weights = jnp.array([1.0, -2.0, 3.0])
    results = []
    for optimizer in (found, expected):
        state, w = optimizer.init(weights), weights
        for _ in range(3):
            updates, state = optimizer.update(2 * w, state, w)
            w = w + updates
        results.append(w)
    assert (results[0] == results[1]).all()


def test_an_optimizer_does_not_minimize():
    message = "tf.train.Optimizer.minimize: give the optimizer to slim.learning.create_train_op"
    for method in ("minimize", "compute_gradients", "apply_gradients"):
        with pytest.raises(AttributeError, match=message):
            getattr(tf.train.AdamOptimizer(), method)(1.0)
    with pytest.raises(AttributeError, match=r"RMSPropOptimizer\(centered=True\)"):
        tf.train.RMSPropOptimizer(0.1, centered=True)


def test_the_global_step_is_0_in_a_model_function_that_runs_without_a_train_step():
    def fn(x):
        return x + tf.cast(tf.train.get_or_create_global_step(), tf.float32) / 10

    assert slim.Model(fn).apply({}, jnp.ones(())) == 1.0
    with pytest.raises(slim.ScopeError, match="the global step is counted by the train op, and"):
        tf.cast(tf.train.get_global_step(), tf.float32)


def test_a_rate_of_the_global_step_is_a_schedule():
    for step in (tf.train.get_or_create_global_step(), tf.train.create_global_step()):
        rate = tf.train.exponential_decay(1.0, step, 2, 0.5, staircase=True)
        assert [float(rate(count)) for count in range(5)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert repr(tf.train.get_global_step()) == "the global step, which the train op counts"
    optimizer = tf.train.GradientDescentOptimizer(rate)

    def loss(batch):
        w = tf.get_variable("w", [], initializer=tf.zeros_initializer())
        steps = tf.train.get_global_step()
        slim.losses.add_loss(w * batch)
        tf.summary.scalar("step", steps)
        return tf.losses.get_total_loss()

    train_op = slim.learning.create_train_op(loss, optimizer)
    state = train_op.init(jax.random.key(0), jnp.ones([]))
    found = []
    for _ in range(4):
        state, _ = train_op(state, jnp.ones([]))
        found.append(float(state.params["w"]))
    assert found == [-1.0, -2.0, -2.5, -3.0]


def averages(values, **kwargs):
    """What TensorFlow's formula gives, in NumPy; the first value is what a variable starts with."""
    decay, average = kwargs["decay"], kwargs["start"]
    for value in values:
        average = decay * average + (1 - decay) * value
    return average


@pytest.mark.parametrize(("num_updates", "decay"), [(None, 0.9), (0, 0.1), (5, 0.4), (10_000, 0.9)])
def test_moving_average_of_a_variable(num_updates, decay):
    """d is 0.9, or with num_updates min(0.9, (1 + n) / (10 + n)); TensorFlow's documented rule."""

    def fn():
        ema = tf.train.ExponentialMovingAverage(0.9, num_updates)
        v = tf.get_variable("v", [], initializer=tf.zeros_initializer())
        ema.apply([v])
        assert ema.average(jnp.ones(1)) is None
        assert ema.average_name(v) == "v/ExponentialMovingAverage"
        return ema.average(v)

    model = slim.Model(fn)
    stats = model.init(jax.random.key(0))["batch_stats"]
    found = []
    for value in (1.0, 2.0, 3.0):
        variables = {"params": {"v": jnp.float32(value)}, "batch_stats": stats}
        moved, updated = model.apply(variables, mutable=["batch_stats"])
        stats = updated["batch_stats"]
        found.append(float(moved))
    expected = [averages(seen, decay=decay, start=0.0) for seen in ([1], [1, 2], [1, 2, 3])]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert list(stats["v"]) == ["ExponentialMovingAverage"]


@pytest.mark.parametrize("zero_debias", [False, True])
def test_moving_averages_of_other_arrays(zero_debias):
    """Numbers and names are those that TensorFlow 2.15 gives for the same lines."""

    def fn(value):
        with tf.variable_scope("a"):
            ema = tf.train.ExponentialMovingAverage(0.5, zero_debias=zero_debias)
            doubled = tf.multiply(value, 2.0, name="doubled")
            moments = tf.nn.moments(value, [0])
            ema.apply([doubled, *moments])
            return ema.average(doubled)

    model = slim.Model(fn)
    variables = model.init(jax.random.key(0), jnp.ones(2))
    for value, expected in (
        (1.0, 2.0 if zero_debias else 1.0),
        (3.0, 14 / 3 if zero_debias else 3.5),
    ):
        moved, variables = model.apply(variables, value * jnp.ones(2), mutable=["batch_stats"])
        np.testing.assert_allclose(moved, [expected] * 2, rtol=1e-6)
    names = {"/".join(p.key for p in path[1:]) for path, _ in jax.tree.leaves_with_path(variables)}
    arrays = "a/doubled", "a/moments/Squeeze", "a/moments/Squeeze_1"
    of = "ExponentialMovingAverage"
    more = {f"a/a/{array}/{of}/{name}" for array in arrays for name in ("biased", "local_step")}
    assert names == {f"a/{array}/{of}" for array in arrays} | (more if zero_debias else set())


def test_the_moving_average_of_what_an_operator_made():
    def fn(value):
        ema = tf.train.ExponentialMovingAverage(0.5)
        ema.apply([value * 2])

    variables = slim.Model(fn).init(jax.random.key(0), jnp.ones(2))
    assert list(variables["batch_stats"]) == ["average"]


def test_names_of_averages_to_restore():
    ema = tf.train.ExponentialMovingAverage(0.9)
    found = ema.variables_to_restore({"a/weights": 1.0})
    assert found == {"a/weights/ExponentialMovingAverage": 1.0}


def test_checkpoints(tmp_path):
    train = tf.train
    assert train.latest_checkpoint(str(tmp_path / "none")) is None
    assert train.get_checkpoint_state(str(tmp_path / "none")) is None
    path = str(tmp_path / "model.ckpt-3")
    slim.tf_checkpoint.save_checkpoint(path, {"a/w": jnp.ones([2, 3])})
    assert train.latest_checkpoint(str(tmp_path)) == path
    state = train.get_checkpoint_state(str(tmp_path))
    assert isinstance(state, train.CheckpointState)
    assert state.model_checkpoint_path == path
    assert state.all_model_checkpoint_paths == [path]
    assert train.checkpoint_exists(path)
    assert not train.checkpoint_exists(str(tmp_path / "other"))
    reader = train.NewCheckpointReader(path)
    assert reader.get_variable_to_shape_map() == {"a/w": (2, 3)}
    assert train.load_checkpoint(path).get_tensor("a/w").shape == (2, 3)
    assert train.list_variables(path) == [("a/w", [2, 3])]
    assert (train.load_variable(path, "a/w") == 1).all()


def test_summaries():
    def fn(images):
        tf.summary.scalar("mean", tf.reduce_mean(images), collections=["model_0"])
        tf.summary.histogram("pixels", images)
        tf.summary.image("images", images, max_outputs=2)
        assert tf.summary.merge_all() is None
        assert tf.summary.merge([]) is None

    _, found = slim.Model(fn).apply({}, jnp.ones([3, 4, 4, 3]), mutable=["summaries"])
    assert sorted(found["summaries"]) == [
        "histogram/pixels", "image/images/image/0", "image/images/image/1",
        "scalar/mean_1",  # as of TensorFlow: `tf.reduce_mean` makes the operation 'Mean'
    ]  # fmt: skip


def test_summaries_under_their_names_before_tensorflow_1():
    def fn(images):
        tf.scalar_summary("loss", 1.0)
        tf.scalar_summary(["a", "b"], [1.0, jnp.ones([])], name="several")
        tf.histogram_summary("pixels", images)
        tf.image_summary("images", images, max_images=2)
        assert tf.merge_all_summaries() is None
        assert tf.merge_summary([]) is None

    _, found = slim.Model(fn).apply({}, jnp.ones([3, 4, 4, 3]), mutable=["summaries"])
    assert sorted(found["summaries"]) == [
        "histogram/pixels", "image/images/image/0", "image/images/image/1",
        "scalar/a", "scalar/b", "scalar/loss",
    ]  # fmt: skip


def test_the_stand_in_for_the_step_is_of_its_class():
    assert isinstance(tf.train.get_global_step(), tf.train.GlobalStep)
