"""The first and the last lines of `train.py`: what starts, how it ended and what to do next."""

import contextlib
import logging
import os
import pathlib
import shlex
import shutil
import string
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jslim import checkpoints, optimizers
from jslim.cli.classifier import global_batch_size
from jslim.cli.starting import Start
from jslim.cli.validation import Validation
from jslim.core.selection import get_variables
from jslim.core.text import printable
from jslim.data import FolderDataset, ImageDataset
from jslim.data.folder import split_names
from jslim.data.subset import whole_of
from jslim.host import display
from jslim.host.files import is_directory
from jslim.host.paths import as_typed
from jslim.learning import TrainOp

if TYPE_CHECKING:
    from jslim.cli.train import TrainConfig

logger = logging.getLogger("jslim")

_TITLE_COLUMNS = 15


def beginning(
    config: "TrainConfig",
    start: Start,
    dataset: ImageDataset,
    validation: Validation | None,
    *,
    last_step: int | None,
    learning_rate: Mapping[str, Any],
) -> Iterator[str]:
    """What starts, on which data and devices, by which plan.

    Args:
      config: The flags.
      start: What training starts from.
      dataset: The images that are trained on.
      validation: Evaluates while training; None if nothing does.
      last_step: The step at which training ends; None for never.
      learning_rate: The arguments of `optimizers.get_learning_rate`.
    """
    steps_per_epoch = dataset.num_samples / global_batch_size(config)
    used = config.num_clones * jax.process_count()
    flags = optimizers.flags_of_optimizer(config.optimizer)
    values = {argument: config.optimizer_arguments[flag] for argument, flag in flags.items()}
    arguments = [
        argument if value is True else f"{argument} {value}"
        for argument, value in values.items()
        if value is not None and value is not False
    ]
    length = "without end: Ctrl-C saves and stops"
    if last_step is not None:
        length = f"{last_step:,} steps, {_number(last_step / steps_per_epoch)} epochs"
    rows = {
        "data": f"{_images_of(dataset)}, {_number(steps_per_epoch)} steps an epoch",
        "evaluation": validation
        and f"{_images_of(validation.dataset)}, every {config.eval_every} steps",
        "devices": f"batches of {global_batch_size(config)} on {used} of {jax.device_count()} "
        f"devices ({jax.default_backend()}), in {config.dtype}",
        "optimizer": ", ".join([config.optimizer, *arguments]),
        "learning rate": learning_rate_in_words(**learning_rate),
        "length": length,
        "output": f"{config.train_dir}, with a checkpoint every "
        f"{display.duration(config.save_interval_secs)}",
    }
    yield f"{start}: {config.model_name} on {dataset.name}"
    yield from (_row(title, printable(text)) for title, text in rows.items() if text)


def network_row(train_op: TrainOp, seed: int, batch: Mapping[str, jax.ShapeDtypeStruct]) -> str:
    """How many parameters the network has, and how many of them are trained.

    It comes after the others, since the network is traced first.

    Args:
      train_op: The step.
      seed: Of the variables.
      batch: The shapes of a batch.
    """
    with display.status("tracing the model"):
        params = train_op.init_shapes(seed, batch).params
    counts = {name: int(np.prod(x.shape)) for name, x in get_variables(params).items()}
    total = sum(counts.values())
    trained = sum(counts[name] for name in train_op.trained_variables)
    share = "all" if trained == total else f"{trained:,} of them ({trained / total:.2%})"
    shape = "x".join(map(str, batch["image"].shape[1:]))
    return _row("network", f"{total:,} parameters, {share} trained; images of {shape}")


