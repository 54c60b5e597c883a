"""`jslim-export`: a checkpoint as one file for inference, or its variables for other programs."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from jslim import export as exporting
from jslim import prediction
from jslim.cli import flags
from jslim.cli.flags import UsageError, flag
from jslim.cli.loading import LoadConfig, arguments_of, checkpoint_of
from jslim.cli.model_card import ModelCardConfig, write_model_card
from jslim.cli.run import run
from jslim.host.paths import format_of, output_file

logger = logging.getLogger("jslim")

_FORMATS = exporting.GRAPH | exporting.VARIABLES


@dataclass(frozen=True)
class ExportConfig(ModelCardConfig, LoadConfig):
    """What is exported.

    Attributes:
      output_file: The file to write. NAME.zip: an inference graph; or the variables alone,
        NAME.safetensors or, as a checkpoint of TensorFlow, NAME.ckpt.
      platforms: Comma-separated platforms on which an inference graph is to run.
      batch_size: The only batch size it takes. Default: any.
    """

    examples: ClassVar[tuple[str, ...]] = (
        "{program} --checkpoint_path=runs/photos --output_file=photos.zip",
        "{program} --checkpoint_path=runs/photos --output_file=photos.safetensors",
    )

    output_file: str | None = flag(None, path=partial(output_file, formats=_FORMATS))
    platforms: str = flag("cpu,cuda,tpu")
    batch_size: int | None = flag(None, least=1)


def main(argv: Sequence[str] | None = None) -> int:
    """Exports as the command line says; returns the exit code."""
    return run(export, ExportConfig, argv)


def export(config: ExportConfig) -> None:
    """Writes `--output_file`.

    Raises:
      UsageError: It is not given.
      RestoreError: There is no whole checkpoint.
    """
    if not config.output_file:
        raise UsageError("--output_file is missing; give the file to write, model.zip")
    is_graph = format_of(config.output_file, "--output_file", _FORMATS) in exporting.GRAPH
    for name in ("platforms", "batch_size"):
        if name in config.given and not is_graph:
            raise UsageError(
                f"--{name} is of an inference graph, a .zip, and does nothing with "
                f"--output_file={config.output_file}; drop it"
            )
    classifier = prediction.load(checkpoint_of(config), **arguments_of(config))
    if is_graph:
        path = exporting.export_inference_graph(
            classifier,
            config.output_file,
            platforms=flags.scopes_of(config.platforms),
            batch_size=config.batch_size,
        )
    else:
        path = exporting.export_variables(classifier, config.output_file)
    logger.info("wrote %s", path)
    if config.model_card and (card := write_model_card(classifier, path)):
        logger.info("wrote %s", card)
