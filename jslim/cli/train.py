"""`train.py`: trains an image classifier with TF-Slim's flags."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim import data, layers, learning, losses, summaries
from jslim.cli import (
    balance,
    classifier,
    distributed,
    finding,
    flags,
    held_back,
    length,
    outline,
    pictures,
    preview,
    rates,
    reporting,
    run_config,
    scoring,
    starting,
)
from jslim.cli.augmentation import AugmentationConfig, make_augmentation
from jslim.cli.balance import BalanceConfig
from jslim.cli.classifier import Batch, Contract
from jslim.cli.dry_run import dry_run
from jslim.cli.finding import FindConfig
from jslim.cli.flags import Config, UsageError, flag
from jslim.cli.network_files import with_network
from jslim.cli.optimization import OptimizerConfig, StepConfig, make_optimizer, state_flags
from jslim.cli.rates import LearningRateConfig
from jslim.cli.reporting import ReportConfig, Reports, reporting_to
from jslim.cli.reports import PICTURE
from jslim.cli.run import run
from jslim.cli.validation import ValidatedConfig, Validation
from jslim.core.access import make_rng
from jslim.core.global_step import get_or_create_global_step
from jslim.core.seeds import MAX_SEED, key_of
from jslim.data.subset import whole_of
from jslim.host.paths import output_file
from jslim.nets import nets_factory

logger = logging.getLogger("jslim")


@dataclass(frozen=True)
class LoopConfig(Config):
    """The seed, and what is written when.

    Attributes:
      seed: Seed of variables, order of the data, augmentation and dropout.
      log_every_n_steps: Steps from one progress line to the next.
      save_summaries_secs: Seconds between summaries; 0: none.
      save_interval_secs: Seconds between checkpoints.
      profile_steps: FIRST,LAST: steps of which a profile is written for TensorBoard.
      preview_file: Where to draw the images of the first batch, augmented, with their labels, as a
        PNG file; nothing is trained.
      dry_run: Builds all that training needs, reads a batch of images, compiles and takes one step,
        and says what was found. Nothing is written.
    """

    seed: int = flag(0, least=0, most=MAX_SEED)
    log_every_n_steps: int = flag(10, least=1, on_resume="may_change")
    save_summaries_secs: float = flag(600.0, least=0, on_resume="may_change")
    save_interval_secs: float = flag(600.0, least=0, on_resume="may_change")
    profile_steps: str | None = flag(None, on_resume="not_kept")
    preview_file: str | None = flag(
        None, path=partial(output_file, formats=PICTURE), on_resume="not_kept"
    )
    dry_run: bool = flag(False, on_resume="not_kept")


@dataclass(frozen=True)
class TrainConfig(
    LearningRateConfig,
    LoopConfig,
    OptimizerConfig,
    StepConfig,
    AugmentationConfig,
    BalanceConfig,
    FindConfig,
    ReportConfig,
    ValidatedConfig,
):
    """The network that is trained.

    Attributes:
      model_name: The network, one of those that jslim models lists.
      train_image_size: Image side in pixels. Default: that of the network.
      model_file: A network of a file for TF-Slim in place of it, FILE.py:FUNCTION, as it stands.
    """

    first_flags: ClassVar[tuple[str, ...]] = (
        "dataset_name",
        "dataset_dir",
        "model_name",
        "train_dir",
        "checkpoint_path",
        "batch_size",
        "max_number_of_steps",
        "optimizer",
        "learning_rate",
        "eval_every",
    )
    examples: ClassVar[tuple[str, ...]] = (
        "{program} --dataset_name=digits --model_name=lenet --train_image_size=8 "
        "--max_number_of_steps=1500 --train_dir=runs/digits",
        "{program} --dataset_name=folder --dataset_dir=photos --model_name=mobilenet_v2 "
        "--train_dir=runs/photos --eval_every=500",
        "{program} --train_dir=runs/photos",
        "{program} --config=runs/photos --train_dir=runs/faster --learning_rate=0.05",
    )

    model_name: str = flag("inception_v3", known=nets_factory.list_networks())
    train_image_size: int | None = flag(None, least=1)
    model_file: str | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as the command line says; returns the exit code."""
    return run(train, TrainConfig, argv)


