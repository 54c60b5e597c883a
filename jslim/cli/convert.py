"""`jslim-convert`: images as TFRecord files, which TensorFlow reads too, or ArrayRecord files."""

import logging
from collections.abc import Sequence
from typing import Any

from jslim.cli import flags
from jslim.cli.run import UsageError, run
from jslim.data.convert import convert_dataset

logger = logging.getLogger("jslim")


def main(argv: Sequence[str] | None = None) -> int:
    """Converts as the command line says; returns the exit code."""
    return run(convert, flags.convert_flags(), argv)


def convert(values: Any) -> None:
    """Writes the files.

    Raises:
      UsageError: A folder is not given.
      DataError: An image cannot be read, or other files are in the way.
    """
    for name in ("dataset_dir", "output_dir"):
        if not values[name].value:
            raise UsageError(f"--{name} is missing")
    paths = convert_dataset(
        values.dataset_dir,
        values.output_dir,
        dataset_name=values.dataset_name,
        name=values.name,
        num_shards=values.num_shards,
        num_threads=values.num_threads,
        seed=values.seed,
        file_format=values.file_format,
        skip_bad_records=values.skip_bad_records,
    )
    logger.info(
        "wrote %d files; use them by --dataset_name=tfrecord --dataset_dir=%s",
        len(paths),
        values.output_dir,
    )
