"""Shared by training and evaluation of an image classifier: data, network, and their contract."""

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jslim import data, evaluation, layers, metrics
from jslim.cli.distributed import DevicesConfig
from jslim.cli.flags import Config, UsageError, flag
from jslim.cli.held_back import HeldBackConfig
from jslim.core.arg_scope import arg_scope
from jslim.core.errors import DataError
from jslim.core.model import Model
from jslim.core.text import quoted, some_of
from jslim.data import Example, ImageDataset
from jslim.data.dataset_factory import DATASETS
from jslim.data.imagenet import are_of_imagenet, are_same_classes, imagenet_class_names
from jslim.data.subset import View
from jslim.host.paths import path_string
from jslim.learning import data_mesh
from jslim.nets import nets_factory
from jslim.preprocessing import preprocessing_factory
from jslim.preprocessing.images import Image
from jslim.preprocessing.on_device import get_device_preprocessing

Contract = Mapping[str, Any]  # a checkpoint's description of itself
Batch = Mapping[str, jax.Array]
# A function of images and of keyword arguments of the network, to logits and end points.
Network = Callable[..., tuple[jax.Array, Mapping[str, jax.Array]]]

# The keys of a contract that say for which network, classes and images the weights are.
_MADE_FOR = (
    "model_name",
    "num_classes",
    "class_names",
    "labels_offset",
    "image_size",
    "num_channels",
    "preprocessing_name",
    "apply_exif_orientation",
    "dataset_split_name",
    "validation_fraction",
    "validation_seed",
)


# How two values of a key are compared, where that is not by `==`.
_EQUAL = {"class_names": are_same_classes}
_NAMES_SHOWN = 10


@dataclass(frozen=True)
class DatasetConfig(Config):
    """The data set.

    Attributes:
      dataset_split_name: The split of the data set.
      dataset_dir: The folder or file of the data set; digits come with jslim.
      apply_exif_orientation: Whether to turn photographs upright by their EXIF data. A checkpoint
        remembers it, so that evaluation and prediction do the same.
      labels_offset: Is subtracted from the labels (1 to drop a background class).
    """

    dataset_name: str | None = flag(
        None,
        help="; ".join(f"{name}: {row.help}" for name, row in DATASETS.items()) + ".",
        known=list(DATASETS),
        on_resume="may_change",
        differs="TF-Slim's, `digits`, `folder`, `npz`, `tfds` or `tfrecord`; no default (TF-Slim's "
        "is imagenet)",
    )
    dataset_split_name: str = "train"
    dataset_dir: str | None = flag(
        None, path=path_string, on_resume="may_change", differs="not for `digits`"
    )
    apply_exif_orientation: bool = False
    labels_offset: int = 0


@dataclass(frozen=True)
class DataConfig(DatasetConfig):
    """How images are read.

    Attributes:
      preprocessing_name: The preprocessing of the images. Default: that of the network.
      batch_size: Images in each batch of each clone.
      num_preprocessing_threads: Threads that decode images. Default: the number of cores, up to 16.
      num_workers: Processes that decode images, in place of the threads: for more than about 8
        cores.
      pixel_dtype: In what images travel to the devices: uint8, rounded and a quarter of the bytes,
        or float32, TF-Slim's own values. Default: uint8 in training, float32 in evaluation.
      skip_bad_records: How many records may be left out that cannot be read; one more is an error.
    """

    preprocessing_name: str | None = None
    batch_size: int = flag(
        32,
        least=1,
        on_resume="may_change",
        differs="for each of `--num_clones` devices, as in TF-Slim",
    )
    num_preprocessing_threads: int | None = flag(
        None,
        least=1,
        differs="default: as many as there are cores, up to 16; also what `--num_readers` was",
        on_resume="may_change",
    )
    num_workers: int = flag(0, least=0, on_resume="may_change")
    pixel_dtype: str | None = flag(
        None, choices=preprocessing_factory.PIXEL_DTYPES, on_resume="may_change"
    )
    skip_bad_records: int = flag(0, least=0, on_resume="may_change")


