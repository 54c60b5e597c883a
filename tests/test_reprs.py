"""What objects say of themselves: what they are, how large, in which state; never their arrays."""

import copy
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jslim as slim
from jslim.data import TFRecordFiles, TFRecordWriter
from jslim.prediction import Classifier, Predictions

BATCH = {"image": np.ones((2, 8, 8, 1), np.float32), "label": np.array([1, 2])}


def net(images, num_classes=10, is_training=True):
    net = slim.conv2d(images, 4, 3, normalizer_fn=slim.batch_norm)
    return slim.linear(slim.flatten(net), num_classes)


def loss(batch):
    return slim.losses.sparse_softmax_cross_entropy(net(batch["image"]), batch["label"])


@functools.cache
def train_op():
    return slim.learning.create_train_op(loss, slim.optimizers.adam(1e-3), moving_average_decay=0.9)


def used_up(state):
    train_op()(state, BATCH)
    return state


def computed(state):
    return jax.block_until_ready(state)


def first_state():
    return computed(train_op().init(0, BATCH))


def batches(**options):
    made = slim.data.batches(slim.data.digits("train"), 64, is_training=True, **options)
    for _ in range(30):
        next(made)
    return made


def closed(iterator):
    iterator.close()
    return iterator


def updated(metric, *data):
    return metric.update(metric.init(), *data)


def lenet_scope():
    with slim.arg_scope(slim.nets.lenet.lenet_arg_scope(0.1)) as scope:
        return scope