def train(config: TrainConfig) -> None:
    """Trains as the flags say.

    Raises:
      UsageError: Flags contradict each other, or do not fit a checkpoint.
      DataError: The data cannot be read.
    """
    config = with_network(config)
    scoring.check_names(config)
    reporting.check_names(config)
    scoring.find(config.best_metric, "--best_metric")
    flags.refuse_idle(config)
    network = nets_factory.get_network(config.model_name)
    if network.takes_videos:
        raise UsageError(
            f"--model_name: {config.model_name!r} takes videos, and every data set here is one of "
            "images; choose another network, or train this one with slim.learning.train"
        )
    whole = classifier.open_dataset(config, config.labels_offset)
    dataset, validated = held_back.split(config, whole)
    last_step = length.number_of_steps(config, dataset.num_samples)
    mesh = classifier.device_mesh(config)
    contract: dict[str, object] = {
        "model_name": config.model_name,
        "num_classes": dataset.num_classes,
        "class_names": dataset.class_names,
        "labels_offset": config.labels_offset,
        "image_size": config.train_image_size or network.image_size,
        "num_channels": classifier.num_channels(dataset, config.skip_bad_records),
        "preprocessing_name": config.preprocessing_name or network.preprocessing,
        "apply_exif_orientation": config.apply_exif_orientation,
        "has_moving_averages": config.moving_average_decay is not None,
        "dataset_split_name": config.dataset_split_name,
        "validation_fraction": config.validation_fraction,
        "validation_seed": config.validation_seed,
    }
    if config.preview_file:
        _draw_preview(config, config.preview_file, dataset, contract)
        return
    class_weights = balance.class_weights(config, dataset, config.skip_bad_records)
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    if config.find_learning_rate:
        finding.find(
            config,
            partial(_train_op, config, contract, mesh, class_weights),
            data.prefetch_to_device(_host_batches(config, dataset, contract), sharding),
            config.seed,
            starting.make_init_fn(config, config.model_name, dataset.class_names),
        )
        return
    of_optimizer = state_flags(config)
    start = starting.find_start(config, of_optimizer, config.model_name)
    contract.update(of_optimizer, started_from=start.weights)
    if start.resumed_from:
        # What contracts of earlier versions do not say.
        held = {"validation_fraction": 0.0, "apply_exif_orientation": False, **start.contract}
        classifier.check_contract(held, contract, config.train_dir)
    contract.update(dataset=dataset.name, num_train_images=dataset.num_samples)
    learning_rate = rates.make_learning_rate(config, dataset.num_samples)
    train_op = _train_op(config, contract, mesh, class_weights, learning_rate)
    host = _host_batches(config, dataset, contract)
    if dataset.num_classes == 1:
        logger.warning(
            "%s has one class only, %r: there is nothing to learn from it; give a folder with one "
            "sub-folder for each class",
            dataset.name,
            dataset.class_names[0],
        )
    validation = None
    if config.eval_every:
        validation = Validation(config, contract, validated)
        if validation.dataset is not validated:
            _check_evaluated_split(config, dataset, validation.dataset)
    batches = data.prefetch_to_device(host, sharding)
    closing = contextlib.closing(validation) if validation else contextlib.nullcontext()
    with batches, closing, outline.ended(config, dataset, validation):
        lines = outline.beginning(
            config,
            start,
            dataset,
            validation,
            last_step=last_step,
            learning_rate=rates.learning_rate_arguments(config, dataset.num_samples),
        )
        for line in (*lines, *distributed.advice(config, config.batch_size, jax.default_backend())):
            logger.info("%s", line)
        logger.info("%s", outline.network_row(train_op, config.seed, batches.element_spec))
        if change := run_config.changes(config):
            logger.info("%s", change)
        init_fn = None
        if start.resumed_from is None:
            init_fn = starting.make_init_fn(config, config.model_name, dataset.class_names)
        if config.dry_run:
            dry_run(
                train_op,
                batches,
                seed=config.seed,
                init_fn=init_fn,
                resumed_from=start.resumed_from,
                validation=validation,
            )
            return
        goes_on = start.resumed_from is not None
        with reporting_to(config, config.train_dir) as reported:
            learning.train(
                train_op,
                batches,
                config.train_dir,
                number_of_steps=last_step,
                log_every_n_steps=config.log_every_n_steps,
                rng=config.seed,
                init_fn=init_fn,
                save_summaries_secs=config.save_summaries_secs,
                save_interval_secs=config.save_interval_secs,
                contract=contract,
                summarize_fn=pictures.of_step,
                report_to=[
                    *([reported] if reported.names else []),
                    *([validation.log] if validation else []),
                ],
                on_start=partial(_begin, config, validation, last_step, reported, goes_on),
                after_step=validation,
                profile_steps=_profile_steps(config),
            )


def _train_op(
    config: TrainConfig,
    contract: Contract,
    mesh: Mesh,
    class_weights: np.ndarray | None,
    learning_rate: optax.Schedule,
) -> learning.TrainOp:
    return learning.create_train_op(
        _loss_function(config, contract, learning_rate, class_weights),
        make_optimizer(config, learning_rate),
        variables_to_train=flags.scopes_of(config.trainable_scopes) or None,
        clip_gradient_norm=config.clip_gradient_norm,
        clip_global_norm=config.clip_global_norm,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        recompute_elementwise=config.recompute_elementwise,
        report_norms=config.report_norms,
        check_numerics=config.check_numerics == "loss" or config.check_numerics,
        sharding_rules=learning.FULLY_SHARDED if config.shard_state else learning.DATA_PARALLEL,
        batch_norm_statistics=config.batch_norm_statistics,
        reduce_dtype=config.reduce_dtype,
        moving_average_decay=config.moving_average_decay,
        freeze_batch_norm=config.freeze_batch_norm,
        mesh=mesh,
    )


