"""`jslim port` on loaders: providers, queues and `tf.train.batch` become `loaders.batches`."""

import ast
import textwrap

import numpy as np
import pytest

import jslim as slim
from jslim.compat.port import Outcome, files, port_source

HEAD = "import tensorflow as tf\nimport tensorflow.contrib.slim as slim\n"
PORTED = "from jslim.compat import tf\nfrom jslim.compat import loaders\nimport jslim as slim\n"
PROVIDER = "provider = slim.dataset_data_provider.DatasetDataProvider(dataset, shuffle=False)\n"


def function(body):
    return "\ndef load_batch(dataset, size):\n" + textwrap.indent(
        textwrap.dedent(body).strip("\n"), "    "
    )


# By name: what stands in a function that returns a batch, and what becomes of it.
RETURNED = {
    "provider": (
        PROVIDER
        + """
# one record
image, label = provider.get(['image', 'label'])
image = tf.to_float(image)
# a batch
images, labels = tf.train.batch([image, label], batch_size=size, num_threads=4, capacity=9)
return images, labels
""",
        PROVIDER
        + """
def load_record(image, label):
    # one record
    image = tf.to_float(image)
    return {'image': image, 'label': label}

# a batch
return loaders.batches(
    loaders.items(provider, ['image', 'label']), load_record,
    batch_size=size, num_threads=4)
""",
    ),
    "after_the_batch": (
        PROVIDER
        + """
[image, label] = provider.get(['image', 'label'])
images, labels = tf.train.batch([image, label], size)
labels = slim.one_hot_encoding(labels, 10)
return images, labels
""",
        PROVIDER
        + """
def load_record(image, label):
    return {'image': image, 'label': label}

def finish_batch(batch):
    images, labels = batch['image'], batch['label']
    labels = slim.one_hot_encoding(labels, 10)
    return {'image': images, 'label': labels}

return loaders.batches(
    loaders.items(provider, ['image', 'label']), load_record,
    batch_size=size, batch_fn=finish_batch)
""",
    ),
    "some_and_a_number": (
        PROVIDER
        + """
image, label = provider.get(['image', 'label'])
width = size + 1
small = tf.image.resize_images(image, [width, width])
images, _, labels = tf.train.batch([image, small, label], size)
return images, labels, dataset.num_samples
""",
        PROVIDER
        + """width = size + 1

def load_record(image, label):
    small = tf.image.resize_images(image, [width, width])
    return {'image': image, 'label': label}

return loaders.batches(
    loaders.items(provider, ['image', 'label']), load_record,
    batch_size=size), dataset.num_samples
""",
    ),
    "slices": (
        """
        with tf.name_scope('input'):
            paths, labels = dataset
            queue = tf.train.slice_input_producer([paths, labels], num_epochs=2, capacity=9)
            image = tf.image.decode_jpeg(tf.read_file(queue[0]), channels=3)
            return tf.train.shuffle_batch([image, queue[1]], size, 90, 30, 2, seed=1)
        """,
        None,
    ),
    "queue_itself": (
        """
        queue = tf.train.slice_input_producer([dataset.x, dataset.y])
        x, y = tf.train.shuffle_batch(queue, batch_size=size, capacity=64, min_after_dequeue=32)
        return x, y
        """,
        """
        def load_record(*queue):
            return {'x': queue[0], 'y': queue[1]}

        return loaders.batches(
            loaders.slices([dataset.x, dataset.y]), load_record,
            batch_size=size, shuffle=True)
        """,
    ),
    "dict": (
        PROVIDER
        + """
image, label = provider.get(['image', 'label'])
return tf.train.batch({'pixels': image, 'class': label}, batch_size=size, dynamic_pad=True)
""",
        PROVIDER
        + """
def load_record(image, label):
    return {'pixels': image, 'class': label}

return loaders.batches(
    loaders.items(provider, ['image', 'label']), load_record,
    batch_size=size, dynamic_pad=True)
""",
    ),
}  # fmt: skip
RETURNED["slices"] = (
    RETURNED["slices"][0].replace("return tf", "a, b = tf") + "    return a, b\n",
    """
        with tf.name_scope('input'):
            paths, labels = dataset

            def load_record(*queue):
                image = tf.image.decode_jpeg(tf.read_file(queue[0]), channels=3)
                return {'image': image, 'b': queue[1]}

            return loaders.batches(
                loaders.slices([paths, labels], num_epochs=2), load_record,
                batch_size=size, num_threads=2, seed=1, shuffle=True)
    """,
)