@dataclass(frozen=True)
class ClassifierConfig(DataConfig, HeldBackConfig, DevicesConfig):
    """What `train.py` and `eval.py` both have."""


class _OffsetDataset(View):
    """A data set whose labels are lowered: without its first classes, or with others before it."""

    def __init__(self, dataset: ImageDataset, labels_offset: int, class_names: Sequence[str]):
        super().__init__(dataset, dataset.name)
        self.class_names = list(class_names)
        self._labels_offset = labels_offset

    def label(self, index: int) -> int:
        return self.base.label(index) - self._labels_offset

    def changed(self, example: Example) -> Example:
        return {**example, "label": example["label"] - self._labels_offset}


def open_dataset(
    config: DatasetConfig, labels_offset: int, split_name: str | None = None
) -> ImageDataset:
    """The split of the data set that the flags name, with labels lowered by `labels_offset`."""
    return _lowered(_opened(config, split_name), labels_offset)


def _opened(config: DatasetConfig, split_name: str | None) -> ImageDataset:
    if config.dataset_name is None:
        raise UsageError(f"--dataset_name is missing; give one of {', '.join(data.DATASET_NAMES)}")
    flag = "apply_exif_orientation"
    # A checkpoint may ask for it of photographs, the user only where there are some.
    applies = getattr(config, flag) and (
        flag in config.given or DATASETS[config.dataset_name].has_photographs
    )
    return data.get_dataset(
        config.dataset_name,
        split_name or config.dataset_split_name,
        config.dataset_dir,
        apply_exif_orientation=applies,
    )


def _lowered(dataset: ImageDataset, labels_offset: int) -> ImageDataset:
    if not 0 <= labels_offset < dataset.num_classes:
        raise UsageError(
            f"--labels_offset={labels_offset} leaves no class of the {dataset.num_classes} of "
            f"{dataset.name}"
        )
    names = dataset.class_names[labels_offset:]
    return _OffsetDataset(dataset, labels_offset, names) if labels_offset else dataset


def open_dataset_of(
    config: DatasetConfig, contract: Contract, split_name: str | None = None
) -> ImageDataset:
    """The split of the data set that the flags name, with the labels of a checkpoint.

    They are lowered as in its training. ImageNet's are brought to the classes of the checkpoint,
    which has a background or not, unless `labels_offset` is given.
    """
    dataset, theirs = _opened(config, split_name), contract["class_names"]
    if "labels_offset" not in config.given and are_of_imagenet(dataset.class_names, theirs):
        names = imagenet_class_names(len(theirs))
        return _OffsetDataset(dataset, dataset.num_classes - len(theirs), names)
    return _lowered(dataset, contract["labels_offset"])


def device_mesh(config: DevicesConfig) -> Mesh:
    """`--num_clones` devices of each process."""
    return data_mesh(config.num_clones * jax.process_count())


def global_batch_size(config: ClassifierConfig) -> int:
    """The images of one step, over all clones of all processes."""
    return config.batch_size * config.num_clones * jax.process_count()


def num_channels(dataset: ImageDataset, skip_bad_records: int) -> int:
    """The channels of the first image that can be read."""
    for index in range(len(dataset)):
        try:
            return int(dataset[index]["image"].shape[-1])
        except DataError as error:
            if index >= skip_bad_records:
                raise data.BadRecordError.of(error) from error
    raise DataError(f"no record of {dataset.name!r} can be read.")


def made_for(contract: Contract) -> Contract:
    """The part of a contract that is the same for all checkpoints of one run."""
    return {name: contract[name] for name in _MADE_FOR if name in contract}


def check_contract(held: Contract, ours: Contract, where: str) -> None:
    """Refuses a checkpoint of another network or of other data.

    Args:
      held: The contract in the checkpoint.
      ours: The contract by the flags and the data; only its keys are compared.
      where: The checkpoint, for the error.

    Raises:
      UsageError: They differ; the message names every difference.
    """
    differences = [
        f"{key} is {_shown(held[key], value)} there and {_shown(value, held[key])} here"
        for key, value in ours.items()
        if key in held and not _EQUAL.get(key, operator.eq)(held[key], value)
    ]
    if differences:
        raise UsageError(
            f"the checkpoint in {where} does not fit: {'; '.join(differences)}; give the flags "
            "and data that it was made with, or another directory"
        )


