"""`jslim port` on training scripts: the loss as a function of a batch, and its outputs."""

import textwrap

import jax
import numpy as np
import pytest

import jslim as slim
from jslim.compat.port import Outcome, port_source

HEAD = "import tensorflow as tf\nimport tensorflow.contrib.slim as slim\n"


SCRIPT = HEAD + textwrap.dedent("""
    import numpy as np

    def network(x):
        return slim.batch_norm(slim.fully_connected(x, 4, activation_fn=None))

    def main(steps):
        factor = 2
        results = []
        with tf.Graph().as_default():
            # what goes in
            x = tf.placeholder(tf.float32, [None, 3], name='x')
            y = tf.placeholder(tf.int64, [None])
            parts = []
            step = tf.Variable(0, name='global_step', trainable=False)
            rate = tf.train.exponential_decay(0.5, step, 1, 0.5)
            logits = network(x * factor)
            for i in range(2):
                parts.append(tf.losses.sparse_softmax_cross_entropy(y, logits))
            loss = tf.add_n(parts)
            tf.summary.scalar('rate', rate)
            updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
            with tf.control_dependencies(updates):
                train_op = tf.train.GradientDescentOptimizer(rate).minimize(loss, global_step=step)
            # how good
            right = tf.reduce_mean(tf.to_float(tf.equal(tf.argmax(logits, 1), y)))
            with tf.Session() as sess:
                sess.run(tf.global_variables_initializer())
                for i in range(steps):
                    feed = {x: np.arange(24).reshape(8, 3) % 5, y: np.arange(8) % 4}
                    _, loss_value, good = sess.run([train_op, loss, right], feed_dict=feed)
                    results.append((loss_value, good, sess.run(rate)))
                    loss = loss_value
        return results, loss
""")


def test_a_script_computes_what_it_did():
    ported = port_source(SCRIPT)
    assert {f.outcome for f in ported.findings} == {
        Outcome.SAME, Outcome.CONVERTED, Outcome.DROPPED,
    }  # fmt: skip
    assert "        # what goes in\n        x = tf.cast(batch['x'], tf.float32)" in ported.source
    assert "        return loss, {'loss': loss, 'right': right}\n" in ported.source
    assert port_source(ported.source).source == ported.source
    namespace: dict = {}
    exec(ported.source, namespace)
    results, last = namespace["main"](3)

    def total_loss(batch):
        logits = namespace["network"](batch["x"] * np.float32(2))
        slim.losses.sparse_softmax_cross_entropy(logits, batch["y"])
        return 2 * slim.losses.get_total_loss()

    def rate(step):
        return 0.5 * 0.5**step

    train_op = slim.learning.create_train_op(total_loss, slim.optimizers.sgd(rate))
    batch = {"x": (np.arange(24).reshape(8, 3) % 5).astype(np.float32), "y": np.arange(8) % 4}
    state = train_op.init(0, batch)
    for number, (loss, good, rate_after) in enumerate(results):
        state, outputs = train_op(state, batch)
        np.testing.assert_allclose(loss, jax.device_get(outputs["loss"]), rtol=1e-5)
        assert rate_after == np.float32(rate(number + 1))
        assert 0 <= good <= 1
    assert last == results[-1][0]
    assert len(results) == 3


# Scripts whose loss stays where it is, by what is not certain in them: what stands there instead.
NO_FUNCTION = {
    "used_outside": ("return results, loss", "return results, logits"),
    "changed_after": ("        # how good", "        factor = 3\n            # how good"),
    "changes_an_argument": ("parts.append(", "steps.append("),
    "leaves": ("            parts.", "            if i > 1: break\n            parts."),
    "two_steps": ("# how good", "other_op = tf.train.AdamOptimizer().minimize(loss)"),
    "other_variables": ("global_step=step)", "global_step=step, var_list=[])"),
    "no_name": ("minimize(loss,", "minimize(loss + 1,"),
    "attribute": ("logits = network(x * factor)", "config.logits = logits = network(x * factor)"),
    "taken_name": ("factor = 2\n", "factor = batch = 2\n"),
}


@pytest.mark.parametrize("name", NO_FUNCTION)
def test_a_loss_that_cannot_be_taken_out_stays(name):
    old, new = NO_FUNCTION[name]
    assert old in SCRIPT
    ported = port_source(SCRIPT.replace(old, new))
    assert "compute_loss" not in ported.source
    assert "sessions.fed('x', tf.float32)" in ported.source
    assert "# PORT: .minimize" in ported.source


def marked(source):
    """The statements below `# PORT:` lines about an output, and the rest of the text."""
    lines = port_source(source).source.splitlines()
    places = [i for i, line in enumerate(lines) if "no output of the loss function" in line]
    return [lines[i + 1].strip() for i in places]


def test_a_fetch_that_is_no_output_of_the_function_made_is_marked():
    old = "results.append((loss_value"
    more = SCRIPT.replace("factor = 2", "factor = 2\n    other = steps.bit_length()").replace(
        old, f"print(sess.run([other, loss]))\n                {old}"
    )
    assert marked(SCRIPT) == []
    assert marked(more) == ["print(sess.run(['other', 'loss']))"]
    ported = port_source(more)
    assert [f.name for f in ported.findings if f.outcome is Outcome.PERSON] == ["sess.run('other')"]
    assert port_source(ported.source).source == ported.source


