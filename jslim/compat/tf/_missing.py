"""TensorFlow's names that cannot be here, and what takes their place."""

from collections.abc import Callable
from typing import Any, NoReturn

from jslim.core.errors import did_you_mean

_GUIDE = "docs/migration.md"


class NotInJslim(AttributeError):
    """A name of TensorFlow that needs a graph, a session or a queue."""


_SESSION = (
    "there is no session: a model function gives its results, by "
    "model.apply(variables, images), and a train op a step, by state, outputs = "
    "train_op(state, batch)",
    "what-takes-the-place-of-a-session",
)
_GRAPH = (
    "there is no graph: write what is built as a function of arrays, and wrap it in slim.Model(fn)",
    "scopes-and-variables",
)
_FEED = (
    "there are no placeholders: make what is fed an argument of the model function",
    "scopes-and-variables",
)
_START = (
    "variables are made by model.init(jax.random.key(0), images) or train_op.init(rng, batch)",
    "scopes-and-variables",
)
_DATA = (
    "there are no queues and readers in a graph: use slim.data.batches, a DatasetDataProvider, or "
    "any iterable of batches",
    "queues-and-data",
)
_BATCH = (
    "write what is done with one record as a function that returns {'image': image, 'label': "
    "label}, and give it to jslim.compat.loaders: batches = loaders.batches("
    "loaders.items(provider, ['image', 'label']), load_record, batch_size=32); in place of items "
    "of a provider stands "
    "loaders.slices([paths, labels]) for slice_input_producer, loaders.records(files) or "
    "loaders.files(paths) for string_input_producer",
    "queues-and-data",
)
_SAVE = (
    "train writes checkpoints, and slim.assign_from_checkpoint_fn reads them, TensorFlow's too",
    "checkpoints-and-fine-tuning",
)
_WRITE = (
    "give slim.learning.train a logdir, or write by slim.summary.SummaryWriter(logdir)",
    "summaries",
)
_GRADIENT = (
    "differentiate a function: jax.grad(f)(x), or by a model's variables "
    "jax.grad(lambda v: model.apply(v, x))(variables)",
    "learning",
)
_STEP = (
    "give the optimizer to slim.learning.create_train_op(total_loss, optimizer), where total_loss "
    "is a function of a batch",
    "learning",
)
_SEED = (
    "random numbers come from keys: model.init(jax.random.key(seed), images), and "
    "apply(..., rngs={'dropout': key})",
    "scopes-and-variables",
)
_LOOP = (
    "slim.learning.train has the loop, its saving and its end",
    "learning",
)
_RNN = (
    "TF-Slim has no recurrent cells: flax.linen.RNN has, through slim.call_linen",
    "what-is-not-there",
)
_KERAS = (
    "Keras and estimators are other libraries than slim: keras itself runs on JAX",
    "what-is-not-there",
)
_METRIC = (
    "slim.metrics has it, as functions of a state: predictions first, labels second",
    "metrics",
)
_DISTRIBUTED = (
    "devices and machines are a mesh: slim.learning.create_train_op(..., mesh=data_mesh())",
    "learning",
)
_IMAGE_FILES = (
    "images are decoded on the host: slim.data has readers, and PIL.Image opens a file",
    "queues-and-data",
)

