"""The flags of `train.py` and `eval.py`: TF-Slim's names, defaults and meanings.

Each program has a `FlagValues` of its own, so that importing jslim defines no global flags.
"""

import os
from typing import Any

from absl import flags

_CACHE = os.environ.get("JAX_COMPILATION_CACHE_DIR") or os.path.join(
    os.environ.get("XDG_CACHE_HOME", "~/.cache"), "jslim", "xla"
)


class UsageError(ValueError):
    """A flag, or flags together, that make no sense."""


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


def _define_common(values: flags.FlagValues, batch_size: int, split: str) -> None:
    text, integer = _definers(values)
    text(
        "dataset_name",
        None,
        "digits; folder: DATASET_DIR[/SPLIT]/CLASS/*.jpg, or a zip or tar file of that; npz: a "
        "NumPy file; tfds: the directory of a version that TFDS has prepared; or, in TFRecord "
        "files, cifar10, flowers, imagenet, mnist, visualwakewords, or tfrecord for others (with a "
        "labels.txt; also in ArrayRecord files). cifar10 and mnist also in their own files.",
    )
    text("dataset_split_name", split, "The split of the data set.")
    text("dataset_dir", None, "The folder or file of the data set; digits come with jslim.")
    text("preprocessing_name", None, "Default: that of the network.")
    integer("labels_offset", 0, "Is subtracted from the labels (1 to drop a background class).")
    integer("batch_size", batch_size, "Images in each batch of each clone.", lower_bound=1)
    integer("num_clones", 1, "How many devices to use, of each process.", lower_bound=1)
    flags.DEFINE_bool(
        "distributed",
        False,
        "Whether this is one of several processes that a cluster (SLURM, Open MPI, Kubernetes, "
        "Cloud TPU) has started to run as one. Elsewhere give the next three.",
        flag_values=values,
    )
    text("coordinator_address", None, "HOST:PORT of process 0, where several processes run as one.")
    integer("num_processes", None, "How many they are.", lower_bound=1)
    integer("process_id", None, "Which of them this is, from 0.", lower_bound=0)
    integer(
        "heartbeat_timeout_secs",
        10,
        "After how long a process that has fallen silent is lost, and all others end.",
        lower_bound=1,
    )
    integer("num_preprocessing_threads", 4, "Threads that decode images.", lower_bound=1)
    flags.DEFINE_enum(
        "dtype",
        "float32",
        ["float32", "bfloat16"],
        "What the layers compute in. Variables, statistics, losses and metrics are float32.",
        flag_values=values,
    )
    integer(
        "num_workers",
        0,
        "Processes that decode images, in place of the threads: for more than about 8 cores.",
        lower_bound=0,
    )
    integer(
        "skip_bad_records",
        0,
        "How many records may be left out that cannot be read; one more is an error.",
        lower_bound=0,
    )
    text(
        "metrics",
        None,
        "Comma-separated metrics to evaluate: Accuracy, Loss, Recall_K (such as Recall_3), "
        "AveragePrecision_K, MeanPrecision, MeanRecall, MeanF1 and MeanIOU over the classes, "
        "CohenKappa; of two classes Precision, Recall, AUC, AUC_PR, PrecisionAtRecall_X (such as "
        "PrecisionAtRecall_0.9), RecallAtPrecision_X, SensitivityAtSpecificity_X, "
        "SpecificityAtSensitivity_X. Default: Accuracy, Loss and, of more than five classes, "
        "Recall_5.",
    )
    _define_every(values)


def _definers(values):
    def text(name, default, explanation):
        flags.DEFINE_string(name, default, explanation, flag_values=values)

    def integer(name, default, explanation, **bounds):
        flags.DEFINE_integer(name, default, explanation, flag_values=values, **bounds)

    return text, integer