def learning_rate_in_words(
    decay_type: str,
    learning_rate: float,
    *,
    decay_steps: int,
    decay_factor: float,
    end_learning_rate: float,
    warmup_steps: float,
    boundaries: Sequence[float],
) -> str:
    """The plan of `optimizers.get_learning_rate`, whose arguments these are."""
    plan = {
        "fixed": "fixed",
        "exponential": f"times {decay_factor:g} every {decay_steps:,} steps",
        "polynomial": f"polynomial to {end_learning_rate:g} over {decay_steps:,} steps",
        "cosine": f"cosine to {end_learning_rate:g} over {decay_steps:,} steps",
        "step": f"times {decay_factor:g} at step {' and '.join(map(_number, boundaries))}",
    }[decay_type]
    warm_up = f", after a warm-up of {_number(warmup_steps)} steps" if warmup_steps else ""
    return f"{learning_rate:g}, {plan}{warm_up}"


@contextlib.contextmanager
def ended(
    config: "TrainConfig", dataset: ImageDataset, validation: Validation | None
) -> Iterator[None]:
    """Logs at the end of the body, also after Ctrl-C, what is kept and what one may do next.

    Args:
      config: The flags.
      dataset: The images that were trained on.
      validation: As of `beginning`.
    """
    try:
        yield
    finally:
        # After an error its message is the last line.
        if not config.dry_run and not isinstance(sys.exception(), Exception):
            for line in _ending(config, dataset, validation):
                logger.info("%s", printable(line))


def _ending(
    config: "TrainConfig", dataset: ImageDataset, validation: Validation | None
) -> Iterator[str]:
    if validation is not None and (best := validation.best_in_words()):
        yield best
    if newest := checkpoints.latest_checkpoint(config.train_dir):
        yield f"newest checkpoint: {newest}"
        yield "to evaluate it, to predict by it, and to see its curves:"
        for command in next_commands(config, dataset):
            yield f"  {' '.join(map(shell_word, command))}"


def next_commands(config: "TrainConfig", dataset: ImageDataset) -> list[list[str]]:
    """The commands that evaluate, predict and show curves, as words."""
    whole = whole_of(dataset)
    weights = [f"--checkpoint_path={config.train_dir}"]
    if config.model_file is not None:
        weights.append(f"--model_file={config.model_file}")
    of_data = [f"--dataset_name={config.dataset_name}"]
    images = "IMAGE.png"
    if config.dataset_dir is not None:
        of_data.append(f"--dataset_dir={config.dataset_dir}")
        if isinstance(whole, FolderDataset) and is_directory(config.dataset_dir):
            images = config.dataset_dir
    if "eval_split_name" in config.given | config.given_before:
        of_data.append(f"--dataset_split_name={config.eval_split_name}")
    elif isinstance(whole, FolderDataset) and not split_names(whole.tree):
        # There is no split `test`, the default of eval.py.
        of_data += [] if config.validation_fraction else ["--dataset_split_name=all"]
    return [
        [_script("jslim"), "eval", *of_data, *weights],
        [_script("jslim"), "predict", *weights, "--top=3", images],
        [_script("tensorboard"), f"--logdir={config.train_dir}"],
    ]


def shell_word(word: str) -> str:
    r"""The word as a shell takes it.

    >>> print(shell_word("my photos"), shell_word("caf\udce9"))
    'my photos' $'caf\xe9'
    """
    if printable(word) == word:
        return shlex.quote(word)
    plain = string.ascii_letters + string.digits + "/._-="
    letters = (chr(byte) for byte in os.fsencode(word))
    escaped = "".join(x if x in plain else f"\\x{ord(x):02x}" for x in letters)
    return f"$'{escaped}'"


def _script(name: str) -> str:
    """How to call a program of this Python's environment from where the user is."""
    path = pathlib.Path(sys.executable).with_name(name)
    return name if shutil.which(name) == str(path) else as_typed(path)


def _row(title: str, text: str) -> str:
    return f"  {title:{_TITLE_COLUMNS}}{text}"


def _images_of(dataset: ImageDataset) -> str:
    return f"{dataset.name}: {dataset.num_samples} images of {dataset.num_classes} classes"


def _number(value: float) -> str:
    """With one place after the point, or none if that is 0.

    >>> _number(44.90625), _number(1500.0)
    ('44.9', '1,500')
    """
    return f"{value:.2g}" if 0 < value < 1 else f"{value:,.1f}".removesuffix(".0")
