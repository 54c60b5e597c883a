"""The flags of `train.py`: TF-Slim's names, defaults and meanings, and more."""

from absl import flags

from jslim.cli.flags import PICTURE, Definer, define_common
from jslim.core.seeds import MAX_SEED

# Flags that do nothing alone, and what they go with.
GOES_WITH = {
    "metrics": "eval_every",
    "best_metric": "eval_every",
    "eval_split_name": "eval_every",
    "early_stopping_evaluations": "eval_every",
    "early_stopping_delta": "early_stopping_evaluations",
}
# Flags that count with some optimizers, and with some ways of decay.
OF_OPTIMIZERS = {
    "opt_epsilon": ("adadelta", "adam", "rmsprop"),
    "adadelta_rho": ("adadelta",),
    "adagrad_initial_accumulator_value": ("adagrad",),
    "adam_beta1": ("adam", "adamw", "lamb"),
    "adam_beta2": ("adam", "adamw", "lamb"),
    "ftrl_learning_rate_power": ("ftrl",),
    "ftrl_initial_accumulator_value": ("ftrl",),
    "ftrl_l1": ("ftrl",),
    "ftrl_l2": ("ftrl",),
    "momentum": ("momentum",),
    "use_nesterov": ("momentum",),
    "adamw_weight_decay": ("adamw",),
    "adamw_epsilon": ("adamw",),
    "lamb_weight_decay": ("lamb",),
    "lamb_epsilon": ("lamb",),
    "rmsprop_momentum": ("rmsprop",),
    "rmsprop_decay": ("rmsprop",),
}
OF_DECAY_TYPES = {
    "learning_rate_decay_factor": ("exponential", "step"),
    "num_epochs_per_decay": ("exponential", "polynomial"),
    "end_learning_rate": ("polynomial", "cosine"),
    "learning_rate_boundaries": ("step",),
}


def train_flags() -> flags.FlagValues:
    """The flags of `train.py`."""
    values = flags.FlagValues()
    define = Definer(values)
    define_common(define, batch_size=32, split="train")
    define.directory("train_dir", "/tmp/tfmodel/", "Where checkpoints and event files go.")
    define.text("model_name", "inception_v3", "The network.")
    define.integer(
        "train_image_size",
        None,
        "Image side in pixels. Default: that of the network.",
        lower_bound=1,
    )
    define.file(
        "preview_file",
        "Where to draw the images of the first batch, augmented, with their labels, as a PNG file; "
        "nothing is trained.",
        PICTURE,
    )
    define.integer(
        "max_number_of_steps", None, "The step at which to stop. Default: never.", lower_bound=1
    )
    define.integer(
        "seed",
        0,
        "Of variables, order of the data, augmentation and dropout.",
        lower_bound=0,
        upper_bound=MAX_SEED,
    )
    # How often things happen.
    define.integer(
        "log_every_n_steps", 10, "Steps from one progress line to the next.", lower_bound=1
    )
    define.number(
        "save_summaries_secs", 600.0, "Seconds between summaries; 0: none.", lower_bound=0.0
    )
    define.number("save_interval_secs", 600.0, "Seconds between checkpoints.", lower_bound=0.0)
    _define_optimizer(define)
    _define_learning_rate(define)
    _define_augmentation(define)
    _define_evaluation(define)
    _define_start(define)
    return values


def _define_optimizer(define: Definer) -> None:
    """The optimizer, and how a step is computed."""
    define.number("weight_decay", 0.00004, "Of the network's L2 regularizers.", lower_bound=0.0)
    define.text(
        "optimizer",
        "rmsprop",
        "adadelta, adagrad, adam, adamw, ftrl, lamb, momentum, rmsprop or sgd.",
    )
    define.number("opt_epsilon", 1.0, "Epsilon of adadelta, adam and rmsprop.", lower_bound=0.0)
    define.share("adadelta_rho", 0.95, "Decay of adadelta.")
    define.number(
        "adagrad_initial_accumulator_value", 0.1, "Start of adagrad's accumulator.", lower_bound=0.0
    )
    define.share("adam_beta1", 0.9, "Decay of adam's first moment.")
    define.share("adam_beta2", 0.999, "Decay of adam's second moment.")
    define.number("ftrl_learning_rate_power", -0.5, "Learning rate power of ftrl.", upper_bound=0.0)
    define.number(
        "ftrl_initial_accumulator_value", 0.1, "Start of ftrl's accumulator.", lower_bound=0.0
    )
    define.number("ftrl_l1", 0.0, "L1 strength of ftrl.", lower_bound=0.0)
    define.number("ftrl_l2", 0.0, "L2 strength of ftrl.", lower_bound=0.0)
    define.share("momentum", 0.9, "Of the momentum optimizer.")
    define.boolean("use_nesterov", False, "Whether momentum is Nesterov's.")
    define.number(
        "adamw_weight_decay",
        0.01,
        "Decay of kernels by adamw; see --weight_decay.",
        lower_bound=0.0,
    )
    define.number("adamw_epsilon", 1e-8, "Epsilon of adamw.", lower_bound=0.0)
    define.number(
        "lamb_weight_decay", 0.01, "Decay of kernels by lamb; see --weight_decay.", lower_bound=0.0
    )
    define.number("lamb_epsilon", 1e-6, "Epsilon of lamb.", lower_bound=0.0)
    define.share("rmsprop_momentum", 0.9, "Momentum of rmsprop.")
    define.share("rmsprop_decay", 0.9, "Decay of rmsprop's squared gradients.")
    define.number(
        "clip_gradient_norm", 0.0, "Greatest norm of each gradient; 0: none.", lower_bound=0.0
    )
    define.number(
        "clip_global_norm",
        0.0,
        "Greatest norm of all gradients together; 0: none.",
        lower_bound=0.0,
    )
    define.integer(
        "gradient_accumulation_steps",
        1,
        "In how many parts each batch is computed, one after the other, to save memory.",
        lower_bound=1,
    )
    define.text(
        "recompute_scopes",
        None,
        "Comma-separated patterns of scopes whose activations are computed twice, to save memory, "
        "such as resnet_v1_50/block.*/unit_.*",
    )
    define.choice(
        "check_numerics",
        "loss",
        ["loss", "everything"],
        "Of what NaN and infinity end training. everything: also gradients, variables and "
        "statistics, of which the first is named; it takes half as long again to compile.",
    )
    define.boolean("report_norms", False, "Logs the norms of gradients and of parameters.")
    define.boolean(
        "shard_state",
        False,
        "Whether each device keeps a part of parameters, optimizer and averages, not all of them.",
    )
    define.choice(
        "batch_norm_statistics",
        "global",
        ["global", "replica"],
        "Of the whole batch, or of each clone's part, as in TF-Slim.",
    )
    define.text(
        "profile_steps", None, "FIRST,LAST: steps of which a profile is written for TensorBoard."
    )
    define.share("moving_average_decay", None, "Keeps moving averages of the variables.")