def _shown(value: object, other: object) -> str:
    """A value of a contract beside another one; of many class names, those that differ."""
    if not isinstance(value, list) or not isinstance(other, list):
        return repr(value)
    if len(value) <= _NAMES_SHOWN:
        return f"[{', '.join(quoted(name, other) for name in value)}]"
    differing = [
        quoted(n, other) for n, o in itertools.zip_longest(value, other) if n not in (o, None)
    ]
    first = differing or [quoted(name, other) for name in value[:3]]
    return f"[{some_of(first, 3)} of {len(value)}]"


def host_batches(
    dataset: ImageDataset,
    contract: Contract,
    config: ClassifierConfig,
    *,
    is_training: bool,
    seed: int = 0,
    balanced_sampling: bool = False,
    takes_other_data: bool = False,
) -> data.BatchIterator:
    """Batches of the data set, with images in the size of the contract.

    The second half of the preprocessing runs on the device: in `make_network`, and in training in
    `augmentation`. The other arguments are those of `slim.data.batches`.
    """
    preprocess = preprocessing_factory.get_host_preprocessing(
        contract["preprocessing_name"], is_training, config.pixel_dtype
    )
    size = contract["image_size"]

    def preprocessing_fn(image: Image, rng: np.random.Generator) -> np.ndarray:
        return preprocess(image, size, size, rng=rng)

    return data.batches(
        dataset,
        global_batch_size(config),
        is_training=is_training,
        preprocessing_fn=preprocessing_fn,
        seed=seed,
        num_threads=0 if dataset.is_in_memory else config.num_preprocessing_threads,
        num_workers=0 if dataset.is_in_memory else config.num_workers,
        skip_bad_records=config.skip_bad_records,
        decode_images=config.pixel_dtype == "float32",  # whole, not in a smaller size
        shard=(jax.process_index(), jax.process_count()),
        balanced_sampling=balanced_sampling,
        takes_other_data=takes_other_data,
    )


def network_fn(
    contract: Contract, config: DevicesConfig, weight_decay: float = 0.0, is_training: bool = False
) -> Network:
    """The network of the contract, computed in `--dtype`."""
    network = nets_factory.get_network_fn(
        contract["model_name"], contract["num_classes"], weight_decay, is_training
    )
    if config.dtype == "float32":
        return network

    def in_half_precision(
        images: jax.Array, **options: object
    ) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        with arg_scope(layers.COMPUTING_OPS, dtype=jnp.bfloat16):
            logits, end_points = network(images.astype(jnp.bfloat16), **options)
        return logits.astype(jnp.float32), end_points

    return in_half_precision


def make_network(contract: Contract, config: DevicesConfig) -> Network:
    """The network as a function of images of `host_batches`, without augmentation."""
    network = network_fn(contract, config)
    preprocess = get_device_preprocessing(contract["preprocessing_name"])
    return lambda images, **options: network(preprocess(images), **options)


def make_evaluator(
    contract: Contract, config: DevicesConfig, metric_map: Mapping[str, metrics.Metric]
) -> evaluation.Evaluate:
    """Evaluates variables of the network on batches, by metrics of logits and labels.

    Args:
      contract: Which network it is.
      config: The flags.
      metric_map: The metrics by name, such as those of `scoring`.
    """
    model = Model(make_network(contract, config))

    def logits_and_labels(
        variables: Mapping[str, Any], batch: Batch
    ) -> tuple[jax.Array, jax.Array]:
        logits, _ = model.apply(variables, batch["image"])
        return logits, batch["label"]

    metric = metrics.aggregate_metric_map(metric_map)
    return evaluation.make_evaluator(logits_and_labels, metric, mesh=device_mesh(config))
