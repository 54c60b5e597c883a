"""`jslim port` on training scripts: sessions, and what goes with them."""

import ast
import textwrap

import pytest

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
