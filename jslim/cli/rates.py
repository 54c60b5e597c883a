"""The learning rate of `train.py`, in epochs and steps."""

from dataclasses import dataclass
from typing import Any

import optax

from jslim import optimizers
from jslim.cli import classifier, length
from jslim.cli.flags import UsageError, flag, scopes_of
from jslim.cli.length import LengthConfig

_DECAY_TYPE = "learning_rate_decay_type"


@dataclass(frozen=True)
class LearningRateConfig(LengthConfig):
    """The learning rate.

    Attributes:
      learning_rate_decay_type: fixed, exponential, polynomial, step or cosine (over
        --max_number_of_steps or --num_epochs).
      learning_rate_boundaries: Comma-separated epochs at which step decay multiplies by
        --learning_rate_decay_factor.
      learning_rate: The learning rate to start with.
      end_learning_rate: Where polynomial and cosine decay end.
      learning_rate_decay_factor: Factor of each exponential decay.
      num_epochs_per_decay: Epochs after which the learning rate decays, counted with --batch_size,
        as in TF-Slim.
      warmup_epochs: Epochs of linear warm-up from 0, counted with the images of all clones.
    """

    learning_rate_decay_type: str = flag(
        "exponential",
        known=("cosine", "exponential", "fixed", "polynomial", "step"),
        on_resume="may_change",
        differs="also cosine and step",
    )
    learning_rate_boundaries: str | None = flag(
        None, counts_with=(_DECAY_TYPE, ("step",)), on_resume="may_change"
    )
    learning_rate: float = flag(0.01, least=0, on_resume="may_change")
    end_learning_rate: float = flag(
        0.0001, least=0, counts_with=(_DECAY_TYPE, ("polynomial", "cosine")), on_resume="may_change"
    )
    learning_rate_decay_factor: float = flag(
        0.94, above=0, counts_with=(_DECAY_TYPE, ("exponential", "step")), on_resume="may_change"
    )
    num_epochs_per_decay: float = flag(
        2.0,
        above=0,
        counts_with=(_DECAY_TYPE, ("exponential", "polynomial")),
        on_resume="may_change",
        differs="counts epochs with `--batch_size`, as in TF-Slim: with several clones each goes "
        "over so many epochs. What is new, `--warmup_epochs` and `--learning_rate_boundaries`, "
        "counts with the images of all clones",
    )
    warmup_epochs: float = flag(0.0, least=0, on_resume="may_change")


def make_learning_rate(config: LearningRateConfig, num_samples: int) -> optax.Schedule:
    """The learning rate of each step; arguments and errors are as of `learning_rate_arguments`."""
    return optimizers.get_learning_rate(**learning_rate_arguments(config, num_samples))


def learning_rate_arguments(config: LearningRateConfig, num_samples: int) -> dict[str, Any]:
    """The arguments of `optimizers.get_learning_rate` by the flags.

    Args:
      config: The flags.
      num_samples: How many images are trained on.

    Raises:
      UsageError: Flags that make no sense.
    """
    # The decay counts epochs of one clone, as in TF-Slim; warm-up and boundaries those of all.
    decay_steps = int(num_samples / config.batch_size * config.num_epochs_per_decay)
    steps_per_epoch = num_samples / classifier.global_batch_size(config)
    if config.learning_rate_decay_type == "cosine":
        last_step = length.number_of_steps(config, num_samples)
        if last_step is None:
            raise UsageError(
                "--learning_rate_decay_type=cosine: --max_number_of_steps, at which it ends, is "
                "not given; give it, or --num_epochs"
            )
        decay_steps = last_step
    epochs = scopes_of(config.learning_rate_boundaries)
    try:
        boundaries = [float(epoch) * steps_per_epoch for epoch in epochs]
    except ValueError:
        raise UsageError(
            "--learning_rate_boundaries must be numbers of epochs with commas between, got "
            f"{config.learning_rate_boundaries!r}"
        ) from None
    return {
        "decay_type": config.learning_rate_decay_type,
        "learning_rate": config.learning_rate,
        "boundaries": boundaries,
        "decay_steps": decay_steps,
        "decay_factor": config.learning_rate_decay_factor,
        "end_learning_rate": config.end_learning_rate,
        "warmup_steps": steps_per_epoch * config.warmup_epochs,
    }
