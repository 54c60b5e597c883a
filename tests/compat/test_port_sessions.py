"""`jslim port` on training scripts: sessions, what goes with them, and the loss as a function."""

import ast
import textwrap

import jax
import numpy as np
import pytest

import jslim as slim
from jslim.compat.port import Outcome, port_source

HEAD = "import tensorflow as tf\nimport tensorflow.contrib.slim as slim\n"
PORTED = "from jslim.compat import tf\nfrom jslim.compat import sessions\nimport jslim as slim\n"

OP = "train_op = make_train_op(config)\n"
RUN = "sess = tf.Session()\nsess.run(train_op)"


def function(body):
    return "\ndef main(config):\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")


# By name: what stands in a function that makes `train_op` and runs it, and what becomes of it.
CASES = {
    "session": (
        "with tf.Session() as sess:\n    sess.run(train_op)",
        "with sessions.TrainSession(train_op) as sess:\n    sess.run(train_op)",
    ),
    "config": (
        """
        options = tf.GPUOptions(allow_growth=True)
        settings = tf.ConfigProto(gpu_options=options)
        settings.gpu_options.allow_growth = True
        # it runs
        sess = tf.Session(config=settings)
        sess.run(train_op)
        """,
        "# it runs\nsess = sessions.TrainSession(train_op)\nsess.run(train_op)",
    ),
    "initializers": (
        """
        init = tf.group(tf.global_variables_initializer(), tf.local_variables_initializer())
        sess = tf.Session()
        # first
        sess.run(init)
        sess.run([tf.global_variables_initializer(), tf.tables_initializer()])
        sess.run(train_op)
        """,
        "sess = sessions.TrainSession(train_op)\n# first\nsess.run(train_op)",
    ),
    "queues": (
        """
        sess = tf.Session()
        coord = tf.train.Coordinator()
        threads = tf.train.start_queue_runners(sess=sess, coord=coord)
        sess.run(train_op)
        coord.request_stop()
        coord.join(threads)
        """,
        "sess = sessions.TrainSession(train_op)\nsess.run(train_op)",
    ),
    "graph": (
        """
        with tf.Graph().as_default(), tf.device('/cpu:0'):
            with tf.Session() as sess:
                sess.graph.finalize()
                sess.run(train_op)
        """,
        """
        with tf.device('/cpu:0'):
            with sessions.TrainSession(train_op) as sess:
                sess.run(train_op)
        """,
    ),
    "fetches": (
        """
        sess = tf.Session()
        _, (a, b), c = sess.run([train_op, (loss, net.end), None], feed_dict={x: 1, net.y: 2})
        found = sess.run({'loss': loss, 'op': train_op}, {x: 1})
        """,
        """
        sess = sessions.TrainSession(train_op)
        _, (a, b), c = sess.run([train_op, ('loss', 'end'), None], feed_dict={'x': 1, 'y': 2})
        found = sess.run({'loss': 'loss', 'op': train_op}, {'x': 1})
        """,
    ),
    "names_of_fetches": (
        """
        sess = tf.Session()
        fetches = {'op': train_op}
        fetches['loss'] = loss
        feed = {x: 1}
        feed[y] = 2
        sess.run(fetches, feed_dict=feed)
        """,
        """
        sess = sessions.TrainSession(train_op)
        fetches = {'op': train_op}
        fetches['loss'] = 'loss'
        feed = {'x': 1}
        feed['y'] = 2
        sess.run(fetches, feed_dict=feed)
        """,
    ),
    "steps_and_rates": (
        """
        step = tf.Variable(0, name='global_step', trainable=False)
        count = tf.assign(step, step + 1)
        rate = tf.train.exponential_decay(0.1, step, 10, 0.5)
        sess = tf.Session()
        a, b, c = sess.run([step, count, train_op])
        print(rate.eval(session=sess))
        """,
        """
        step = tf.train.get_or_create_global_step()
        count = step
        rate = tf.train.exponential_decay(0.1, step, 10, 0.5)
        sess = sessions.TrainSession(train_op)
        a, b, c = sess.run([step, count, train_op])
        print(sess.run(rate))
        """,
    ),
    "saver": (
        """
        saver = tf.train.Saver(tf.global_variables(), max_to_keep=3)
        sess = tf.Session()
        saver.restore(sess, 'a')
        sess.run(train_op)
        saver.save(sess, 'b', global_step=1)
        """,
        """
        saver = sessions.Saver(max_to_keep=3)
        sess = sessions.TrainSession(train_op)
        saver.restore(sess, 'a')
        sess.run(train_op)
        saver.save(sess, 'b', global_step=1)
        """,
    ),
    "chosen_variables": (
        """
        chosen = slim.get_variables_to_restore(exclude=['fc8'])
        saver = tf.train.Saver(chosen)
        restore = slim.assign_from_checkpoint_fn('a', slim.get_model_variables())
        with tf.Session() as sess:
            restore(sess)
            sess.run(train_op)
        """,
        """
        chosen = sessions.Later(slim.get_variables_to_restore, exclude=['fc8'])
        saver = sessions.Saver(chosen)
        restore = sessions.assign_from_checkpoint_fn('a', sessions.Later(slim.get_model_variables))
        with sessions.TrainSession(train_op) as sess:
            restore(sess)
            sess.run(train_op)
        """,
    ),
    "summaries": (
        """
        merged = tf.summary.merge_all()
        sess = tf.Session()
        writer = tf.summary.FileWriter('logs', sess.graph)
        writer.add_graph(sess.graph)
        text, _ = sess.run([merged, train_op])
        writer.add_summary(text, 1)
        """,
        """
        merged = sessions.SUMMARIES
        sess = sessions.TrainSession(train_op)
        writer = sessions.FileWriter('logs')
        text, _ = sess.run([merged, train_op])
        writer.add_summary(text, 1)
        """,
    ),
    "summaries_made_there": (
        """
        merged = tf.summary.merge([
            tf.summary.scalar('a', loss),  # one
            shown])
        sess = tf.Session()
        sess.run([merged, train_op])
        """,
        """
        tf.summary.scalar('a', loss)
        merged = sessions.SUMMARIES
        sess = sessions.TrainSession(train_op)
        sess.run([merged, train_op])
        """,
    ),
    "supervisor": (
        """
        sv = tf.train.Supervisor(logdir='logs', is_chief=True, summary_op=None, save_model_secs=60)
        with sv.managed_session(config=tf.ConfigProto()) as sess:
            while not sv.should_stop():
                sess.run([train_op, sv.global_step])
        """,
        """
        sv = sessions.Supervisor(train_op, logdir='logs', save_model_secs=60)
        with sv.managed_session() as sess:
            while not sv.should_stop():
                sess.run([train_op, sv.global_step])
        """,
    ),
    "placeholders": (
        "x = tf.placeholder(tf.float32, [None, 4], name='in')\n" + RUN,
        "x = sessions.fed('x', tf.float32)\n"
        "sess = sessions.TrainSession(train_op)\nsess.run(train_op)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_a_loop_becomes(name):
    old, new = (function(OP + textwrap.dedent(text).strip("\n")) + "\n" for text in CASES[name])
    ported = port_source(HEAD + old)
    assert ported.source == PORTED + new
    ast.parse(ported.source)
    assert port_source(ported.source).source == ported.source
    outcomes = {finding.outcome for finding in ported.findings}
    assert not outcomes & {Outcome.PERSON, Outcome.UNKNOWN}
    lines = {f.line for f in ported.findings if f.outcome is Outcome.DROPPED}
    assert all(0 < line <= old.count("\n") + 3 for line in lines)


# What stays: its function, and what must still be in it.
KEPT = {
    "inference": ("x = tf.placeholder(tf.float32)\ntf.Session().run(y, {x: 1})", "(y, {x: 1})"),
    "item_of_a_tensor": (OP + "sess = tf.Session()\nsess.run([train_op, a[0]])", "a[0]]"),
    "two_of_one_name": (OP + "sess = tf.Session()\nsess.run([train_op, a.x, b.x])", "a.x, b.x]"),
    "key_of_a_feed": (OP + "sess = tf.Session()\nsess.run(train_op, {f(): 1})", "{f(): 1}"),
    "name_that_changes": (
        OP + "sess = tf.Session()\nfeed = {x: 1}\nfeed = f(feed)\nsess.run(train_op, feed)",
        "feed = {x: 1}",
    ),
    "option_in_use": (
        OP + "c = tf.ConfigProto()\nprint(c)\nsess = tf.Session(config=c)\nsess.run(train_op)",
        "c = tf.ConfigProto()\n",
    ),
    "coordinator_in_use": (
        OP + "c = tf.train.Coordinator()\nt = tf.train.start_queue_runners(coord=c)\n"
        "sess = tf.Session()\nwhile not c.should_stop():\n    sess.run(train_op)\nc.join(t)",
        "c.join(t)",
    ),
    "saver_of_some": (
        OP + "s = tf.train.Saver([v for v in config.kept])\n" + RUN,
        "tf.train.Saver([v for v in config.kept])",
    ),
    "saver_by_the_hour": (
        OP + "s = tf.train.Saver(keep_checkpoint_every_n_hours=1)\n" + RUN,
        "tf.train.Saver(keep_checkpoint_every_n_hours=1)",
    ),
    "supervisor_that_writes": (
        OP + "sv = tf.train.Supervisor(logdir='a')\nwith sv.managed_session() as sess:\n"
        "    sess.run(train_op)",
        "tf.train.Supervisor(logdir='a')",
    ),
    "is_training": (
        OP + "is_training = tf.placeholder(tf.bool)\n" + RUN,
        "is_training = tf.placeholder(tf.bool)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_is_not_certain_is_left_and_marked(name):
    body, kept = KEPT[name]
    ported = port_source(HEAD + function(body) + "\n")
    assert kept in textwrap.dedent(ported.source.partition("def main(config):\n")[2])
    assert "# PORT: " in ported.source
    assert port_source(ported.source).source == ported.source


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


def test_a_loop_of_slim():
    source = HEAD + textwrap.dedent("""
        def main(loss, logdir):
            with tf.Graph().as_default():
                # with Adam
                op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
                merged = tf.summary.merge_all()
                slim.learning.train(op, logdir, master='', is_chief=True, summary_op=merged,
                                    number_of_steps=3, global_step=slim.get_global_step())
    """)
    ported = port_source(source)
    assert "    slim.learning.train(op, logdir, number_of_steps=3)\n" in ported.source
    assert "\n    # with Adam\n" in ported.source
    assert "    # PORT: slim.learning.train: batches come second" in ported.source
    rows = {f.name for f in ported.findings if f.outcome is Outcome.DROPPED}
    assert rows == {".as_default", "master=", "is_chief=", "summary_op=", "global_step="}
    kept = port_source(source.replace("summary_op=merged", "summary_op=None")).source
    assert "slim.learning.train(op, logdir, summary_op=None,\n" in kept


def test_placeholders_of_a_class():
    source = "import tensorflow as tf\n" + textwrap.dedent("""
        class Net:
            def __init__(self):
                self.images = tf.placeholder(tf.float32, [None, 4])
                self.is_training = tf.placeholder(tf.bool)
                other = tf.placeholder(tf.float32)
    """)
    new = port_source(source).source
    assert new.startswith("from jslim.compat import tf\nfrom jslim.compat import sessions\n")
    assert "        self.images = sessions.fed('images', tf.float32)\n" in new
    assert new.count("# PORT: tf.placeholder") == 2
    assert port_source(new).source == new


def test_a_script_without_functions():
    body = SCRIPT.partition("    with tf.Graph().as_default():\n")[2].rpartition("    return")[0]
    start = HEAD + "import numpy as np\nfactor = 2\nresults = []\nsteps = 2\n"
    source = start + textwrap.dedent(body).replace("network(x * factor", "slim.linear(x, 4")
    ported = port_source(source)
    assert "\n\ndef compute_loss(batch):\n    # what goes in\n" in ported.source
    namespace: dict = {}
    exec(ported.source, namespace)
    assert len(namespace["results"]) == 2


def test_a_session_that_is_handed_on():
    source = HEAD + textwrap.dedent("""
        def step(sess, train_op, loss, x):
            return sess.run([train_op, loss], feed_dict={x: 1})

        def test(sess, y):
            return sess.run(y)

        class Trainer:
            def __init__(self, loss):
                self.train_op = slim.learning.create_train_op(loss, tf.train.AdamOptimizer())
                self.sess = tf.Session()

            def save(self, x):
                return self.sess.run(self.net.loss, feed_dict={self.net.x: x})

        def main(loss, x):
            train_op = make_train_op(loss)
            with tf.Session() as sess:
                step(sess, train_op, loss, x)

        def show(x):
            with tf.Session() as sess:
                return sess.run(x)
    """)
    new = port_source(source).source
    assert "    return sess.run([train_op, loss], feed_dict={'x': 1})\n" in new
    assert "    return sess.run(y)\n" in new
    assert "        self.sess = sessions.TrainSession(self.train_op)\n" in new
    assert "        return self.sess.run('loss', feed_dict={'x': x})\n" in new
    assert "    with sessions.TrainSession(train_op) as sess:\n" in new
    assert "    with tf.Session() as sess:\n        # PORT: tf.Session" in new


def test_names_of_sessions_that_a_script_has_itself():
    body = OP + "sess = tf.Session()\nsess.run(train_op)"
    ported = port_source(HEAD + "sessions = []\n" + function(body) + "\n").source
    assert "    sess = tf.Session()\n" in ported
    assert ported.count("# PORT: tf.Session") == 2
