"""The checkpoint that a program loads, and what its contract lacks."""

from dataclasses import dataclass
from typing import Any

from jslim import weights
from jslim.cli.flags import ComputingConfig, UsageError, flag
from jslim.cli.network_files import with_network
from jslim.data.labels import read_class_names
from jslim.host.paths import path_string
from jslim.nets.nets_factory import list_networks


@dataclass(frozen=True)
class CheckpointConfig(ComputingConfig):
    """The checkpoint that is loaded.

    Attributes:
      checkpoint_path: A checkpoint of jslim or TensorFlow, or a directory; a file of timm or Keras;
        or the name of published weights, as `jslim models --weights` lists them.
      weights: The name of published weights, in place of --checkpoint_path.
      model_name: The network. Default: the one the checkpoint names.
      model_file: A network of a file for TF-Slim, FILE.py:FUNCTION, if it was trained with one.
      use_moving_averages: Whether to take the moving averages of the variables, or by
        --nouse_moving_averages the variables as training left them. Default: the averages, if a
        checkpoint of jslim has them.
    """

    checkpoint_path: str = flag("/tmp/tfmodel/", path=path_string)
    weights: str | None = None
    model_name: str | None = flag(
        None,
        known=list_networks(),
        differs="of `eval.py`: not needed, the checkpoint knows it",
    )
    model_file: str | None = None
    use_moving_averages: bool | None = None


@dataclass(frozen=True)
class LoadConfig(CheckpointConfig):
    """What a checkpoint of others does not say.

    Attributes:
      preprocessing_name: The preprocessing of the images. Default: the checkpoint's, or that of the
        network.
      labels_file: The class names, one a line, if the checkpoint has none.
      image_size: Image side in pixels. Default: the checkpoint's.
      apply_exif_orientation: Whether to turn photographs upright by their EXIF data. Default: as
        in training.
    """

    preprocessing_name: str | None = None
    labels_file: str | None = flag(None, path=path_string)
    image_size: int | None = flag(None, least=1)
    apply_exif_orientation: bool | None = None


def arguments_of(config: LoadConfig) -> dict[str, Any]:
    """The arguments of `slim.load` that the flags give."""
    config = with_network(config)
    names = config.labels_file and read_class_names(config.labels_file)
    said = without_none(
        model_name=config.model_name,
        preprocessing_name=config.preprocessing_name,
        image_size=config.image_size,
        apply_exif_orientation=config.apply_exif_orientation,
        class_names=names or None,
    )
    return {"use_moving_averages": config.use_moving_averages, **said}


def without_none(**values: object) -> dict[str, Any]:
    """The values that are not None.

    >>> without_none(image_size=8, model_name=None)
    {'image_size': 8}
    """
    return {name: value for name, value in values.items() if value is not None}


def checkpoint_of(config: CheckpointConfig) -> str:
    """The checkpoint that the flags name, downloaded and converted where it must be.

    Raises:
      UsageError: There is none; `--weights` and `--checkpoint_path` are both given.
      RestoreError: It cannot be read or downloaded.
    """
    if config.weights is None:
        return resolved(config.checkpoint_path, config.model_name)
    if "checkpoint_path" in config.given:
        raise UsageError("--weights and --checkpoint_path are both given; drop one of them")
    return resolved(config.weights, config.model_name, "--weights")


def resolved(path: str, model_name: str | None, flag: str = "--checkpoint_path") -> str:
    """The checkpoint for a path or for the name of published weights.

    Raises:
      UsageError: There is neither such a path nor such a name.
      RestoreError: It cannot be read or downloaded.
    """
    try:
        return weights.resolve(path, model_name)
    except weights.UnknownWeights as error:
        raise UsageError(f"{flag}: {error}") from None