STATE = (
    "4 variables of 2,610 numbers (10.4 kB), 8 moving statistics, 20.9 kB of optimizer state, "
    "moving averages>"
)
REPRS = {
    "model": (
        lambda: slim.Model(net), "<Model of net(images, num_classes=10, is_training=True)>"
    ),
    "model_of_a_partial": (
        lambda: slim.Model(functools.partial(net, num_classes=3)),
        "<Model of net(images, num_classes=3, is_training=True)>",
    ),
    "train_op_before_init": (
        lambda: slim.learning.create_train_op(loss, optax.sgd(0.1), check_numerics=False),
        "<TrainOp of loss(batch), on 1 cpu device, before init, check_numerics=False>",
    ),
    "train_op": (
        lambda: first_state() and train_op(),
        "<TrainOp of loss(batch), on 1 cpu device, trains 4 of 6 variables, "
        "moving_average_decay=0.9>",
    ),
    "state": (first_state, f"<TrainState: step 0, {STATE}"),
    "state_of_shapes": (
        lambda: train_op().init_shapes(0, BATCH), f"<TrainState: step int32[], {STATE}"
    ),
    "state_of_a_program": (
        lambda: under_jit(first_state()), f"'<TrainState: step int32[], {STATE}'"
    ),
    "state_that_was_used_up": (
        lambda: used_up(first_state()),
        "<TrainState that was given to a step: its memory is used for the next one>",
    ),
    "metric": (
        lambda: slim.metrics.streaming_recall_at_k(5), "streaming_recall_at_k(k=5)"
    ),
    "metric_on_other_data": (
        lambda: slim.metrics.streaming_mean().on(net), "streaming_mean().on(net)"
    ),
    "metrics": (
        lambda: slim.metrics.aggregate_metric_map({"a": slim.metrics.count()}),
        "aggregate_metric_map({'a': count()})",
    ),
    "metric_of_ones_own": (
        lambda: slim.metrics.Metric(dict, net, dict, dict), "Metric(update=net)"
    ),
    "metric_state": (
        lambda: updated(slim.metrics.accuracy(), [0, 1, 1], [0, 0, 1]),
        "MeanState(total=2, weight=3)",
    ),
    "count_past_floats": (
        lambda: slim.metrics._accumulators.Sum(jnp.float32(2**30), jnp.float32(3)), "1073741827"
    ),
    "metric_state_of_a_program": (
        lambda: under_jit(slim.metrics.streaming_mean().init()),
        "'MeanState(total=float32[], weight=float32[])'",
    ),
    "metric_state_of_arrays": (
        lambda: slim.metrics.streaming_auc().init(),
        "DecisionState(counts=(float32[200], float32[200], float32[200], float32[200]), "
        "rejected=0)",
    ),
    "gathered": (
        lambda: slim.metrics.streaming_concat(max_size=4).init(),
        "GatheredState(rows={'values': float32[4]}, size=0, lost=0, rejected=0)",
    ),
    "confusion": (
        lambda: slim.metrics.confusion_matrix(3).init(),
        "ConfusionState(matrix=float32[3,3], rejected=0)",
    ),
    "moments": (
        lambda: slim.metrics.streaming_covariance().init(),
        "MomentState(weight=0, means=float32[2], moments=float32[2,2])",
    ),
    "histogram": (
        lambda: slim.metrics.auc_using_histogram([0, 1]).init(),
        "HistogramState(bins=float32[2,100], rejected=0)",
    ),
    "values": (
        lambda: slim.evaluation.evaluate_variables(
            {}, lambda v, b: (b["label"], b["label"]), [BATCH],
            slim.metrics.aggregate_metric_map(
                {"b": slim.metrics.accuracy(), "a": slim.metrics.confusion_matrix(3)}
            ),
        ),
        "{'b': 1, 'a': float32[3,3]}",
    ),
    "data": (
        lambda: slim.data.digits("test"),
        "<ArrayDataset 'digits/test': 360 images of 10 classes (0, 1, 2, and 7 more)>",
    ),
    "one_image": (
        lambda: slim.data.ArrayDataset(
            np.zeros((1, 8, 8, 1)), np.array([0]), 1, class_names=["a\n"]
        ),
        "<ArrayDataset 'arrays': 1 image of 1 class (a\\n)>",
    ),
    "batches": (
        lambda: batches(num_epochs=3),
        "<BatchIterator of 'digits/train': batches of 64, shuffled, at image 483 of 1,437 in epoch "
        "2>",
    ),
    "closed_batches": (
        lambda: closed(batches()),
        "<BatchIterator of 'digits/train': batches of 64, shuffled, at image 483 of 1,437 in epoch "
        "2, closed>",
    ),
    "prefetched": (
        lambda: closed(
            slim.data.prefetch_to_device(
                slim.data.batches(slim.data.digits("test"), 500, is_training=False),
                jax.sharding.SingleDeviceSharding(jax.devices()[0]),
            )
        ),
        re.compile(
            r"<DeviceBatchIterator, 2 ahead on 1 device, closed, over <BatchIterator of "
            r"'digits/test': batches of 500, in order, at image \d+ of 360 in epoch \d, closed>>"
        ),
    ),
    "arg_scope": (
        lenet_scope,
        "<ArgScope: defaults of 2 ops>\n"
        "  conv2d, fully_connected: weights_regularizer=l2_regularizer(scale=0.1),\n"
        "    weights_initializer=truncated_normal_initializer(mean=0.0, stddev=0.1),\n"
        "    activation_fn=relu",
    ),
    "predictions": (
        lambda: Predictions.of(np.array([[0.25, 0.75], [np.nan, np.nan]]), ["cat", "dog"]),
        "<Predictions of 2 images: dog 0.750, unreadable>",
    ),
}  # fmt: skip


def under_jit(tree):
    """What a tree says of itself while a function of it is traced."""
    said = []
    jax.jit(lambda traced: said.append(repr(traced)))(tree)
    return said[0]


@pytest.mark.parametrize("name", REPRS)
def test_object_says_what_it_is(name):
    make, text = REPRS[name]
    if isinstance(text, re.Pattern):
        assert text.fullmatch(repr(make()))
    else:
        assert repr(make()) == text


def test_a_step_under_way_is_not_waited_for(monkeypatch):
    state = first_state()
    assert repr(state).startswith("<TrainState: step 0, ")
    monkeypatch.setattr("jslim.core.reprs.is_computed", lambda leaf: False)
    monkeypatch.setattr(type(state.step), "__array__", lambda *_: pytest.fail("it was read"))
    assert repr(state).startswith("<TrainState: a step under way, 4 variables")


