"""`train.py`: trains an image classifier with TF-Slim's flags."""

import contextlib
import inspect
import logging
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from jslim import data, layers, learning, losses, optimizers, summaries
from jslim.cli import classifier, flags, preview, scoring, starting
from jslim.cli.augmentation import make_augmentation
from jslim.cli.definer import refuse_alone, refuse_idle
from jslim.cli.run import UsageError, run
from jslim.cli.train_flags import GOES_WITH, OF_DECAY_TYPES, OF_OPTIMIZERS, train_flags
from jslim.cli.validation import Validation
from jslim.core.access import make_rng
from jslim.core.seeds import key_of
from jslim.nets import nets_factory
from jslim.variables import get_or_create_global_step

logger = logging.getLogger("jslim")


def main(argv: Sequence[str] | None = None) -> int:
    """Trains as the command line says; returns the exit code."""
    return run(train, train_flags(), argv, flags.DROPPED)


def train(values: Any) -> None:
    """Trains as the flags say.

    Raises:
      UsageError: Flags that make no sense together, or that do not fit a checkpoint.
      DataError: The data cannot be read.
    """
    _check_flags(values)
    network = nets_factory.get_network(values.model_name)
    if network.takes_videos:
        raise UsageError(
            f"--model_name: {values.model_name!r} takes videos, and every data set here is one of "
            "images; choose another network, or train this one with slim.learning.train"
        )
    dataset = classifier.open_dataset(values, values.labels_offset)
    mesh = classifier.device_mesh(values)
    contract = classifier.make_contract(
        values.model_name,
        dataset,
        image_size=values.train_image_size or network.image_size,
        preprocessing_name=values.preprocessing_name or network.preprocessing,
        labels_offset=values.labels_offset,
        has_moving_averages=values.moving_average_decay is not None,
        skip_bad_records=values.skip_bad_records,
    )
    if values.preview_file:
        _draw_preview(values, dataset, contract)
        return
    start = starting.find_start(values)
    contract |= {"started_from": start.weights, "optimizer": values.optimizer}
    if start.resumes:
        classifier.check_contract(start.contract, contract, values.train_dir)
    learning_rate = _learning_rate(values, dataset.num_samples)
    train_op = learning.create_train_op(
        _loss_function(values, contract, learning_rate),
        _optimizer(values, learning_rate),
        variables_to_train=flags.scopes_of(values.trainable_scopes) or None,
        clip_gradient_norm=values.clip_gradient_norm,
        clip_global_norm=values.clip_global_norm,
        gradient_accumulation_steps=values.gradient_accumulation_steps,
        report_norms=values.report_norms,
        check_numerics=values.check_numerics == "loss" or values.check_numerics,
        sharding_rules=learning.FULLY_SHARDED if values.shard_state else learning.DATA_PARALLEL,
        batch_norm_statistics=values.batch_norm_statistics,
        moving_average_decay=values.moving_average_decay,
        freeze_batch_norm=values.freeze_batch_norm,
        mesh=mesh,
    )
    host = classifier.host_batches(dataset, contract, values, is_training=True, seed=values.seed)
    if dataset.num_classes == 1:
        logger.warning(
            "%s has one class only, %r: there is nothing to learn from it; give a folder with one "
            "sub-folder for each class",
            dataset.name,
            dataset.class_names[0],
        )
    validation = None
    if values.eval_every:
        validation = Validation(values, contract)
        _check_evaluated_split(values, dataset, validation.dataset)
    batches = data.prefetch_to_device(host, NamedSharding(mesh, PartitionSpec("data")))
    with batches, contextlib.closing(validation) if validation else contextlib.nullcontext():
        _say_what_happens(values, dataset, contract, start)
        learning.train(
            train_op,
            batches,
            values.train_dir,
            number_of_steps=values.max_number_of_steps,
            log_every_n_steps=values.log_every_n_steps,
            rng=values.seed,
            init_fn=starting.make_init_fn(values, network, dataset.class_names),
            save_summaries_secs=values.save_summaries_secs,
            save_interval_secs=values.save_interval_secs,
            contract=contract,
            on_start=validation and validation.start,
            after_step=validation,
            profile_steps=_profile_steps(values),
        )


def _check_flags(values: Any) -> None:
    scoring.check_names(flags.scopes_of(values.metrics))
    scoring.check_names([values.best_metric], "--best_metric")
    refuse_alone(values, GOES_WITH)
    refuse_idle(values, "optimizer", OF_OPTIMIZERS)
    refuse_idle(values, "learning_rate_decay_type", OF_DECAY_TYPES)


def _check_evaluated_split(
    values: Any, trained: data.ImageDataset, evaluated: data.ImageDataset
) -> None:
    """Refuses to evaluate the images that are trained on, unless that was said."""
    is_same = trained.fingerprint is not None and trained.fingerprint == evaluated.fingerprint
    if not is_same and values.eval_split_name != values.dataset_split_name:
        return
    what = f"--eval_split_name={values.eval_split_name}: these are the images that are trained on"
    if not values["eval_split_name"].present:
        raise UsageError(f"{what}; give another split, or this one to evaluate them all the same")
    logger.warning("%s; how good the network is they do not tell", what)


