"""`jslim models`: the networks, their sizes, and what their images are."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jslim.cli.flags import UsageError
from jslim.cli.listing import ListConfig, show
from jslim.cli.networks import NETWORKS
from jslim.cli.run import run
from jslim.core.errors import did_you_mean


@dataclass(frozen=True)
class ModelsConfig(ListConfig):
    """Networks.

    Parameters are those of 1,000 classes, of 10 where images have 32 pixels or fewer. FLOPs are
    those of one image of the size that is shown, two for a multiplication with an addition; of
    videos, for 64 frames.

    Attributes:
      weights: Lists published weights in place of networks: accuracies are the sources' own.
    """

    takes_arguments: ClassVar[bool] = True
    uses_jax: ClassVar[bool] = False
    usage: ClassVar[str] = "[flags] [PATTERN ...]"
    examples: ClassVar[tuple[str, ...]] = (
        "{program} mobilenet_v3 'resnet_*_50'",
        "{program} --json",
        "{program} --weights inception",
    )

    weights: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the list; returns the exit code."""
    return run(models, ModelsConfig, argv)


def models(config: ModelsConfig) -> None:
    """Prints a line for each network; with patterns, for those whose names start like one.

    Raises:
      UsageError: A pattern matches none.
    """
    if config.weights:
        _published(config)
        return
    for pattern in config.arguments:
        if not any(_matches(name, pattern) for name in NETWORKS):
            raise UsageError(f"no network matches {pattern!r}{did_you_mean(pattern, NETWORKS)}")
    patterns = config.arguments or ("*",)
    rows = [
        {"name": name, **row._asdict()}
        for name, row in NETWORKS.items()
        if any(_matches(name, pattern) for pattern in patterns)
    ]
    cells = {
        "name": lambda row: row["name"],
        "parameters": lambda row: f"{row['parameters']:,}",
        "MFLOPs": lambda row: f"{row['flops'] / 1e6:,.0f}",
        "image": lambda row: str(row["image_size"]),
        "preprocessing": lambda row: row["preprocessing"],
    }
    show(config, rows, cells, right=("parameters", "MFLOPs", "image"))


def _published(config: ModelsConfig) -> None:
    """Prints a line for each file of published weights, or for those that a pattern matches."""
    from jslim.weights import WEIGHTS  # starts JAX

    named = {row.name: row for row in WEIGHTS}
    chosen = {
        name: row
        for name, row in named.items()
        if not config.arguments
        or any(_matches(name, p) or _matches(row.network, p) for p in config.arguments)
    }
    if not chosen:
        near = did_you_mean(config.arguments[0], [*named, *NETWORKS])
        raise UsageError(f"no published weights match {config.arguments[0]!r}{near}")
    rows = [
        {
            **row._asdict(),
            "bytes": 4 * NETWORKS[row.network].parameters,  # in float32
            "labels_offset": row.labels_offset,
        }
        for row in chosen.values()
    ]
    cells = {
        "name": lambda row: row["name"],
        "network": lambda row: row["network"],
        "MB": lambda row: f"{row['bytes'] / 1e6:,.0f}",
        "top-1": lambda row: f"{row['top_1']:.1f}",
        "image": lambda row: str(row["image_size"]),
        "classes": lambda row: str(row["num_classes"]),
    }
    show(config, rows, cells, right=("MB", "top-1", "image", "classes"))


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, f"{pattern}*")
