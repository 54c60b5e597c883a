"""The flags of the programs: TF-Slim's names, defaults and meanings; train_flags.py has train.py's.

Each program has a `FlagValues` of its own, so that importing jslim defines no global flags.
"""

import os
from typing import Any

from absl import flags

from jslim import export
from jslim.cli.definer import Definer as Definer
from jslim.cli.definer import UsageError as UsageError
from jslim.core.seeds import MAX_SEED
from jslim.data.labels import read_class_names

FORMATS = export.GRAPH | export.VARIABLES
PICTURE = {".png": "a picture"}
TABLES = {".csv": "a table", ".jsonl": "JSON lines"}

_CACHE = os.environ.get("JAX_COMPILATION_CACHE_DIR") or os.path.join(
    os.environ.get("XDG_CACHE_HOME", "~/.cache"), "jslim", "xla"
)


# TF-Slim's flags that belong to a session, to parameter servers or to a graph.
_NO_SERVERS = "there are no parameter servers; use --num_clones for several devices; drop it"
DROPPED = {
    "master": "there is no TensorFlow session; with several processes give --coordinator_address",
    "clone_on_cpu": "set JAX_PLATFORMS=cpu in the environment instead",
    "worker_replicas": "give --num_processes, --process_id and --coordinator_address",
    "num_ps_tasks": _NO_SERVERS,
    "task": "give --process_id, with --num_processes and --coordinator_address",
    "sync_replicas": "training is always synchronous; drop it",
    "replicas_to_aggregate": "training is always synchronous; drop it",
    "num_readers": "use --num_preprocessing_threads; drop it",
    "use_grayscale": "images keep the channels that they have; drop it",
    "quantize_delay": "there is no quantization-aware training; drop it",
    "quantize": "there is no quantization-aware training; drop it",
}


def define_common(define: Definer, batch_size: int, split: str) -> None:
    """What `train.py` and `eval.py` both have."""
    define.text(
        "dataset_name",
        None,
        "digits; folder: DATASET_DIR[/SPLIT]/CLASS/*.jpg, or a zip or tar file of that; npz: a "
        "NumPy file; tfds: the directory of a version that TFDS has prepared; or, in TFRecord "
        "files, cifar10, flowers, imagenet, mnist, visualwakewords, or tfrecord for others (with a "
        "labels.txt; also in ArrayRecord files). cifar10 and mnist also in their own files.",
    )
    define.text("dataset_split_name", split, "The split of the data set.")
    define.path("dataset_dir", None, "The folder or file of the data set; digits come with jslim.")
    define.text("preprocessing_name", None, "Default: that of the network.")
    define.integer(
        "labels_offset", 0, "Is subtracted from the labels (1 to drop a background class)."
    )
    define.integer("batch_size", batch_size, "Images in each batch of each clone.", lower_bound=1)
    define.integer(
        "num_clones",
        1,
        "How many devices to use, of each process. A CPU is made so many devices.",
        lower_bound=1,
    )
    define.boolean(
        "distributed",
        False,
        "Whether this is one of several processes that a cluster (SLURM, Open MPI, Kubernetes, "
        "Cloud TPU) has started to run as one. Elsewhere give the next three.",
    )
    define.text(
        "coordinator_address", None, "HOST:PORT of process 0, where several processes run as one."
    )
    define.integer("num_processes", None, "How many they are.", lower_bound=1)
    define.integer("process_id", None, "Which of them this is, from 0.", lower_bound=0)
    define.integer(
        "heartbeat_timeout_secs",
        10,
        "After how long a process that has fallen silent is lost, and all others end.",
        lower_bound=1,
    )
    define.integer("num_preprocessing_threads", 4, "Threads that decode images.", lower_bound=1)
    define.choice(
        "dtype",
        "float32",
        ["float32", "bfloat16"],
        "What the layers compute in. Variables, statistics, losses and metrics are float32.",
    )
    define.integer(
        "num_workers",
        0,
        "Processes that decode images, in place of the threads: for more than about 8 cores.",
        lower_bound=0,
    )
    define.integer(
        "skip_bad_records",
        0,
        "How many records may be left out that cannot be read; one more is an error.",
        lower_bound=0,
    )
    define.text(
        "metrics",
        None,
        "Comma-separated metrics to evaluate: Accuracy, Loss, Recall_K (such as Recall_3), "
        "AveragePrecision_K, MeanPrecision, MeanRecall, MeanF1 and MeanIOU over the classes, "
        "CohenKappa; of two classes Precision, Recall, AUC, AUC_PR, PrecisionAtRecall_X (such as "
        "PrecisionAtRecall_0.9), RecallAtPrecision_X, SensitivityAtSpecificity_X, "
        "SpecificityAtSensitivity_X. Default: Accuracy, Loss and, of more than five classes, "
        "Recall_5.",
    )
    _define_every(define)


def eval_flags() -> flags.FlagValues:
    """The flags of `eval.py`."""
    values = flags.FlagValues()
    define = Definer(values)
    define_common(define, batch_size=100, split="test")
    _define_model(define)
    define.directory("eval_dir", None, "Where event files go. Default: none are written.")
    define.integer(
        "eval_image_size", None, "Image side in pixels. Default: the checkpoint's.", lower_bound=1
    )
    define.integer(
        "max_num_batches", None, "How many batches to evaluate. Default: all.", lower_bound=1
    )
    define.integer(
        "eval_interval_secs",
        0,
        "Above 0: evaluate every new checkpoint, at most once in so many seconds, until training "
        "has ended.",
        lower_bound=0,
    )
    define.integer(
        "timeout_secs",
        None,
        "How long to wait for a new checkpoint. Default: for ever.",
        lower_bound=0,
    )
    define.share(
        "moving_average_decay",
        None,
        "If given, as --use_moving_averages; the number makes no difference here.",
    )
    _define_averages(define)
    define.boolean(
        "per_class",
        False,
        "Prints precision, recall and F1 of every class, and the confusion matrix.",
    )
    define.file(
        "confusion_matrix_file",
        "Where to draw the confusion matrix, a PNG file. With --eval_interval_secs the step is put "
        "before its extension, as in that of all predictions.",
        PICTURE,
    )
    define.file("predictions_file", "Where to write all predictions, as .csv or as .jsonl.", TABLES)
    return values