def _draw_preview(values: Any, dataset: data.ImageDataset, contract: dict[str, Any]) -> None:
    host = classifier.host_batches(dataset, contract, values, is_training=True, seed=values.seed)
    with host:
        batch = next(host)
    augment = make_augmentation(values, contract["preprocessing_name"])
    one_hot = layers.one_hot_encoding(jnp.asarray(batch["label"]), dataset.num_classes)
    images, _ = augment(key_of(values.seed), jnp.asarray(batch["image"]), one_hot)
    captions = [f"{label}: {dataset.class_names[label]}" for label in batch["label"]]
    preview.save_contact_sheet(values.preview_file, np.asarray(images), captions)
    logger.info("drew %s: %d images of %s", values.preview_file, len(captions), dataset.name)


def _say_what_happens(
    values: Any, dataset: Any, contract: dict[str, Any], start: starting.Start
) -> None:
    logger.info(
        "%s: %s on %s (%d images of %d classes), batches of %d on %d of %d devices (%s)",
        start,
        contract["model_name"],
        dataset.name,
        dataset.num_samples,
        contract["num_classes"],
        classifier.global_batch_size(values),
        values.num_clones * jax.process_count(),
        jax.device_count(),
        jax.default_backend(),
    )


def _profile_steps(values: Any) -> tuple[int, int] | None:
    if values.profile_steps is None:
        return None
    first, comma, last = values.profile_steps.partition(",")
    if not (comma and first.strip().isdecimal() and last.strip().isdecimal()):
        raise UsageError(f"--profile_steps must be FIRST,LAST, got {values.profile_steps!r}")
    return int(first), int(last)


def _learning_rate(values: Any, num_samples: int) -> optax.Schedule:
    # TF-Slim's epochs of the decay are those of one clone; ours are of the whole data set.
    decay_steps = int(num_samples / values.batch_size * values.num_epochs_per_decay)
    steps_per_epoch = num_samples / classifier.global_batch_size(values)
    if values.learning_rate_decay_type == "cosine":
        if values.max_number_of_steps is None:
            raise UsageError(
                "--learning_rate_decay_type=cosine: --max_number_of_steps, at which it ends, is "
                "not given"
            )
        decay_steps = values.max_number_of_steps
    epochs = flags.scopes_of(values.learning_rate_boundaries)
    try:
        boundaries = [float(epoch) * steps_per_epoch for epoch in epochs]
    except ValueError:
        raise UsageError(
            "--learning_rate_boundaries must be numbers of epochs with commas between, got "
            f"{values.learning_rate_boundaries!r}"
        ) from None
    return optimizers.get_learning_rate(
        values.learning_rate_decay_type,
        values.learning_rate,
        boundaries=boundaries,
        decay_steps=decay_steps,
        decay_factor=values.learning_rate_decay_factor,
        end_learning_rate=values.end_learning_rate,
        warmup_steps=steps_per_epoch * values.warmup_epochs,
    )


def _optimizer(values: Any, learning_rate: optax.Schedule) -> optax.GradientTransformation:
    # The flags and the keyword arguments have the same names.
    parameters = inspect.signature(optimizers.get_optimizer).parameters.values()
    names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    return optimizers.get_optimizer(
        values.optimizer, learning_rate, **{name: values[name].value for name in names}
    )


def _loss_function(values: Any, contract: dict[str, Any], learning_rate: optax.Schedule) -> Any:
    num_classes = contract["num_classes"]
    network = classifier.network_fn(contract, values, values.weight_decay, is_training=True)

    augment = make_augmentation(values, contract["preprocessing_name"])

    def total_loss(batch: Any) -> Any:
        labels = batch["label"]
        one_hot = layers.one_hot_encoding(labels, num_classes)
        images, one_hot = augment(make_rng("augmentation"), batch["image"], one_hot)
        with layers.recompute_scopes(*flags.scopes_of(values.recompute_scopes)):
            logits, end_points = network(images)
        options = {"weights": batch["weights"], "label_smoothing": values.label_smoothing}
        if "AuxLogits" in end_points:
            auxiliary = dict(options, weights=0.4 * batch["weights"], scope="aux_loss")
            aux_logits = end_points["AuxLogits"].astype(jnp.float32)
            losses.softmax_cross_entropy(aux_logits, one_hot, **auxiliary)
        losses.softmax_cross_entropy(logits, one_hot, **options)
        accuracy = jnp.mean((jnp.argmax(logits, -1) == labels).astype(jnp.float32))
        summaries.scalar("batch_accuracy", accuracy)
        summaries.scalar("learning_rate", learning_rate(get_or_create_global_step()))
        for name, loss in losses.named_losses().items():
            summaries.scalar(f"losses/{name}", loss)
        return losses.get_total_loss(), {"accuracy": accuracy}

    return total_loss
