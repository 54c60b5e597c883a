"""`jslim-convert`: images as TFRecord files, which TensorFlow reads too, or ArrayRecord files."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jslim.cli.flags import ComputingConfig, UsageError, flag
from jslim.cli.run import run
from jslim.core.seeds import MAX_SEED
from jslim.data.convert import FILE_FORMATS, SOURCES, convert_dataset
from jslim.host.paths import output_directory, path_string

logger = logging.getLogger("jslim")


@dataclass(frozen=True)
class ConvertConfig(ComputingConfig):
    """What is converted.

    Attributes:
      dataset_dir: A folder of images, DATASET_DIR[/SPLIT]/CLASS/*.jpg, or a zip or tar file of
        that; or what --dataset_name says.
      dataset_name: mnist and cifar10: the directory has the files that these were published in;
        npz: a NumPy file.
      file_format: What to write.
      output_dir: Where the files go.
      name: What they are called: NAME_SPLIT_*. Default: the folder's name.
      num_shards: Files for each split. Default: 5; of mnist and cifar10 one, called as TF-Slim
        calls it.
      num_threads: How many files are written at once.
      seed: Seed of the order of the images.
      skip_bad_records: How many images may be left out that cannot be read; one more is an error.
    """

    examples: ClassVar[tuple[str, ...]] = (
        "{program} --dataset_dir=photos --output_dir=records",
        "{program} --dataset_name=mnist --dataset_dir=downloads --output_dir=records",
    )

    dataset_dir: str | None = flag(None, path=path_string)
    dataset_name: str = flag("folder", choices=SOURCES)
    file_format: str = flag("tfrecord", choices=FILE_FORMATS)
    output_dir: str | None = flag(None, path=output_directory)
    name: str | None = None
    num_shards: int | None = flag(None, least=1)
    num_threads: int = flag(4, least=1)
    seed: int = flag(0, least=0, most=MAX_SEED)
    skip_bad_records: int = flag(0, least=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Converts as the command line says; returns the exit code."""
    return run(convert, ConvertConfig, argv)


def convert(config: ConvertConfig) -> None:
    """Writes the files.

    Raises:
      UsageError: A folder is not given.
      DataError: An image cannot be read, or other files are in the way.
    """
    if not config.dataset_dir:
        raise UsageError("--dataset_dir is missing")
    if not config.output_dir:
        raise UsageError("--output_dir is missing")
    paths = convert_dataset(
        config.dataset_dir,
        config.output_dir,
        dataset_name=config.dataset_name,
        name=config.name,
        num_shards=config.num_shards,
        num_threads=config.num_threads,
        seed=config.seed,
        file_format=config.file_format,
        skip_bad_records=config.skip_bad_records,
    )
    logger.info(
        "wrote %d files; use them by --dataset_name=tfrecord --dataset_dir=%s",
        len(paths),
        config.output_dir,
    )