_WHY: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("Session", "InteractiveSession", "get_default_session", "ConfigProto", "GPUOptions",
         "RunOptions", "RunMetadata", "OptimizerOptions", "get_session_handle"),
        _SESSION,
    ),
    **dict.fromkeys(
        ("Graph", "GraphDef", "get_default_graph", "reset_default_graph", "import_graph_def",
         "Operation", "graph_util", "GraphOptions", "MetaGraphDef", "NodeDef", "RegisterGradient",
         "load_op_library", "saved_model", "train.import_meta_graph", "train.export_meta_graph",
         "train.write_graph", "global_variables_in_graph", "IndexedSlices", "TensorArray"),
        _GRAPH,
    ),
    **dict.fromkeys(("placeholder", "sparse_placeholder"), _FEED),
    **dict.fromkeys(
        ("global_variables_initializer", "local_variables_initializer",
         "initialize_all_variables", "initialize_local_variables", "initialize_variables",
         "initialize_all_tables", "variables_initializer", "tables_initializer",
         "report_uninitialized_variables", "is_variable_initialized"),
        _START,
    ),
    **dict.fromkeys(
        ("train.batch", "train.batch_join", "train.shuffle_batch", "train.shuffle_batch_join",
         "train.maybe_batch", "train.string_input_producer", "train.slice_input_producer"),
        _BATCH,
    ),
    **dict.fromkeys(
        ("train.input_producer", "train.range_input_producer", "train.match_filenames_once",
         "train.QueueRunner", "train.add_queue_runner", "train.start_queue_runners",
         "train.Coordinator", "train.limit_epochs", "FIFOQueue", "PaddingFIFOQueue",
         "RandomShuffleQueue", "PriorityQueue", "QueueBase", "TFRecordReader", "TextLineReader",
         "WholeFileReader", "FixedLengthRecordReader", "IdentityReader",
         "decode_csv", "parse_example", "data",
                  "contrib.data",          "contrib.lookup", "string_split"),
        _DATA,
    ),
    **dict.fromkeys(
        ("image.decode_gif", "image.encode_jpeg", "image.encode_png", "image.draw_bounding_boxes",
         "image.sample_distorted_bounding_box"),
        _IMAGE_FILES,
    ),
    **dict.fromkeys(
        ("train.Saver", "train.init_from_checkpoint", "train.Checkpoint",
         "train.CheckpointManager", "train.update_checkpoint_state"),
        _SAVE,
    ),
    **dict.fromkeys(
        ("summary.FileWriter", "summary.text", "summary.audio", "summary.tensor_summary",
         "Summary", "train.SummaryWriter", "audio_summary", "summary.create_file_writer"),
        _WRITE,
    ),
    **dict.fromkeys(("gradients", "hessians", "GradientTape", "AggregationMethod"), _GRADIENT),
    **dict.fromkeys(
        ("train.Optimizer.minimize", "train.SyncReplicasOptimizer",
         "train.ProximalAdagradOptimizer",
         "train.AdagradDAOptimizer", "train.ProximalGradientDescentOptimizer",
         "train.RMSPropOptimizer(centered=True)"),
        _STEP,
    ),
    **dict.fromkeys(("set_random_seed", "get_seed"), _SEED),
    **dict.fromkeys(
        ("train.Supervisor", "train.MonitoredTrainingSession", "train.MonitoredSession",
         "train.SingularMonitoredSession", "train.SessionRunHook", "train.SessionRunArgs",
         "train.LoggingTensorHook", "train.StopAtStepHook", "train.CheckpointSaverHook",
         "train.SummarySaverHook", "train.NanTensorHook", "train.StepCounterHook",
         "train.Scaffold", "train.basic_train_loop", "train.global_step"),
        _LOOP,
    ),
    **dict.fromkeys(
        ("nn.dynamic_rnn", "nn.static_rnn", "nn.rnn_cell", "nn.bidirectional_dynamic_rnn",
         "nn.raw_rnn", "contrib.rnn", "contrib.seq2seq", "nn.ctc_loss",
         "nn.ctc_beam_search_decoder", "nn.ctc_greedy_decoder"),
        _RNN,
    ),
    **dict.fromkeys(("keras", "estimator", "contrib.learn", "contrib.keras", "contrib.estimator"),
                    _KERAS),
    "metrics": _METRIC,
    **dict.fromkeys(
        ("train.ClusterSpec", "train.Server", "train.replica_device_setter", "distribute",
         "contrib.distribute", "contrib.tpu", "contrib.nccl", "contrib.staging"),
        _DISTRIBUTED,
    ),
}  # fmt: skip


def names() -> list[str]:
    """The names that have a sentence, without `tf.`."""
    return list(_WHY)


def refusal(name: str) -> NotInJslim:
    """The error for a name that cannot be: `'tf.Session'`."""
    why, place = _WHY[name.removeprefix("tf.")]
    return NotInJslim(f"{name}: {why}; see {_GUIDE}#{place}")


class Part:
    """A module of TensorFlow of which only some names are known, each to be refused."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> NoReturn:
        raise refusal(f"{self._name}.{name}")


def answering(prefix: str, module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module: the sentence for a name that cannot be, or the nearest one.

    Args:
      prefix: What users call the module: `'tf.train'`.
      module: The module's `__name__`.
    """

    def answer(name: str) -> Any:
        import sys

        full = f"{prefix}.{name}".removeprefix("tf.")
        if full in _WHY:
            raise refusal(f"tf.{full}")
        if name.startswith("__"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        if any(known.startswith(f"{full}.") for known in _WHY):
            return Part(f"tf.{full}")
        known = [n for n in vars(sys.modules[module]) if not n.startswith("_")]
        raise AttributeError(
            f"{prefix}.{name} is not among the names of TensorFlow that jslim.compat.tf has"
            f"{did_you_mean(name, known)}; docs/compat.md lists them"
        )

    return answer