def _define_learning_rate(define: Definer) -> None:
    """The learning rate, and the loss."""
    define.text(
        "learning_rate_decay_type",
        "exponential",
        "fixed, exponential, polynomial, step or cosine (over --max_number_of_steps).",
    )
    define.text(
        "learning_rate_boundaries",
        None,
        "Comma-separated epochs at which step decay multiplies by --learning_rate_decay_factor.",
    )
    define.number("learning_rate", 0.01, "The learning rate to start with.", lower_bound=0.0)
    define.number(
        "end_learning_rate", 0.0001, "Where polynomial and cosine decay end.", lower_bound=0.0
    )
    define.number(
        "learning_rate_decay_factor", 0.94, "Factor of each exponential decay.", above=0.0
    )
    define.number(
        "num_epochs_per_decay",
        2.0,
        "Epochs after which the learning rate decays, counted with --batch_size, as in TF-Slim.",
        above=0.0,
    )
    define.number(
        "warmup_epochs",
        0.0,
        "Epochs of linear warm-up from 0, counted with the images of all clones.",
        lower_bound=0.0,
    )
    define.share("label_smoothing", 0.0, "Of the softmax cross entropy.")


def _define_augmentation(define: Definer) -> None:
    """Augmentation beyond that of the preprocessing, on the device."""
    define.integer(
        "rand_augment_layers", 0, "RandAugment's operations on each image.", lower_bound=0
    )
    define.number(
        "rand_augment_magnitude", 9.0, "How strong they are.", lower_bound=0.0, upper_bound=30.0
    )
    define.share("random_erasing", 0.0, "The share of images in which a rectangle is erased.")
    define.number(
        "mixup_alpha", 0.0, "Mixes images by shares of Beta(a, a); 0: not.", lower_bound=0.0
    )
    define.number(
        "cutmix_alpha",
        0.0,
        "Puts a part of an image into another; with --mixup_alpha, into half of them. 0: not.",
        lower_bound=0.0,
    )


def _define_evaluation(define: Definer) -> None:
    """Evaluation while training."""
    define.integer(
        "eval_every", 0, "Steps from one evaluation to the next; 0: none.", lower_bound=0
    )
    define.text("eval_split_name", "test", "The split that --eval_every evaluates.")
    define.text("best_metric", "Accuracy", "Whose best checkpoint is kept: one of --metrics.")
    define.integer(
        "early_stopping_evaluations",
        0,
        "Evaluations in a row without a better --best_metric after which training ends; 0: none.",
        lower_bound=0,
    )
    define.number("early_stopping_delta", 0.0, "By how much it must be better.", lower_bound=0.0)


def _define_start(define: Definer) -> None:
    """What to start from, and fine-tuning."""
    define.choice(
        "start_from",
        "auto",
        ["auto", "resume", "checkpoint", "scratch"],
        "resume: the checkpoint in --train_dir, with its step and optimizer; checkpoint: the "
        "variables of --checkpoint_path; scratch: initial values. auto is the first of these that "
        "is there. The others are refused where they are not what happens.",
    )
    define.path(
        "checkpoint_path",
        None,
        "A checkpoint of jslim or TensorFlow, or a directory of them, to start from.",
    )
    define.text(
        "checkpoint_exclude_scopes",
        None,
        "Comma-separated scopes of variables that are not taken from --checkpoint_path. Default: "
        "the head of the network, where the checkpoint has other classes.",
    )
    define.text("trainable_scopes", None, "Comma-separated scopes to train. Default: all.")
    define.boolean(
        "freeze_batch_norm",
        False,
        "Whether batch normalization in layers that are not trained keeps its moving statistics, "
        "and uses them.",
    )
    define.boolean(
        "ignore_missing_vars",
        False,
        "Whether variables that the checkpoint lacks keep their initial values.",
    )