def _host_batches(
    config: TrainConfig, dataset: data.ImageDataset, contract: Contract
) -> data.BatchIterator:
    return classifier.host_batches(
        dataset,
        contract,
        config,
        is_training=True,
        seed=config.seed,
        balanced_sampling=config.balanced_sampling,
        takes_other_data=config.data_changed,
    )


def _begin(
    config: TrainConfig,
    validation: Validation | None,
    last_step: int | None,
    reported: Reports,
    goes_on: bool,
    step: int,
    state: learning.TrainState,
) -> bool:
    """Writes what the run is to remember, and opens what it reports to; whether it ends at once.

    The directory is this run's by now: one that is refused leaves nothing at the services.
    """
    is_done = last_step is not None and step >= last_step
    if jax.process_index() == 0 and not (is_done and config.run):
        run_config.write(config, config.train_dir, step)
    reported.open(goes_on=goes_on)
    if validation is None:
        return False
    validation.report_to = reported.prefixed("eval/")
    return validation.start(step, state)


def _check_evaluated_split(
    config: TrainConfig, trained: data.ImageDataset, evaluated: data.ImageDataset
) -> None:
    """Refuses to evaluate the images of training, unless a flag asks for it."""
    ours, theirs = (whole_of(dataset).fingerprint for dataset in (trained, evaluated))
    is_same = ours is not None and ours == theirs
    if not is_same and config.eval_split_name != config.dataset_split_name:
        return
    what = f"--eval_split_name={config.eval_split_name}: these are the images that are trained on"
    if "eval_split_name" not in config.given | config.given_before:
        raise UsageError(f"{what}; give another split, or this one to evaluate them all the same")
    logger.warning("%s; their metrics do not show how good the network is", what)


def _draw_preview(
    config: TrainConfig, path: str, dataset: data.ImageDataset, contract: Contract
) -> None:
    with _host_batches(config, dataset, contract) as host:
        batch = next(host)
    augment = make_augmentation(config, contract["preprocessing_name"])
    one_hot = layers.one_hot_encoding(jnp.asarray(batch["label"]), dataset.num_classes)
    images, mixed = augment(key_of(config.seed), jnp.asarray(batch["image"]), one_hot)
    captions = [preview.caption_of(shares, dataset.class_names) for shares in np.asarray(mixed)]
    preview.save_contact_sheet(path, np.asarray(images), captions)
    logger.info("drew %s: %d images of %s", path, len(captions), dataset.name)


def _profile_steps(config: LoopConfig) -> tuple[int, int] | None:
    if config.profile_steps is None:
        return None
    first, comma, last = config.profile_steps.partition(",")
    if not (comma and first.strip().isdecimal() and last.strip().isdecimal()):
        raise UsageError(f"--profile_steps must be FIRST,LAST, got {config.profile_steps!r}")
    return int(first), int(last)


def _loss_function(
    config: TrainConfig,
    contract: Contract,
    learning_rate: optax.Schedule,
    class_weights: np.ndarray | None = None,
) -> Callable[[Batch], tuple[jax.Array, dict[str, jax.Array]]]:
    num_classes = contract["num_classes"]
    network = classifier.network_fn(contract, config, config.weight_decay, is_training=True)

    augment = make_augmentation(config, contract["preprocessing_name"])

    def total_loss(batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        labels = batch["label"]
        one_hot = layers.one_hot_encoding(labels, num_classes)
        images, one_hot = augment(make_rng("augmentation"), batch["image"], one_hot)
        with layers.recompute_scopes(*flags.scopes_of(config.recompute_scopes)):
            logits, end_points = network(images)
        pictures.record_activations(end_points)
        weights, smoothing = batch["weights"], config.label_smoothing
        if class_weights is not None:
            # Mixed labels have a mixed weight. Not by a matrix product, which rounds on a TPU.
            weights = weights * jnp.sum(one_hot * class_weights[None], axis=-1)
        if "AuxLogits" in end_points:
            losses.softmax_cross_entropy(
                end_points["AuxLogits"].astype(jnp.float32),
                one_hot,
                0.4 * weights,
                smoothing,
                scope="aux_loss",
            )
        loss = losses.softmax_cross_entropy(logits, one_hot, weights, smoothing)
        accuracy = jnp.mean((jnp.argmax(logits, -1) == labels).astype(jnp.float32))
        # Under the names that they have in evaluations, so that they share a chart.
        summaries.scalar("Accuracy", accuracy)
        summaries.scalar("Loss", loss)
        summaries.scalar("learning_rate", learning_rate(get_or_create_global_step()))
        for name, value in losses.named_losses().items():
            summaries.scalar(f"losses/{name}", value)
        return losses.get_total_loss(), {"accuracy": accuracy}

    return total_loss