def test_checkpoints_say_what_they_hold(tmp_path):
    state = first_state()
    where = re.escape(str(tmp_path))
    with slim.checkpoints.CheckpointManager(tmp_path) as manager:
        assert repr(manager) == f"<CheckpointManager of '{tmp_path}': no checkpoint yet>"
        manager.save(7, state, contract={"model_name": "lenet"})
        manager.wait()
        assert repr(manager) == (
            f"<CheckpointManager of '{tmp_path}': 1 checkpoint, the newest of step 7>"
        )
    found = {
        slim.checkpoints.open_checkpoint: f"<JslimReader of '{where}/7' of lenet: 23 arrays, ",
        slim.checkpoints.read_weights: f"<Weights of '{where}/7' at step 7: 6 variables of 2,618 "
        r"numbers \(10.5 kB\), moving averages>$",
        lambda path: slim.checkpoints.restore(path, state): f"<Restored step 7 of '{where}/7': 23 "
        r"arrays of [\d,]+ numbers \([\d.]+ kB\)>$",
    }
    for read, text in found.items():
        assert re.match(text, repr(read(tmp_path)))
    variables = slim.checkpoints.restore_variables(tmp_path)
    with pytest.raises(TypeError, match=r"^save_checkpoint: params must be an array, got a dict; "):
        slim.tf_checkpoint.save_checkpoint(tmp_path / "model.ckpt", variables)
    named = slim.get_variables(variables)
    slim.tf_checkpoint.save_checkpoint(tmp_path / "model.ckpt", named)
    reader = slim.tf_checkpoint.load_checkpoint(tmp_path / "model.ckpt")
    assert repr(reader).endswith("model.ckpt': 6 arrays, 2,618 numbers>")
    assign = slim.assign_from_checkpoint_fn(tmp_path / "model.ckpt", variables)
    assign(variables)
    assert re.match(r"<RestoreReport: checkpoint \S+: 6 loaded, ", repr(assign.report))


def test_records_say_how_many_they_are(tmp_path):
    for number in range(2):
        with TFRecordWriter(tmp_path / f"{number}.tfrecord") as writer:
            writer.write(b"a")
    files = TFRecordFiles([str(tmp_path / f"{number}.tfrecord") for number in range(2)])
    assert repr(files) == "<TFRecordFiles: 2 records in 2 files>"
    assert repr(files.files[0]) == f"<TFRecordFile '{tmp_path}/0.tfrecord': 1 record>"


def test_classifier_says_what_it_classifies():
    contract = {"model_name": "lenet", "num_classes": 2, "class_names": ["a", "b"]}
    contract |= {"image_size": 28, "num_channels": 1, "preprocessing_name": "lenet"}
    classifier = Classifier("runs/1", contract, {}, 30)
    assert repr(classifier) == (
        "<Classifier lenet: 2 classes, images of 28x28x1, from 'runs/1' at step 30>"
    )


def test_values_of_metrics_are_a_dict_for_jax_too():
    values = slim.evaluation.MetricValues(b=np.float32(0.5), a=np.zeros(2))
    assert values == {"b": np.float32(0.5), "a": values["a"]}
    doubled = jax.tree.map(lambda value: 2 * value, values)
    assert type(doubled) is type(values)
    assert float(doubled["b"]) == 1.0
    assert jax.tree.leaves(values)[1] == np.float32(0.5)
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(values)]
    assert paths == ["['a']", "['b']"]
    assert type(copy.copy(values)) is type(values)


def test_notebooks_get_tables():
    scope = lenet_scope()
    html = scope._repr_html_()
    assert html.count("<tr>") == 4
    assert '<td style="text-align:left">conv2d, fully_connected</td>' in html
    assert re.search(r"lenet\.py:\d+</td>", html)
    with slim.arg_scope(scope):
        html = slim.arg_scope_explain(slim.conv2d)._repr_html_()
    assert '<td style="text-align:left">l2_regularizer(scale=0.1)</td>' in html
    predictions = Predictions.of(np.array([[0.25, 0.75], [np.nan, np.nan]]), ["<cat>", "dog"])
    rows = predictions._repr_html_().split("<tr>")
    assert "dog 0.750" in rows[2]
    assert "&lt;cat&gt; 0.250" in rows[2]
    assert "nan" not in rows[3]
