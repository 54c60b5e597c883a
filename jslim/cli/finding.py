"""`--find_learning_rate`: a short training with a rising learning rate, and what it suggests."""

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
import optax

from jslim import learning
from jslim.cli.flags import Config, flag
from jslim.cli.reports import PICTURE
from jslim.data import DeviceBatchIterator
from jslim.host.files import UnfinishedFile
from jslim.host.paths import output_file
from jslim.learning import LearningRateTest, TrainOp
from jslim.learning.loop import InitFn

logger = logging.getLogger("jslim")

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 30, 50  # margins
_GREY, _LIGHT, _BLUE, _RED = (110, 110, 110), (225, 225, 225), (30, 90, 180), (200, 40, 40)


@dataclass(frozen=True)
class FindConfig(Config):
    """The search for a learning rate.

    Attributes:
      find_learning_rate: Whether to search for a learning rate in place of training: in a short
        training that is not kept it rises from 1e-6 to 10, or until the loss diverges. Prints the
        losses and a suggestion. Give it with the other flags of the training.
      find_learning_rate_steps: How many steps that takes.
      find_learning_rate_plot: Where to draw the losses, a PNG file.
    """

    find_learning_rate: bool = flag(False, on_resume="not_kept")
    find_learning_rate_steps: int = flag(
        100, least=10, goes_with="find_learning_rate", on_resume="not_kept"
    )
    find_learning_rate_plot: str | None = flag(
        None,
        path=partial(output_file, formats=PICTURE),
        goes_with="find_learning_rate",
        on_resume="not_kept",
    )


def find(
    config: FindConfig,
    train_op_fn: Callable[[optax.Schedule], TrainOp],
    batches: DeviceBatchIterator,
    seed: int,
    init_fn: InitFn | None,
) -> None:
    """Prints a table of losses and a suggestion, and draws the plot that the flags name.

    Args:
      config: The flags.
      train_op_fn, batches, init_fn: As of `find_learning_rate`; the batches are closed.
      seed: Of variables and dropout.
    """
    with contextlib.closing(batches):
        found = learning.find_learning_rate(
            train_op_fn,
            batches,
            number_of_steps=config.find_learning_rate_steps,
            rng=seed,
            init_fn=init_fn,
        )
    print(found.table())
    if found.suggestion is None:
        print(
            f"no suggestion: the loss did not fall in {len(found.losses)} steps; try more, by "
            "--find_learning_rate_steps"
        )
    else:
        print(
            f"suggestion: --learning_rate={found.suggestion:.2g}\n"
            f"There the loss has fallen half of the way; it is least at {found.least:.2g}."
        )
    if config.find_learning_rate_plot and jax.process_index() == 0:
        save_plot(config.find_learning_rate_plot, found)
        logger.info("drew %s", config.find_learning_rate_plot)


def save_plot(path: str, found: LearningRateTest) -> None:
    """Draws the losses over the logarithm of the learning rate, with the suggestion as a line.

    Args:
      path: The PNG file.
      found: The result.
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    # What diverges in the end would press the rest flat.
    low, first = float(found.smoothed.min()), float(found.smoothed[0])
    top = max(first, low) + 0.5 * (first - low or 1.0)
    low -= 0.05 * (top - low)
    decades = np.log10(found.learning_rates)

    def place(rate: float, loss: float) -> tuple[float, float]:
        across = (np.log10(rate) - decades[0]) / max(decades[-1] - decades[0], 1e-9)
        down = (top - np.clip(loss, low, top)) / (top - low)
        return (
            _LEFT + float(across) * (_WIDTH - _LEFT - _RIGHT),
            _TOP + float(down) * (_HEIGHT - _TOP - _BOTTOM),
        )

    rates = found.learning_rates
    for exponent in range(int(np.ceil(decades[0] - 1e-9)), int(np.floor(decades[-1] + 1e-9)) + 1):
        x, _ = place(10.0**exponent, low)
        draw.line((x, _TOP, x, _HEIGHT - _BOTTOM), _LIGHT)
        draw.text((x, _HEIGHT - _BOTTOM + 6), f"1e{exponent}", _GREY, anchor="ma", font_size=12)
    for loss in np.linspace(low, top, 6):
        _, y = place(rates[0], loss)
        draw.line((_LEFT, y, _WIDTH - _RIGHT, y), _LIGHT)
        draw.text((_LEFT - 6, y), f"{loss:.3g}", _GREY, anchor="rm", font_size=12)
    for losses, ink, width in ((found.losses, (170, 190, 220), 1), (found.smoothed, _BLUE, 3)):
        draw.line([place(*pair) for pair in zip(rates, losses, strict=True)], ink, width)
    if found.suggestion is not None:
        x, _ = place(found.suggestion, low)
        draw.line((x, _TOP, x, _HEIGHT - _BOTTOM), _RED, 2)
        label = f"suggestion {found.suggestion:.2g}"
        draw.text((x + 6, _TOP + 4), label, _RED, font_size=14)
    middle = _LEFT + (_WIDTH - _LEFT - _RIGHT) / 2
    draw.text((middle, _HEIGHT - 8), "learning rate", "black", anchor="mb", font_size=14)
    draw.text((_LEFT, 8), "loss", "black", font_size=14)
    with UnfinishedFile(path) as unfinished:
        image.save(unfinished.path, "PNG")