@pytest.mark.parametrize("name", RETURNED)
def test_what_a_function_of_a_batch_becomes(name):
    old, new = (function(text) + "\n" for text in RETURNED[name])
    ported = port_source(HEAD + old)
    assert ported.source == PORTED + new
    ast.parse(ported.source)
    assert port_source(ported.source).source == ported.source
    assert not {f.outcome for f in ported.findings} & {Outcome.PERSON, Outcome.UNKNOWN}
    assert all(0 < f.line <= old.count("\n") + 3 for f in ported.findings)


GET = PROVIDER + "image, label = provider.get(['image', 'label'])\n"
BATCH = "images, labels = tf.train.batch([image, label], batch_size=size)\n"
# What stays: by what is not certain, the function.
KEPT = {
    "used_outside": GET + BATCH + "return images, tf.shape(image)",
    "changed_after": "width = 3\n" + GET + "image = image[:width]\n" + BATCH + "width = 4\n"
    "return images, labels",
    "changed_before": "width = 3\n" + GET + "image = image[:width]\nwidth = 4\n" + BATCH
    + "return images, labels",
    "a_closure": GET + "def f():\n    return image\n" + BATCH + "return images, labels",
    "many": GET + BATCH.replace("size)", "size, enqueue_many=True)") + "return images, labels",
    "stars": GET + BATCH.replace("size)", "size, **dataset)") + "return images, labels",
    "two_items_of_one_name": GET + "a = b = tf.train.batch([image, label], size)\nreturn a",
    "by_number": GET + "return tf.train.batch([image + 1, label], size)",
    "another_provider": GET.replace("provider.get", "other.get") + BATCH + "return images, labels",
    "a_queue_of_files": "queue = tf.train.string_input_producer(dataset)\n"
    "images = tf.train.batch([queue.dequeue()], size)\nreturn images",
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_is_not_certain_is_left_and_marked(name):
    ported = port_source(HEAD + function(KEPT[name]) + "\n")
    assert not any(line.startswith(PORTED.splitlines()[1]) for line in ported.source.splitlines())
    assert "# PORT: tf.train.batch: write what is done with one record as" in ported.source
    assert port_source(ported.source).source == ported.source


def test_names_that_a_script_has_itself():
    source = HEAD + "loaders = []\n" + function(GET + BATCH + "return images, labels")
    assert "# PORT: tf.train.batch" in port_source(source).source


def test_a_batch_that_is_an_object_is_taken_out_of_a_batch():
    body = GET + BATCH + "return Inputs(images, labels)"
    new = port_source(HEAD + function(body)).source
    assert "    images, labels = sessions.fed('image'), sessions.fed('label')\n" in new
    assert "    # PORT: tf.train.batch: batches is an iterable of dicts of 'image', 'label';" in new


FILES = HEAD + textwrap.dedent("""
    def read(queue):
        reader = tf.TFRecordReader()
        _, serialized = reader.read(queue)
        features = tf.parse_single_example(serialized, {'x': tf.FixedLenFeature([2], tf.float32)})
        return features['x']

    def inputs(path):
        queue = tf.train.string_input_producer([path], num_epochs=1, shuffle=False)
        x = read(queue)
        xs = tf.train.batch([x], batch_size=2, allow_smaller_final_batch=True)
        return xs
""")


def test_records_of_files(tmp_path):
    path = str(tmp_path / "numbers.tfrecord")
    with slim.data.TFRecordWriter(path) as writer:
        for number in range(3):
            values = np.array([number, -number], np.float32)
            writer.write(slim.data.tf_example.make_example({"x": values}))
    ported = port_source(FILES)
    assert "# PORT" not in ported.source
    assert "    _, serialized = queue\n" in ported.source
    assert "reader" not in ported.source
    assert "    def load_record(*queue):\n        x = read(queue)\n" in ported.source
    assert port_source(ported.source).source == ported.source
    namespace: dict = {}
    exec(ported.source, namespace)
    found = [batch["x"].tolist() for batch in namespace["inputs"](path)]
    assert found == [[[0, 0], [1, -1]], [[2, -2]]]


SCRIPT = HEAD + textwrap.dedent("""
    from preprocessing import lenet_preprocessing

    def load_batch(dataset, batch_size=32, height=8, width=8, is_training=False):
        data_provider = slim.dataset_data_provider.DatasetDataProvider(
            dataset, common_queue_capacity=32, common_queue_min=8, seed=5)
        image_raw, label = data_provider.get(['image', 'label'])
        # what the network gets
        image = lenet_preprocessing.preprocess_image(image_raw, height, width, is_training)
        images, images_raw, labels = tf.train.batch(
            [image, image_raw, label], batch_size=batch_size, num_threads=2,
            capacity=2 * batch_size)
        return images, images_raw, labels

    def network(images, num_classes):
        with slim.arg_scope([slim.conv2d, slim.fully_connected],
                            weights_initializer=tf.constant_initializer(0.01)):
            net = slim.conv2d(images, 4, 3, scope='conv1')
            return slim.fully_connected(slim.flatten(net), num_classes, activation_fn=None)

    def get_init_fn(path):
        exclusions = ['fully_connected']
        chosen = []
        for var in slim.get_model_variables():
            for exclusion in exclusions:
                if var.op.name.startswith(exclusion):
                    break
            else:
                chosen.append(var)
        return slim.assign_from_checkpoint_fn(path, chosen)

    def main(dataset, logdir, checkpoint):
        with tf.Graph().as_default():
            images, _, labels = load_batch(dataset, 16, is_training=True)
            logits = network(images, dataset.num_classes)
            one_hot_labels = slim.one_hot_encoding(labels, dataset.num_classes)
            slim.losses.softmax_cross_entropy(logits, one_hot_labels)
            total_loss = slim.losses.get_total_loss()
            tf.summary.scalar('total loss', total_loss)
            optimizer = tf.train.GradientDescentOptimizer(0.5)
            train_op = slim.learning.create_train_op(total_loss, optimizer)
            final_loss = slim.learning.train(
                train_op,
                logdir=logdir,
                master='',
                number_of_steps=3,
                init_fn=get_init_fn(checkpoint),
                save_summaries_secs=1)
        return final_loss
""")


def test_a_script_trains_as_an_independent_computation(tmp_path):
    ported = port_source(SCRIPT)
    outcomes = {finding.outcome for finding in ported.findings}
    assert outcomes == {Outcome.SAME, Outcome.CONVERTED, Outcome.DROPPED}
    assert "# PORT" not in ported.source
    assert port_source(ported.source).source == ported.source
    assert "    batches = load_batch(dataset, 16, is_training=True)\n" in ported.source
    assert "        images, labels = batch['image'], batch['label']\n" in ported.source
    assert "init_fn=sessions.init_later(get_init_fn, checkpoint)" in ported.source
    kernel = np.random.default_rng(0).normal(size=[3, 3, 1, 4]).astype(np.float32)
    path = str(tmp_path / "old" / "model.ckpt")
    stored = {"conv1/weights": kernel, "conv1/biases": np.zeros(4, np.float32)}
    slim.tf_checkpoint.save_checkpoint(path, stored)
    dataset = slim.data.get_dataset("digits", "train")
    namespace: dict = {}
    exec(ported.source, namespace)
    final = namespace["main"](dataset, str(tmp_path / "run"), path)

    # By NumPy: the weights of the head are all 0.01, so that all classes have one probability at
    # the first step, whatever the images are; then its gradients are those of a linear layer.
    order = slim.data.order.Order(5, len(dataset), shuffle=True)
    head, bias = np.full([256, 10], 0.01), np.zeros(10)
    weights, biases = kernel.astype(np.float64), np.zeros(4)
    losses = []
    for step in range(3):
        rows = [dataset[order(step * 16 + row)] for row in range(16)]
        images = np.stack([row["image"] for row in rows]).astype(np.float64) / 128 - 1
        labels = np.array([row["label"] for row in rows])
        windows = windows_of(images)
        net = np.einsum("bijhwc,hwco->bijo", windows, weights) + biases
        logits = np.maximum(net, 0).reshape(16, -1) @ head + bias
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        losses.append(-np.log(chances[np.arange(16), labels]).mean())
        wrong = (chances - np.eye(10)[labels]) / 16
        inner = (wrong @ head.T).reshape(net.shape) * (net > 0)
        head = head - 0.5 * (np.maximum(net, 0).reshape(16, -1).T @ wrong)
        bias = bias - 0.5 * wrong.sum(0)
        weights = weights - 0.5 * np.einsum("bijhwc,bijo->hwco", windows, inner)
        biases = biases - 0.5 * inner.sum((0, 1, 2))
    np.testing.assert_allclose(losses[0], np.log(10), rtol=1e-6)
    np.testing.assert_allclose(final, losses[2], rtol=1e-4)
    records = slim.checkpoints.list_steps(str(tmp_path / "run"))
    assert records[-1].step == 3


def windows_of(images):
    """The 3x3 windows of `[batch, height, width, channels]` with zeros around."""
    padded = np.pad(images, [(0, 0), (1, 1), (1, 1), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    return windows.transpose(0, 1, 2, 4, 5, 3)


def test_the_first_loss_is_that_of_an_independent_computation(tmp_path):
    source = SCRIPT.replace("number_of_steps=3", "number_of_steps=1").replace(
        "tf.constant_initializer(0.01)", "tf.constant_initializer(0.0)"
    )
    namespace: dict = {}
    exec(port_source(source.replace("init_fn=get_init_fn(checkpoint),", "")).source, namespace)
    dataset = slim.data.get_dataset("digits", "train")
    np.testing.assert_allclose(namespace["main"](dataset, None, None), np.log(10), rtol=1e-6)


def test_a_session_takes_the_batches():
    start, _, _ = SCRIPT.partition("        final_loss = slim.learning.train(")
    source = start + textwrap.indent(textwrap.dedent("""
        with tf.Session() as sess:
            sess.run(tf.global_variables_initializer())
            with slim.queues.QueueRunners(sess):
                for _ in range(2):
                    final_loss, found = sess.run([train_op, labels])
    """), "        ") + "    return final_loss, found\n"  # fmt: skip
    ported = port_source(source.replace("0.01", "0.0"))
    assert "with sessions.TrainSession(train_op, batches) as sess:" in ported.source
    assert "QueueRunners" not in ported.source
    namespace: dict = {}
    exec(ported.source, namespace)
    dataset = slim.data.get_dataset("digits", "train")
    loss, labels = namespace["main"](dataset, None, None)
    order = slim.data.order.Order(5, len(dataset), shuffle=True)
    assert labels.tolist() == [dataset[order(16 + row)]["label"] for row in range(16)]
    assert 0 < loss < np.log(10)


def test_a_loader_of_another_file(tmp_path):
    load, _, main = SCRIPT.partition("def network")
    head, _, main_fn = main.partition("def get_init_fn")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "inputs.py").write_text(load)
    call = main_fn.partition("def main")[2].replace("load_batch(", "inputs.load_batch(")
    script = HEAD + "import inputs\n\ndef network" + head + "def main" + call
    script = script.replace("                init_fn=get_init_fn(checkpoint),\n", "")
    (tmp_path / "old" / "train.py").write_text(script)
    imported = script.replace("import inputs", "from inputs import load_batch")
    (tmp_path / "old" / "other.py").write_text(imported.replace("inputs.load_batch", "load_batch"))
    for _ in range(2):  # the second time the file of loaders is ported already
        done = [files.port_file(*pair) for pair in files.pairs_of([str(tmp_path / "old")], None)]
        texts = {file.path.name: file.ported.source for file in done}
        assert not any("# PORT" in text for text in texts.values())
        assert "    batches = inputs.load_batch(dataset, 16" in texts["train.py"]
        assert "    batches = load_batch(dataset, 16" in texts["other.py"]
        files.write(next(file for file in done if file.path.name == "inputs.py"))


def test_a_call_where_nothing_is_trained_is_marked():
    source = SCRIPT.partition("def main")[0] + textwrap.dedent("""
        def show(dataset):
            images, raw, labels = load_batch(dataset)
            return network(images, 10), print(load_batch(dataset))
    """)
    new = port_source(source).source
    assert (
        new.count("# PORT: load_batch: batches is an iterable of dicts of 'image', 'image_raw'")
        == 2
    )
    assert "    batches = load_batch(dataset)\n" in new
    assert port_source(new).source == new


def test_two_graphs_of_one_script():
    start, _, body = SCRIPT.partition("def main(dataset, logdir, checkpoint):\n")
    graph = textwrap.dedent(body.partition("    return final_loss")[0])
    graph = graph.replace("init_fn=get_init_fn(checkpoint),", "").replace("0.01", "0.0")
    setup = "dataset, logdir = slim.data.get_dataset('digits', 'train'), None\n"
    start = start.partition("def get_init_fn")[0]
    ported = port_source(start + setup + graph + graph.replace("0.5", "0.25"))
    assert ported.source.count("\ndef compute_loss(batch):\n") == 2
    assert "# PORT" not in ported.source
    namespace: dict = {}
    exec(ported.source, namespace)
    assert namespace["final_loss"] > 0


def test_a_reader_that_a_data_set_is_given():
    source = HEAD + textwrap.dedent("""
        def get_split(name, decoder, reader=None):
            reader = tf.TFRecordReader
            return slim.dataset.Dataset(name, reader, decoder, 3, {})

        def other(name, decoder, reader):
            return slim.dataset.Dataset(name, decoder=decoder, reader=tf.TextLineReader)
    """)
    new = port_source(source).source
    assert new.count("# PORT: slim.dataset.Dataset: the reader is None") == 1
    assert "    reader = None\n    return slim.dataset.Dataset" in new


def test_metrics_of_contrib_are_marked():
    new = port_source("import tensorflow as tf\nm = tf.contrib.metrics.streaming_accuracy(a, b)\n")
    assert "# PORT: tf.contrib.metrics.streaming_accuracy: a metric takes its" in new.source


def test_porting_twice_where_an_import_of_tensorflow_is_left():
    source = HEAD + "from tensorflow.contrib import quantize\n" + SCRIPT.removeprefix(HEAD)
    new = port_source(source).source
    assert "from tensorflow.contrib import quantize\n" in new
    assert port_source(new).source == new
