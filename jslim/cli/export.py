"""`jslim-export`: a checkpoint as one file for inference, or its variables for other programs."""

import logging
from collections.abc import Sequence
from typing import Any

from jslim import export as exporting
from jslim.cli import flags
from jslim.cli.run import UsageError, run
from jslim.host.paths import format_of

logger = logging.getLogger("jslim")


def main(argv: Sequence[str] | None = None) -> int:
    """Exports as the command line says; returns the exit code."""
    return run(export, flags.export_flags(), argv, flags.DROPPED)


def export(values: Any) -> None:
    """Writes `--output_file`.

    Raises:
      UsageError: It is not given.
      RestoreError: There is no whole checkpoint.
    """
    if not values.output_file:
        raise UsageError("--output_file is missing; give the file to write, model.zip")
    common = {
        "use_moving_averages": values.use_moving_averages,
        **flags.contract_of(values),
    }
    if format_of(values.output_file, "--output_file", flags.FORMATS) in exporting.VARIABLES:
        for name in ("platforms", "batch_size"):
            if values[name].present:
                raise UsageError(
                    f"--{name} is of an inference graph, a .zip, and does nothing with "
                    f"--output_file={values.output_file}; drop it"
                )
        path = exporting.export_variables(values.checkpoint_path, values.output_file, **common)
    else:
        path = exporting.export_inference_graph(
            values.checkpoint_path,
            values.output_file,
            platforms=flags.scopes_of(values.platforms),
            batch_size=values.batch_size,
            **common,
        )
    logger.info("wrote %s", path)
