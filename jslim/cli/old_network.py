"""`jslim run`: builds a network of a file for TF-Slim as it stands, and prints its layers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from jslim import checkpoints
from jslim.cli.flags import ComputingConfig, UsageError, flag
from jslim.cli.run import run
from jslim.compat.networks import network_of
from jslim.core.model import Model, shapes_of
from jslim.core.selection import get_variables
from jslim.host.paths import path_string
from jslim.layer_table import summary_table


@dataclass(frozen=True)
class RunConfig(ComputingConfig):
    """The network.

    Attributes:
      shape: The shape of its input, with the batch first.
      keywords: Further arguments of the function, as JSON.
      arg_scope: A function of the file that gives the arg_scope to call it in.
      checkpoint_path: A checkpoint of TensorFlow or jslim that must fit its variables.
    """

    takes_arguments: ClassVar[bool] = True
    usage: ClassVar[str] = "[flags] FILE.py:FUNCTION"
    examples: ClassVar[tuple[str, ...]] = (
        "{program} model.py:network --shape=1,64,64,1",
        "{program} nets/vgg.py:vgg_16 --arg_scope=vgg_arg_scope "
        "--keywords='{{\"is_training\": false}}' --checkpoint_path=vgg_16.ckpt",
    )

    shape: str = "1,224,224,3"
    keywords: str = "{}"
    arg_scope: str | None = None
    checkpoint_path: str | None = flag(None, path=path_string)


def main(argv: Sequence[str] | None = None) -> int:
    """Builds the network and prints its layers; returns the exit code."""
    return run(build, RunConfig, argv)


def build(config: RunConfig) -> None:
    """Builds the network and prints its layers, its outputs, and whether a checkpoint fits.

    Raises:
      UsageError: A flag is wrong, or the file is not in Python 3's syntax.
      ValueError, FileNotFoundError: As for `networks.function_of`.
      RestoreError: The checkpoint does not fit.
    """
    if len(config.arguments) != 1:
        raise UsageError("give one network: jslim run [flags] FILE.py:FUNCTION")
    (place,) = config.arguments
    shape, keywords = _shape(config.shape), _keywords(config.keywords)
    try:
        network = network_of(place, keywords, config.arg_scope)
    except SyntaxError as error:
        raise UsageError(str(error)) from None
    model = Model(network)
    images = jax.ShapeDtypeStruct(shape, jnp.float32)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    outputs, variables = shapes_of(model.init_with_output, keys, images)
    print(summary_table(model, images))
    print("\noutputs")
    for path, leaf in jax.tree_util.tree_leaves_with_path(outputs):
        size = "x".join(map(str, leaf.shape)) or "scalar"
        print(f"  {jax.tree_util.keystr(path) or 'the result'}  {size} {leaf.dtype}")
    if config.checkpoint_path is not None:
        wanted = get_variables(variables)
        assign, values = checkpoints.assign_from_checkpoint(config.checkpoint_path, wanted)
        assign(variables, values)
        print(f"\nthe {len(wanted)} variables fit {config.checkpoint_path}")


def _shape(text: str) -> tuple[int, ...]:
    try:
        lengths = tuple(int(part) for part in text.split(","))
    except ValueError:
        lengths = ()
    if not lengths or min(lengths) < 1:
        raise UsageError(f"--shape must be whole numbers such as 1,224,224,3, got {text!r}")
    return lengths


def _keywords(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"--keywords must be JSON such as '{{\"num_classes\": 10}}', got {text!r}")
    return found
