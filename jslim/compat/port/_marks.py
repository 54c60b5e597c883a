"""What a person must decide: the sentences of `# PORT:` lines."""

from collections.abc import Sequence

import libcst as cst

_GUIDE = "docs/migration.md"
SIGN = "# PORT:"


def _see(sentence: str, place: str) -> str:
    return f"{sentence}; see {_GUIDE}#{place}"


_OUTSIDE = _see(
    "within a model function as it stands; outside of one give the tree of variables, or the "
    "state, first",
    "scopes-and-variables",
)
# Names of slim that are there, and take or give something else than in a graph.
OF_SLIM = {
    "learning.train": _see(
        "batches come second, slim.learning.train(train_op, batches, logdir, ...), and init_fn "
        "takes and gives a state; or sessions.train, whose init_fn takes a session, and which "
        "gives the last loss",
        "learning",
    ),
    "learning.create_train_op": _see(
        "total_loss is a function of a batch, into which the lines go from the images to the loss, "
        "with what sessions.fed gives in: with sessions.feeding(batch): ...; beside the loss it "
        "returns what is fetched by name, {name: array}",
        "learning",
    ),
    "training.create_train_op": _see("total_loss is a function of a batch", "learning"),
    "training.train": _see(
        "batches come second, slim.training.train(train_op, batches, logdir, number_of_steps=...)",
        "learning",
    ),
    "optimize_loss": _see("the loss is a function of a batch", "learning"),
    "learning.train_step": _see("a step is state, outputs = train_op(state, batch)", "learning"),
    "evaluation.evaluate_once": _see(
        "slim.evaluation.evaluate_once(path, eval_fn, batches, metrics, logdir=...)", "evaluation"
    ),
    "evaluation.evaluation_loop": _see(
        "slim.evaluation.evaluation_loop(checkpoint_dir, eval_fn, make_batches, metrics, ...)",
        "evaluation",
    ),
    "metrics": _see(
        "a metric takes its configuration, and the data goes to metric.update(state, ...)",
        "metrics",
    ),
    "assign_from_checkpoint_fn": _see(
        "what it gives takes and gives a state, and no session", "checkpoints-and-fine-tuning"
    ),
    "assign_from_checkpoint": _see(
        "assign, values = ..., then state = assign(state, values)", "checkpoints-and-fine-tuning"
    ),
    "dataset_data_provider.DatasetDataProvider": _see(
        "for training loaders.batches(loaders.items(provider, ['image', 'label']), load_record, "
        "batch_size=32) of jslim.compat, or slim.data.batches(dataset, batch_size, "
        "is_training=True); each get reads a record at once",
        "queues-and-data",
    ),
    "dataset.Dataset": _see("the reader is None", "queues-and-data"),
    "prefetch_queue.prefetch_queue": _see(
        "slim.data.prefetch_to_device(batches, sharding)", "queues-and-data"
    ),
    "queues.QueueRunners": _see("with batches: takes its place", "queues-and-data"),
    **dict.fromkeys(
        ("get_variables", "get_model_variables", "get_variables_by_name",
         "get_variables_by_suffix", "get_unique_variable", "get_trainable_variables",
         "get_local_variables", "get_variables_to_restore"),
        _OUTSIDE,
    ),
}  # fmt: skip
_SLIM = ("slim.", "tf.contrib.slim.", "tf.contrib.framework.")
_STEP = _see(
    "an optimizer goes to slim.learning.create_train_op(total_loss, optimizer), which gives the "
    "step; total_loss is a function of a batch",
    "learning",
)
# Methods of what TensorFlow gives, whatever they are called on.
OF_VALUES = {
    "minimize": _STEP,
    "compute_gradients": _STEP,
    "apply_gradients": _STEP,
    "op.name": _see(
        "an array has no name: slim.get_variables(...) and slim.losses.named_losses() give dicts "
        "by name",
        "scopes-and-variables",
    ),
    "variables_to_restore": _see(
        "slim.assign_from_checkpoint_fn(path, vars, name_fn=...) reads moving averages",
        "checkpoints-and-fine-tuning",
    ),
}
NO_OUTPUT = _see(
    "no output of the loss function: return it from there by name, (total_loss, {name: array}), or "
    "compute it from sess.state",
    "what-takes-the-place-of-a-session",
)
FEED = _see(
    "what is fed is an argument: model.apply(variables, images), or the batch of "
    "train_op(state, batch)",
    "what-takes-the-place-of-a-session",
)
DIVISION = "whole numbers that / divides are rounded down in Python 2: write // where that is meant"
REDUCE = "write functools.reduce, and import functools"
# What is kept in a name that the statements below go on with.
HELD = (
    "tf.Session", "tf.InteractiveSession", "tf.Graph", "tf.train.Saver", "tf.train.Coordinator",
    "tf.train.Supervisor", "tf.train.MonitoredTrainingSession", "tf.train.QueueRunner",
    "tf.summary.FileWriter", "tf.train.SummaryWriter", "tf.train.start_queue_runners",
)  # fmt: skip
# Names that hold a session wherever they come from.
SESSIONS = ("sess", "session", "self.sess", "self.session", "self._sess")


def batches_of(keys: Sequence[str]) -> str:
    """The sentence about tensors of a batch where nothing is trained."""
    names = ", ".join(map(repr, keys))
    return (
        f"batches is an iterable of dicts of {names}; write what uses one as a function of a "
        "batch, with what sessions.fed gives in: with sessions.feeding(batch): ..., and call it "
        "for each; "
        f"see {_GUIDE}#queues-and-data"
    )


def of_slim(name: str) -> str | None:
    """The sentence for a name of slim, `slim.learning.train`; None if it is as it was."""
    prefix = next((p for p in _SLIM if name.startswith(p)), None)
    if name.startswith("tf.contrib.metrics."):
        return OF_SLIM["metrics"]
    if prefix is None:
        return None
    parts = name.removeprefix(prefix).split(".")
    for length in range(len(parts), 0, -1):
        sentence = OF_SLIM.get(".".join(parts[:length]))
        if sentence:
            return sentence
    return None


def with_marks(
    lines: Sequence[cst.EmptyLine], sentences: Sequence[str], header: Sequence[cst.EmptyLine] = ()
) -> list[cst.EmptyLine]:
    """The lines above a statement, with a line for each sentence that is not there already."""
    there = {line.comment.value for line in (*header, *lines) if line.comment}
    comments = dict.fromkeys(f"{SIGN} {sentence}" for sentence in sentences)
    new = [cst.EmptyLine(comment=cst.Comment(text)) for text in comments if text not in there]
    return [*lines, *new]