def test_a_fetch_of_what_variables_give_is_marked_where_the_loss_is_made_elsewhere():
    script = HEAD + textwrap.dedent("""
        class Net:
            def train(self):
                self.build()
                chosen = tf.trainable_variables()
                with tf.name_scope('parameter_count'):
                    parameter_count = tf.reduce_sum([tf.size(v) for v in chosen])
                total = 0
                for v in chosen:
                    total += tf.size(v)
                mean = tf.reduce_mean(self.scores)
                train_op = tf.train.AdamOptimizer().minimize(self.loss)
                with tf.Session() as sess:
                    print(sess.run(parameter_count))
                    sess.run([train_op, self.loss, mean, tf.train.get_global_step()])
                    if sess.run(total) > 3:
                        fetches = {'op': train_op}
                        fetches['count'] = parameter_count
                        sess.run(fetches)
    """)
    assert marked(script) == [
        "print(sess.run('parameter_count'))", "if sess.run('total') > 3:",
        "fetches['count'] = 'parameter_count'",
    ]  # fmt: skip


def test_fetches_in_a_named_display_become_outputs():
    old = "_, loss_value, good = sess.run([train_op, loss, right], feed_dict=feed)"
    new = (
        "fetches = {'op': train_op, 'good': right}\n                fetches['all'] = loss\n"
        "                found = sess.run(fetches, feed_dict=feed)\n"
        "                loss_value, good = found['all'], found['good']"
    )
    assert old in SCRIPT
    ported = port_source(SCRIPT.replace(old, new))
    assert "return loss, {'right': right, 'loss': loss}" in ported.source
    namespace: dict = {}
    exec(ported.source, namespace)
    plain: dict = {}
    exec(port_source(SCRIPT).source, plain)
    assert namespace["main"](2) == plain["main"](2)


TOWERS = HEAD + textwrap.dedent("""
    import numpy as np

    def average_gradients(tower_grads):
        return [np.mean(pairs) for pairs in zip(*tower_grads)]

    def main(count, steps):
        x = tf.placeholder(tf.float32, [None, 3])
        step = tf.get_variable('global_step', [], trainable=False)
        opt = tf.train.GradientDescentOptimizer(0.5)
        parts = tf.split(x, count)
        towers = []
        reuse = None
        for i in range(count):
            with tf.device('/gpu:%d' % i):
                out = slim.fully_connected(parts[i], 1, scope='fc', reuse=reuse)
                loss = tf.reduce_mean(tf.square(out - i))
                reuse = True
                grads = opt.compute_gradients(loss)
                towers.append(grads)
        grads = average_gradients(towers)
        apply_op = opt.apply_gradients(grads, global_step=step)
        averages = tf.train.ExponentialMovingAverage(0.9, step)
        averages_op = averages.apply(tf.trainable_variables())
        with tf.control_dependencies([apply_op, averages_op]):
            train_op = tf.no_op(name='train_op')
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            for i in range(steps):
                sess.run([train_op, loss], {x: np.arange(12).reshape(4, 3) / 10})
        return sess.state
""")


def test_towers_take_the_mean_of_their_losses():
    ported = port_source(TOWERS)
    assert "# PORT" not in ported.source
    assert "create_train_op(compute_loss, opt, moving_average_decay=0.9)" in ported.source
    assert "    train_op = apply_op\n" in ported.source
    assert port_source(ported.source).source == ported.source
    namespace: dict = {}
    exec(ported.source, namespace)
    state = namespace["main"](2, 3)

    def total_loss(batch):
        out = slim.fully_connected(batch["x"], 1, scope="fc")
        return ((out[:2] ** 2).mean() + ((out[2:] - 1) ** 2).mean()) / 2

    train_op = slim.learning.create_train_op(
        total_loss, slim.optimizers.sgd(0.5), moving_average_decay=0.9
    )
    batch = {"x": (np.arange(12).reshape(4, 3) / 10).astype(np.float32)}
    expected = train_op.init(0, batch)
    for _ in range(3):
        expected, _ = train_op(expected, batch)
    for ours, theirs in ((state.params, expected.params), (state.ema_params, expected.ema_params)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), ours, theirs)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("grads = average_gradients", "grads = sum_gradients"),
        ("towers.append(grads)", "towers.append(grads); print(grads)"),
        ("opt.apply_gradients", "other.apply_gradients"),
        ("Average(0.9, step)", "Average(0.9)"),
        ("averages.apply(tf.trainable_variables())", "averages.apply([loss])"),
        ("    reuse = None", "    reuse = mean_loss = None"),
    ],
)
def test_towers_that_are_left(old, new):
    assert old in TOWERS
    ported = port_source(TOWERS.replace(old, new))
    assert "# PORT: .compute_gradients" in ported.source
    assert "compute_loss" not in ported.source


def test_a_script_without_functions():
    body = SCRIPT.partition("    with tf.Graph().as_default():\n")[2].rpartition("    return")[0]
    start = HEAD + "import numpy as np\nfactor = 2\nresults = []\nsteps = 2\n"
    source = start + textwrap.dedent(body).replace("network(x * factor", "slim.linear(x, 4")
    ported = port_source(source)
    assert "\n\ndef compute_loss(batch):\n    # what goes in\n" in ported.source
    namespace: dict = {}
    exec(ported.source, namespace)
    assert len(namespace["results"]) == 2