def predict_flags() -> flags.FlagValues:
    """The flags of `jslim-predict`."""
    values = flags.FlagValues()
    define = Definer(values)
    _define_checkpoint(define)
    define.integer("batch_size", 32, "How many images are computed at once.", lower_bound=1)
    define.integer(
        "top", 1, "How many classes are written for each image, best first.", lower_bound=1
    )
    define.file("output", "The file to write. Default: the standard output.")
    define.choice(
        "format",
        None,
        ["csv", "jsonl"],
        "Default: what --output ends in; csv on the standard output.",
    )
    define.integer(
        "skip_bad_records",
        0,
        "How many files may be unreadable. Each has a row that says what is wrong, and the others "
        "are predicted; with more of them the exit code is 2 in the end.",
        lower_bound=0,
    )
    return values


def export_flags() -> flags.FlagValues:
    """The flags of `jslim-export`."""
    values = flags.FlagValues()
    define = Definer(values)
    _define_checkpoint(define)
    define.file(
        "output_file",
        "The file to write. NAME.zip: an inference graph; or the variables alone, NAME.safetensors "
        "or, as a checkpoint of TensorFlow, NAME.ckpt.",
        FORMATS,
    )
    define.text("platforms", "cpu,cuda,tpu", "Comma-separated: where it is to run.")
    define.integer("batch_size", None, "The only batch size it takes. Default: any.", lower_bound=1)
    return values


def convert_flags() -> flags.FlagValues:
    """The flags of `jslim-convert`."""
    values = flags.FlagValues()
    define = Definer(values)
    define.path(
        "dataset_dir",
        None,
        "A folder of images, DATASET_DIR[/SPLIT]/CLASS/*.jpg, or a zip or tar file of that; or "
        "what --dataset_name says.",
    )
    define.choice(
        "dataset_name",
        "folder",
        ["folder", "mnist", "cifar10", "npz"],
        "mnist and cifar10: the directory has the files that these were published in; npz: a NumPy "
        "file.",
    )
    define.choice(
        "file_format",
        "tfrecord",
        ["tfrecord", "array_record"],
        "What to write.",
    )
    define.directory("output_dir", None, "Where the files go.")
    define.text("name", None, "What they are called: NAME_SPLIT_*. Default: the folder's name.")
    define.integer(
        "num_shards",
        None,
        "Files for each split. Default: 5; of mnist and cifar10 one, called as TF-Slim calls it.",
        lower_bound=1,
    )
    define.integer("num_threads", 4, "How many files are written at once.", lower_bound=1)
    define.integer("seed", 0, "Of the order of the images.", lower_bound=0, upper_bound=MAX_SEED)
    define.integer(
        "skip_bad_records",
        0,
        "How many images may be left out that cannot be read; one more is an error.",
        lower_bound=0,
    )
    _define_every(define)
    return values


def _define_model(define: Definer) -> None:
    """The checkpoint to load, and its network."""
    define.path(
        "checkpoint_path", "/tmp/tfmodel/", "A checkpoint of jslim or TensorFlow, or a directory."
    )
    define.text("model_name", None, "The network. Default: the one the checkpoint names.")


def _define_checkpoint(define: Definer) -> None:
    """What says which network to load: of jslim's own checkpoints the first alone is needed."""
    _define_model(define)
    define.text("preprocessing_name", None, "Default: the checkpoint's, or that of the network.")
    define.path("labels_file", None, "The class names, one a line, if the checkpoint has none.")
    define.integer(
        "image_size", None, "Image side in pixels. Default: the checkpoint's.", lower_bound=1
    )
    _define_averages(define)
    _define_every(define)


def _define_averages(define: Definer) -> None:
    define.boolean(
        "use_moving_averages",
        None,
        "Whether to take the moving averages of the variables, or by --nouse_moving_averages the "
        "variables as training left them. Default: the averages, if a checkpoint of jslim has "
        "them.",
    )


def takes_averages(values: flags.FlagValues) -> bool | None:
    """What the flags of `eval.py` say of moving averages; None where they say nothing.

    Raises:
      UsageError: They contradict each other.
    """
    given: bool | None = values.use_moving_averages
    if values.moving_average_decay is None:
        return given
    if given is False:
        raise UsageError(
            "--moving_average_decay, which evaluates moving averages, contradicts "
            "--nouse_moving_averages; drop one of them"
        )
    return True


def _define_every(define: Definer) -> None:
    """What every program has."""
    define.text(
        "compilation_cache_dir",
        _CACHE,
        "Where compiled programs are kept for the next start; '' keeps none.",
    )
    define.boolean("help", False, "Shows this help.", short_name="h")


def scopes_of(text: str | None) -> list[str]:
    """The parts of a comma-separated list, stripped; empty ones are left out."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def contract_of(values: flags.FlagValues) -> dict[str, Any]:
    """What the flags of `_define_checkpoint` say of a checkpoint, for `slim.load`."""
    names = ("model_name", "preprocessing_name", "image_size")
    given = {name: values[name].value for name in names if values[name].value is not None}
    if values.labels_file:
        given["class_names"] = read_class_names(values.labels_file)
    return given
