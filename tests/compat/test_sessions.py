"""`jslim.compat.sessions`: loops by hand that keep the form of TensorFlow's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim.compat import sessions, tf
from jslim.core.errors import RestoreError


def loss_of(batch):
    net = slim.fully_connected(batch["x"], 1, activation_fn=None, scope="fc")
    net = slim.batch_norm(net, scope="bn")
    loss = jnp.mean(jnp.square(net - batch["y"]))
    tf.summary.scalar("loss", loss)
    return loss, {"output": net, "model_loss": loss}


def feed(seed=0):
    random = np.random.default_rng(seed)
    return {"x": random.random((4, 3), np.float32), "y": list(random.random((4, 1), np.float32))}


def arrays(batch):
    return {name: np.asarray(value) for name, value in batch.items()}


@pytest.fixture
def train_op():
    step = tf.train.get_or_create_global_step()
    rate = tf.train.exponential_decay(0.1, step, 1, 0.5)
    return slim.learning.create_train_op(loss_of, tf.train.MomentumOptimizer(rate, 0.9))


def by_hand(train_op, number):
    state, outputs = train_op.init(0, arrays(feed())), {}
    for seed in range(number):
        state, outputs = train_op(state, arrays(feed(seed)))
    return state, outputs


def assert_same(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_steps_are_those_of_the_train_op(train_op):
    with sessions.TrainSession() as sess:
        for seed in range(3):
            loss, (output, none), values = sess.run(
                [train_op, ("output", None), {"step": sessions.GLOBAL_STEP, "loss": "model_loss"}],
                feed_dict=feed(seed),
            )
    state, outputs = by_hand(train_op, 3)
    assert_same(sess.state.variables, state.variables)
    np.testing.assert_array_equal(output, outputs["output"])
    assert none is None
    assert values == {"step": 3, "loss": loss}
    assert loss == outputs["loss"]
    assert isinstance(output, np.ndarray)


def test_a_run_without_the_train_op_changes_nothing(train_op):
    sess = sessions.TrainSession(train_op, iter([arrays(feed(seed)) for seed in range(3)]))
    assert sess.run(tf.train.get_or_create_global_step()) == 0
    first = sess.run("model_loss")
    before = jax.device_get(sess.state.variables)
    assert first != sess.run("model_loss")  # of the next batch
    assert_same(sess.state.variables, before)
    assert sess.run("global_step") == 0
    sess.run(train_op)
    assert sess.run("global_step") == 1
    with pytest.raises(StopIteration):
        sess.run("model_loss")


def test_a_learning_rate_is_that_of_the_step(train_op):
    rate = tf.train.exponential_decay(0.1, tf.train.get_or_create_global_step(), 1, 0.5)
    sess = sessions.TrainSession(train_op)
    assert sess.run(rate) == np.float32(0.1)
    sess.run(train_op, feed())
    assert sess.run([rate]) == [np.float32(0.05)]


def test_summaries_of_a_step_are_written(train_op, tmp_path):
    sess = sessions.TrainSession(train_op)
    summaries, loss = sess.run([sessions.SUMMARIES, train_op], feed())
    assert summaries == {"scalar/loss": loss}
    writer = sessions.FileWriter(str(tmp_path), None)
    writer.add_summary(summaries, global_step=1)
    writer.flush()
    (path,) = tmp_path.iterdir()
    assert b"loss" in path.read_bytes()
    writer.close()


def test_saved_is_restored_whole(train_op, tmp_path):
    saver = sessions.Saver(max_to_keep=1)
    with sessions.TrainSession(train_op) as sess:
        for seed in range(2):
            sess.run(train_op, feed(seed))
            path = saver.save(sess, str(tmp_path / "model.ckpt"), global_step=seed)
            # A script may end without closing its session.
            assert tf.train.latest_checkpoint(str(tmp_path)) == path
    assert path == str(tmp_path / "2")
    assert tf.train.latest_checkpoint(str(tmp_path)) == path
    assert not (tmp_path / "1").exists()
    again = sessions.TrainSession(train_op)
    saver.restore(again, path)  # before there is a state
    again.run(train_op, feed(2))
    assert_same(again.state.variables, by_hand(train_op, 3)[0].variables)
    batches = sessions.TrainSession(train_op, iter([arrays(feed(2))]))
    saver.restore(batches, path)
    assert batches.run(sessions.GLOBAL_STEP) == 2  # before a step
    batches.run(train_op)
    assert_same(batches.state.variables, again.state.variables)
    waiting = sessions.TrainSession(train_op)
    saver.restore(waiting, path)
    with pytest.raises(ValueError, match="what was restored is read at the first run that has a"):
        waiting.run("global_step")
    with pytest.raises(RestoreError, match=r"Saver\.restore: there is no checkpoint 'none'"):
        saver.restore(again, "none")


def test_parts_of_a_checkpoint_of_tensorflow(train_op, tmp_path):
    path = str(tmp_path / "old.ckpt")
    state = by_hand(train_op, 1)[0]
    ones = {name: np.ones_like(leaf) for name, leaf in slim.get_variables(state).items()}
    slim.tf_checkpoint.save_checkpoint(path, ones)
    chosen = sessions.Later(slim.get_variables_to_restore, exclude=["bn"])
    for restore in (sessions.Saver(chosen).restore, None):
        sess = sessions.TrainSession(train_op)
        if restore:
            restore(sess, path)
        else:
            sessions.assign_from_checkpoint_fn(path, chosen)(sess)
        sess.run("loss", feed())
        np.testing.assert_array_equal(sess.state.params["fc"]["weights"], 1)
        np.testing.assert_array_equal(sess.state.params["bn"]["beta"], 0)
    sess = sessions.TrainSession(train_op)
    sess.run("loss", feed())
    sessions.Saver().restore(sess, path)
    np.testing.assert_array_equal(sess.state.params["bn"]["beta"], 1)


def test_a_supervisor_goes_on_where_it_was(train_op, tmp_path):
    calls = []
    for _ in range(2):
        sv = sessions.Supervisor(train_op, logdir=str(tmp_path), init_fn=calls.append)
        with sv.managed_session() as sess:
            assert not sv.should_stop()
            *_, step, summaries = sess.run([train_op, sv.global_step, sv.summary_op], feed())
            sv.summary_computed(sess, summaries)
            sv.stop()
            assert sv.should_stop()
    assert step == 2
    assert len(calls) == 1
    names = {path.name for path in tmp_path.iterdir()}
    assert {"1", "2"} < names
    assert any("tfevents" in name for name in names)


def test_a_supervisor_saves_by_the_clock_and_without_a_saver_not(train_op, tmp_path):
    for saver, expected in ((sessions.Saver(), True), (None, False)):
        logdir = tmp_path / str(expected)
        sv = sessions.Supervisor(logdir=str(logdir), saver=saver, save_model_secs=1e-9)
        with sv.managed_session() as sess:
            sess.run(train_op, feed())
            sess.close()  # waits
            assert (logdir / "1").is_dir() == expected


def test_what_is_fed_is_read_by_name():
    class Model:
        def __init__(self):
            self.x = sessions.fed("x", tf.float32)
            self.loss = slim.fully_connected(self.x, 1, scope="fc").mean()

    def total_loss(batch):
        with sessions.feeding(batch):
            return Model().loss

    sess = sessions.TrainSession(
        slim.learning.create_train_op(total_loss, tf.train.AdamOptimizer())
    )
    assert sess.run("loss", {"x": np.ones((2, 3), np.uint8)}).shape == ()
    with pytest.raises(ValueError, match=r"fed\('x'\): nothing is fed here; build the model in"):
        Model()
    with pytest.raises(ValueError, match=r"fed\('x'\): nothing of this name.*there is images"):
        sess.run("loss", {"images": 0})


def test_what_is_wrong_is_said(train_op):
    other = slim.learning.create_train_op(loss_of, tf.train.AdamOptimizer())
    sess = sessions.TrainSession()
    with pytest.raises(ValueError, match=r"no train op was fetched yet.*TrainSession\(train_op\)"):
        sess.run("loss", feed())
    with pytest.raises(ValueError, match=r"there is no batch; give feed_dict=\{name: array\}"):
        sess.run(train_op)
    with pytest.raises(ValueError, match="made at the first run that has a batch"):
        sess.state  # noqa: B018
    with pytest.raises(ValueError, match="a session has one train op"):
        sess.run([train_op, other], feed())
    with pytest.raises(TypeError, match=r"TrainSession.run: feed_dict must be names, got int"):
        sess.run(train_op, {3: feed()["x"]})
    with pytest.raises(ValueError, match="gives no output 'modelloss'; did you mean 'model_loss'"):
        sess.run("modelloss", feed())
    with pytest.raises(ValueError, match="Supervisor: it writes no summaries by itself"):
        sessions.Supervisor(logdir="a", summary_op=sessions.SUMMARIES)