def train_flags() -> flags.FlagValues:
    """The flags of `train.py`."""
    values = flags.FlagValues()
    _define_common(values, batch_size=32, split="train")
    text, integer = _definers(values)

    def number(name, default, explanation, **bounds):
        flags.DEFINE_float(name, default, explanation, flag_values=values, **bounds)

    text("train_dir", "/tmp/tfmodel/", "Where checkpoints and event files go.")
    text("model_name", "inception_v3", "The network.")
    integer("train_image_size", None, "Image side in pixels. Default: that of the network.")
    text(
        "preview_file",
        None,
        "Where to draw the images of the first batch, augmented, with their labels, as a PNG file; "
        "nothing is trained.",
    )
    integer("max_number_of_steps", None, "The step at which to stop. Default: never.")
    integer("seed", 0, "Of variables, order of the data, augmentation and dropout.")
    # How often things happen.
    integer("log_every_n_steps", 10, "Steps from one progress line to the next.", lower_bound=1)
    number("save_summaries_secs", 600.0, "Seconds between summaries; 0: none.", lower_bound=0.0)
    number("save_interval_secs", 600.0, "Seconds between checkpoints.", lower_bound=0.0)
    # The optimizer.
    number("weight_decay", 0.00004, "Of the network's L2 regularizers.", lower_bound=0.0)
    text(
        "optimizer",
        "rmsprop",
        "adadelta, adagrad, adam, adamw, ftrl, lamb, momentum, rmsprop or sgd.",
    )
    number("opt_epsilon", 1.0, "Epsilon of adadelta, adam and rmsprop.")
    number("adadelta_rho", 0.95, "Decay of adadelta.")
    number("adagrad_initial_accumulator_value", 0.1, "Start of adagrad's accumulator.")
    number("adam_beta1", 0.9, "Decay of adam's first moment.")
    number("adam_beta2", 0.999, "Decay of adam's second moment.")
    number("ftrl_learning_rate_power", -0.5, "Learning rate power of ftrl.")
    number("ftrl_initial_accumulator_value", 0.1, "Start of ftrl's accumulator.")
    number("ftrl_l1", 0.0, "L1 strength of ftrl.")
    number("ftrl_l2", 0.0, "L2 strength of ftrl.")
    number("momentum", 0.9, "Of the momentum optimizer.")
    flags.DEFINE_bool("use_nesterov", False, "Whether momentum is Nesterov's.", flag_values=values)
    number("adamw_weight_decay", 0.01, "Decay of kernels by adamw; see --weight_decay.")
    number("adamw_epsilon", 1e-8, "Epsilon of adamw.")
    number("lamb_weight_decay", 0.01, "Decay of kernels by lamb; see --weight_decay.")
    number("lamb_epsilon", 1e-6, "Epsilon of lamb.")
    number("rmsprop_momentum", 0.9, "Momentum of rmsprop.")
    number("rmsprop_decay", 0.9, "Decay of rmsprop's squared gradients.")
    number("clip_gradient_norm", 0.0, "Greatest norm of each gradient; 0: none.", lower_bound=0.0)
    number(
        "clip_global_norm",
        0.0,
        "Greatest norm of all gradients together; 0: none.",
        lower_bound=0.0,
    )
    integer(
        "gradient_accumulation_steps",
        1,
        "In how many parts each batch is computed, one after the other, to save memory.",
        lower_bound=1,
    )
    text(
        "recompute_scopes",
        None,
        "Comma-separated patterns of scopes whose activations are computed twice, to save memory, "
        "such as resnet_v1_50/block.*/unit_.*",
    )
    flags.DEFINE_enum(
        "check_numerics",
        "loss",
        ["loss", "everything"],
        "Of what NaN and infinity end training. everything: also gradients, variables and "
        "statistics, of which the first is named; it takes half as long again to compile.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "report_norms", False, "Logs the norms of gradients and of parameters.", flag_values=values
    )
    flags.DEFINE_bool(
        "shard_state",
        False,
        "Whether each device keeps a part of parameters, optimizer and averages, not all of them.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "batch_norm_statistics",
        "global",
        ["global", "replica"],
        "Of the whole batch, or of each clone's part, as in TF-Slim.",
        flag_values=values,
    )
    text("profile_steps", None, "FIRST,LAST: steps of which a profile is written for TensorBoard.")
    # The learning rate.
    text(
        "learning_rate_decay_type",
        "exponential",
        "fixed, exponential, polynomial, step or cosine (over --max_number_of_steps).",
    )
    text(
        "learning_rate_boundaries",
        None,
        "Comma-separated epochs at which step decay multiplies by --learning_rate_decay_factor.",
    )
    number("learning_rate", 0.01, "The learning rate to start with.")
    number("end_learning_rate", 0.0001, "Where polynomial and cosine decay end.")
    number("learning_rate_decay_factor", 0.94, "Factor of each exponential decay.")
    number("num_epochs_per_decay", 2.0, "Epochs after which the learning rate decays.")
    number("warmup_epochs", 0.0, "Epochs of linear warm-up from 0.", lower_bound=0.0)
    number("label_smoothing", 0.0, "Of the softmax cross entropy.", lower_bound=0.0)
    # Augmentation beyond that of the preprocessing, on the device.
    integer("rand_augment_layers", 0, "RandAugment's operations on each image.", lower_bound=0)
    number("rand_augment_magnitude", 9.0, "How strong they are.", lower_bound=0.0, upper_bound=30.0)
    number(
        "random_erasing",
        0.0,
        "The share of images in which a rectangle is erased.",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    number("mixup_alpha", 0.0, "Mixes images by shares of Beta(a, a); 0: not.", lower_bound=0.0)
    number(
        "cutmix_alpha",
        0.0,
        "Puts a part of an image into another; with --mixup_alpha, into half of them. 0: not.",
        lower_bound=0.0,
    )
    number("moving_average_decay", None, "Keeps moving averages of the variables.")
    # Evaluation while training.
    integer("eval_every", 0, "Steps from one evaluation to the next; 0: none.", lower_bound=0)
    text("eval_split_name", "test", "The split that --eval_every evaluates.")
    text("best_metric", "Accuracy", "Whose best checkpoint is kept: one of --metrics.")
    integer(
        "early_stopping_evaluations",
        0,
        "Evaluations in a row without a better --best_metric after which training ends; 0: none.",
        lower_bound=0,
    )
    number("early_stopping_delta", 0.0, "By how much it must be better.", lower_bound=0.0)
    # What to start from, and fine-tuning.
    flags.DEFINE_enum(
        "start_from",
        "auto",
        ["auto", "resume", "checkpoint", "scratch"],
        "resume: the checkpoint in --train_dir, with its step and optimizer; checkpoint: the "
        "variables of --checkpoint_path; scratch: initial values. auto is the first of these that "
        "is there. The others are refused where they are not what happens.",
        flag_values=values,
    )
    text(
        "checkpoint_path",
        None,
        "A checkpoint of jslim or TensorFlow, or a directory of them, to start from.",
    )
    text(
        "checkpoint_exclude_scopes",
        None,
        "Comma-separated scopes of variables that are not taken from --checkpoint_path.",
    )
    text("trainable_scopes", None, "Comma-separated scopes to train. Default: all.")
    flags.DEFINE_bool(
        "freeze_batch_norm",
        False,
        "Whether batch normalization in layers that are not trained keeps its moving statistics, "
        "and uses them.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "ignore_missing_vars",
        False,
        "Whether variables that the checkpoint lacks keep their initial values.",
        flag_values=values,
    )
    return values


def eval_flags() -> flags.FlagValues:
    """The flags of `eval.py`."""
    values = flags.FlagValues()
    _define_common(values, batch_size=100, split="test")
    text, integer = _definers(values)
    text("checkpoint_path", "/tmp/tfmodel/", "A checkpoint of jslim or TensorFlow, or a directory.")
    text("eval_dir", None, "Where event files go. Default: none are written.")
    text("model_name", None, "The network. Default: the one the checkpoint names.")
    integer("eval_image_size", None, "Image side in pixels. Default: the checkpoint's.")
    integer("max_num_batches", None, "How many batches to evaluate. Default: all.", lower_bound=1)
    integer(
        "eval_interval_secs",
        0,
        "Above 0: evaluate every new checkpoint, at most once in so many seconds, until training "
        "has ended.",
        lower_bound=0,
    )
    integer("timeout_secs", None, "How long to wait for a new checkpoint. Default: for ever.")
    flags.DEFINE_float(
        "moving_average_decay",
        None,
        "If given, the moving averages of the variables are evaluated.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "per_class",
        False,
        "Prints precision, recall and F1 of every class, and the confusion matrix.",
        flag_values=values,
    )
    text(
        "confusion_matrix_file",
        None,
        "Where to draw the confusion matrix, a PNG file. With --eval_interval_secs the step is put "
        "before its extension, as in that of all predictions.",
    )
    text("predictions_file", None, "Where to write all predictions, as CSV or as .jsonl.")
    return values


def predict_flags() -> flags.FlagValues:
    """The flags of `jslim-predict`."""
    values = flags.FlagValues()
    text, integer = _definers(values)
    _define_checkpoint(values)
    integer("batch_size", 32, "How many images are computed at once.", lower_bound=1)
    integer("top", 1, "How many classes are written for each image, best first.", lower_bound=1)
    text("output", None, "The file to write. Default: the standard output.")
    flags.DEFINE_enum(
        "format",
        None,
        ["csv", "jsonl"],
        "Default: jsonl where --output ends so, else csv.",
        flag_values=values,
    )
    return values


def export_flags() -> flags.FlagValues:
    """The flags of `jslim-export`."""
    values = flags.FlagValues()
    text, integer = _definers(values)
    _define_checkpoint(values)
    text(
        "output_file",
        None,
        "The file to write: an inference graph; or the variables alone, a safetensors file if it "
        "ends so, and a checkpoint of TensorFlow if it is called .ckpt.",
    )
    text("platforms", "cpu,cuda,tpu", "Comma-separated: where it is to run.")
    integer("batch_size", None, "The only batch size it takes. Default: any.", lower_bound=1)
    return values


def convert_flags() -> flags.FlagValues:
    """The flags of `jslim-convert`."""
    values = flags.FlagValues()
    text, integer = _definers(values)
    text(
        "dataset_dir",
        None,
        "A folder of images, DATASET_DIR[/SPLIT]/CLASS/*.jpg, or a zip or tar file of that; or "
        "what --dataset_name says.",
    )
    flags.DEFINE_enum(
        "dataset_name",
        "folder",
        ["folder", "mnist", "cifar10", "npz"],
        "mnist and cifar10: the directory has the files that these were published in; npz: a NumPy "
        "file.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "file_format",
        "tfrecord",
        ["tfrecord", "array_record"],
        "What to write.",
        flag_values=values,
    )
    text("output_dir", None, "Where the files go.")
    text("name", None, "What they are called: NAME_SPLIT_*. Default: the folder's name.")
    integer(
        "num_shards",
        None,
        "Files for each split. Default: 5; of mnist and cifar10 one, called as TF-Slim calls it.",
        lower_bound=1,
    )
    integer("num_threads", 4, "How many files are written at once.", lower_bound=1)
    integer("seed", 0, "Of the order of the images.", lower_bound=0)
    _define_every(values)
    return values


def _define_checkpoint(values: flags.FlagValues) -> None:
    """What says which network to load: of jslim's own checkpoints the first alone is needed."""
    text, integer = _definers(values)
    text("checkpoint_path", "/tmp/tfmodel/", "A checkpoint of jslim or TensorFlow, or a directory.")
    text("model_name", None, "The network. Default: the one the checkpoint names.")
    text("preprocessing_name", None, "Default: the checkpoint's, or that of the network.")
    text("labels_file", None, "The class names, one a line, if the checkpoint has none.")
    integer("image_size", None, "Image side in pixels. Default: the checkpoint's.", lower_bound=1)
    flags.DEFINE_bool(
        "use_moving_averages",
        False,
        "Whether to take the moving averages of the variables.",
        flag_values=values,
    )
    _define_every(values)


def _define_every(values: flags.FlagValues) -> None:
    """What every program has."""
    text, _ = _definers(values)
    text(
        "compilation_cache_dir",
        _CACHE,
        "Where compiled programs are kept for the next start; '' keeps none.",
    )
    flags.DEFINE_bool("help", False, "Shows this help.", flag_values=values, short_name="h")


def scopes_of(text: str | None) -> list[str]:
    """The parts of a comma-separated list, stripped; empty ones are left out."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def contract_of(values: flags.FlagValues) -> dict[str, Any]:
    """What the flags of `_define_checkpoint` say of a checkpoint, for `slim.load`."""
    names = ("model_name", "preprocessing_name", "image_size")
    given = {name: values[name].value for name in names if values[name].value is not None}
    if values.labels_file:
        given["class_names"] = _class_names(values.labels_file)
    return given


def _class_names(path: str) -> list[str]:
    """The lines of a file, or what follows the colon in each: TF-Slim's labels.txt."""
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file if line.strip()]
    numbered = [line.partition(":") for line in lines]
    if [number for number, _, _ in numbered] == [str(i) for i in range(len(lines))]:
        return [name.strip() for _, _, name in numbered]
    return lines
