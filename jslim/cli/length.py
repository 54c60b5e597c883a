"""The length of training: in steps, or in epochs of the data set."""

from dataclasses import dataclass

from jslim.cli.classifier import ClassifierConfig, global_batch_size
from jslim.cli.flags import UsageError, flag
from jslim.data import steps_of_epochs


@dataclass(frozen=True)
class LengthConfig(ClassifierConfig):
    """The length of training.

    Attributes:
      max_number_of_steps: The step at which to stop. Default: never.
      num_epochs: In place of --max_number_of_steps: how often to go over the images that are
        trained on, counted with those of all clones. The last step is the one with the last of
        them; its batch is filled up with the first images of the next epoch.
    """

    max_number_of_steps: int | None = flag(None, least=1, on_resume="may_change")
    num_epochs: float | None = flag(
        None, above=0, on_resume="may_change", instead_of="max_number_of_steps"
    )


def number_of_steps(config: LengthConfig, num_samples: int) -> int | None:
    """The step at which to stop; None for never.

    Args:
      config: The flags.
      num_samples: How many images are trained on.

    Raises:
      UsageError: Both flags are given.
    """
    if config.num_epochs is None:
        return config.max_number_of_steps
    if config.max_number_of_steps is not None:
        raise UsageError(
            f"--num_epochs={config.num_epochs:g} and --max_number_of_steps="
            f"{config.max_number_of_steps} both say when training ends; drop one of them"
        )
    return steps_of_epochs(config.num_epochs, num_samples, global_batch_size(config))
