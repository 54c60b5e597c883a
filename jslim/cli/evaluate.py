"""`eval.py`: evaluates an image classifier's checkpoints with TF-Slim's flags."""

import dataclasses
import itertools
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jslim import checkpoints, data, evaluation, metrics, prediction
from jslim.checkpoints import contract as _contract
from jslim.cli import classifier as image_classifier
from jslim.cli import flags, held_back, reports, scoring, statistics
from jslim.cli.classifier import ClassifierConfig, Contract
from jslim.cli.flags import UsageError, flag
from jslim.cli.loading import CheckpointConfig, checkpoint_of, without_none
from jslim.cli.network_files import with_network
from jslim.cli.reporting import ReportConfig, check_names, reporting_to
from jslim.cli.run import run
from jslim.core.errors import RestoreError
from jslim.host.paths import output_directory, output_file
from jslim.nets import nets_factory
from jslim.summaries import MultiWriter

logger = logging.getLogger("jslim")

# The keys of the contract that evaluation needs.
_NEEDED = ("num_classes", "class_names", "labels_offset", "image_size", "preprocessing_name")
# Flags that must say what the contract says, if they are given.
_COMPARED = ("labels_offset", "apply_exif_orientation", "validation_seed")
# Names of metrics that are not numbers; no metric of a user has such a name.
_MATRIX, _LOGITS, _LABELS = "confusion matrix", "logits of all", "labels of all"


@dataclass(frozen=True)
class EvaluateConfig(ClassifierConfig, scoring.MetricsConfig, CheckpointConfig, ReportConfig):
    """Evaluation of checkpoints.

    Attributes:
      eval_dir: Where event files go. Default: none are written.
      eval_image_size: Image side in pixels. Default: the checkpoint's.
      max_num_batches: How many batches to evaluate. Default: all.
      eval_interval_secs: Above 0: evaluate every new checkpoint, at most once in so many seconds,
        until training has ended.
      timeout_secs: How long to wait for a new checkpoint. Default: for ever.
      moving_average_decay: If given, as --use_moving_averages; the number makes no difference here.
      per_class: Prints precision, recall and F1 of every class, and the confusion matrix.
      confusion_matrix_file: Where to draw the confusion matrix, a PNG file. With
        --eval_interval_secs the step is put before its extension, as in that of all predictions.
      predictions_file: Where to write all predictions, as .csv or as .jsonl.
    """

    first_flags: ClassVar[tuple[str, ...]] = (
        "checkpoint_path",
        "dataset_name",
        "dataset_dir",
        "dataset_split_name",
        "metrics",
        "batch_size",
        "per_class",
        "confusion_matrix_file",
        "predictions_file",
        "eval_interval_secs",
    )
    examples: ClassVar[tuple[str, ...]] = (
        "{program} --dataset_name=folder --dataset_dir=photos --checkpoint_path=runs/photos",
        "{program} --dataset_name=folder --dataset_dir=photos --checkpoint_path=runs/photos "
        "--per_class --confusion_matrix_file=matrix.png",
    )

    batch_size: int = 100
    dataset_split_name: str = "test"
    eval_dir: str | None = flag(
        None, path=output_directory, differs="no default, and then no event files"
    )
    eval_image_size: int | None = flag(None, least=1)
    max_num_batches: int | None = flag(
        None, least=1, differs="default all images, each exactly once"
    )
    eval_interval_secs: int = flag(0, least=0)
    timeout_secs: int | None = flag(None, least=0, goes_with="eval_interval_secs")
    moving_average_decay: float | None = flag(None, least=0, most=1)
    per_class: bool = False
    confusion_matrix_file: str | None = flag(
        None, path=partial(output_file, formats=reports.PICTURE)
    )
    predictions_file: str | None = flag(None, path=partial(output_file, formats=reports.TABLES))

    @property
    def takes_averages(self) -> bool | None:
        """Whether the flags ask for moving averages; None if they do not say.

        Raises:
          UsageError: They contradict each other.
        """
        if self.moving_average_decay is None:
            return self.use_moving_averages
        if self.use_moving_averages is False:
            raise UsageError(
                "--moving_average_decay, which evaluates moving averages, contradicts "
                "--nouse_moving_averages; drop one of them"
            )
        return True


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates as the command line says; returns the exit code."""
    return run(evaluate, EvaluateConfig, argv)


def evaluate(config: EvaluateConfig) -> None:
    """Evaluates one checkpoint, or with `--eval_interval_secs` each new one.

    Raises:
      UsageError: Flags contradict each other, or the checkpoint was made for other data.
      RestoreError: There is no whole checkpoint.
      DataError: The data cannot be read.
    """
    config = with_network(config)
    scoring.check_names(config)
    check_names(config)
    flags.refuse_idle(config)
    first, describes_itself = _read(config, _first_checkpoint(config))
    contract = dict(first.contract)
    _contract.require(contract, _NEEDED, first.path)
    orientation = contract.get("apply_exif_orientation", config.apply_exif_orientation)
    config = dataclasses.replace(config, apply_exif_orientation=orientation)
    images = held_back.evaluated(config, config.dataset_split_name, contract)
    dataset = images.of(image_classifier.open_dataset_of(config, contract, images.split_name))
    if not describes_itself:
        _check_number_of_classes(contract, dataset, first.path)
    data_of = without_none(
        num_channels=image_classifier.num_channels(dataset, config.skip_bad_records),
        class_names=dataset.class_names if describes_itself else None,
    )
    image_classifier.check_contract(contract, data_of, first.path)
    if config.eval_image_size:
        contract["image_size"] = config.eval_image_size
    logger.info(
        "evaluating %s: %s on %s (%d images of %d classes)",
        first.path,
        contract["model_name"],
        dataset.name,
        len(dataset),
        dataset.num_classes,
    )
    metric_map = _metric_map(config, contract["num_classes"], len(dataset))
    evaluate_by = image_classifier.make_evaluator(contract, config, metric_map)
    images_of = image_classifier.host_batches(dataset, contract, config, is_training=False)
    with (
        images_of as batches,
        reporting_to(config, config.eval_dir) as reported,
        evaluation.writer_of(config.eval_dir) as of_files,
    ):
        reported.open()
        writer = MultiWriter(of_files, *reported.prefixed("eval/"))
        network = image_classifier.make_network(contract, config)
        check_statistics = statistics.statistics_check(network, batches)
        for weights in _weights_of_all(config, first):
            made_for = image_classifier.made_for(first.contract)
            image_classifier.check_contract(weights.contract, made_for, weights.path)
            found = evaluation.evaluate_weights(
                evaluate_by,
                weights,
                batches,
                writer=writer,
                num_evals=config.max_num_batches,
            )
            writer.flush()
            _report(config, dataset, batches, weights.step, found)
            if first.variables.get("batch_stats"):
                check_statistics(weights)


def _first_checkpoint(config: EvaluateConfig) -> str:
    """The checkpoint that says which network it is; a loop waits for one."""
    if not config.eval_interval_secs:
        return checkpoint_of(config)
    path = config.checkpoint_path
    if config.weights is not None:
        raise UsageError("--weights has one checkpoint; --eval_interval_secs waits for more")
    if evaluation.wait_for_new_checkpoint(path, timeout=config.timeout_secs) is None:
        raise RestoreError(f"no checkpoint came to {path}; is training writing there?")
    return path


def _weights_of_all(
    config: EvaluateConfig, first: checkpoints.Weights
) -> Iterator[checkpoints.Weights]:
    """The checkpoint, or with `--eval_interval_secs` each new one."""
    if not config.eval_interval_secs:
        yield first
        return
    yield from evaluation.new_weights(
        config.checkpoint_path,
        lambda path: first if path == first.path else _read(config, path)[0],
        config.eval_interval_secs,
        config.timeout_secs,
    )


def _read(config: EvaluateConfig, path: str) -> tuple[checkpoints.Weights, bool]:
    """All of one checkpoint, read before training can delete it; and whether it has a contract."""
    reader = checkpoints.open_checkpoint(path)
    if "model_name" in reader.contract:
        # Checked before the variables are read, so that the error speaks of flags.
        compared = config.given.intersection(_COMPARED)
        of_flags = without_none(
            model_name=config.model_name,
            preprocessing_name=config.preprocessing_name,
            has_moving_averages=config.takes_averages or None,
            validation_fraction=config.validation_fraction or None,
            **{name: getattr(config, name) for name in compared},
        )
        image_classifier.check_contract(reader.contract, of_flags, reader.path)
        return checkpoints.read_weights(path, config.takes_averages), True
    if config.model_name is None:
        raise UsageError(
            f"{reader.path} does not say which network it is of; give --model_name, or evaluate "
            "it with slim.evaluation.evaluate_once"
        )
    given = without_none(
        model_name=config.model_name,
        preprocessing_name=config.preprocessing_name,
        image_size=config.eval_image_size,
    )
    loaded = prediction.load(reader.path, use_moving_averages=config.takes_averages, **given)
    weights = checkpoints.Weights(
        loaded.path,
        loaded.step,
        {**loaded.contract, "labels_offset": config.labels_offset},
        loaded.variables,
        loaded.are_averages,
        has_averages=False,  # `load` has logged them
    )
    return weights, False


def _check_number_of_classes(contract: Contract, dataset: data.ImageDataset, path: str) -> None:
    """Compares the numbers of classes, if the checkpoint has no names to compare."""
    ours, theirs = dataset.num_classes, contract["num_classes"]
    if ours != theirs:
        offset = nets_factory.get_network(contract["model_name"]).label_offset
        hint = f"; give --labels_offset={ours - theirs}" if ours - theirs == offset else ""
        raise UsageError(
            f"the checkpoint {path} has {theirs} classes, and {dataset.name} has {ours}{hint}"
        )


def _metric_map(
    config: EvaluateConfig, num_classes: int, num_examples: int
) -> dict[str, metrics.Metric]:
    found = scoring.metric_map(config, num_classes)
    if config.per_class or config.confusion_matrix_file:
        found[_MATRIX] = metrics.confusion_matrix(num_classes).on(scoring.predicted_class)
    if config.predictions_file:
        of_logits = metrics.streaming_concat(num_examples, (num_classes,))
        of_labels = metrics.streaming_concat(num_examples, dtype=jnp.int32)
        found[_LOGITS] = of_logits.on(lambda logits, labels: logits)
        found[_LABELS] = of_labels.on(lambda logits, labels: labels)
    return found


def _report(
    config: EvaluateConfig,
    dataset: data.ImageDataset,
    batches: data.BatchIterator,
    step: int | None,
    found: Mapping[str, np.ndarray],
) -> None:
    """Prints the metrics that are numbers, and writes the reports that the flags name."""
    if jax.process_index() != 0:
        return
    line = scoring.line_of_values(found)
    print(line if step is None else f"step {step}  {line}", flush=True)
    if batches.bad_records:
        logger.warning("bad records that were left out: %d", len(batches.bad_records))
    if config.per_class:
        print(reports.per_class_table(found[_MATRIX], dataset.class_names))
        print("confusion matrix: a row for each class, a column for each prediction")
        print(reports.matrix_table(found[_MATRIX], dataset.class_names), flush=True)
    if (config.per_class or config.confusion_matrix_file) and (
        pairs := reports.worst_pairs(found[_MATRIX], dataset.class_names)
    ):
        logger.info("most often confused: %s", "; ".join(pairs))
    if config.confusion_matrix_file:
        path = _report_path(config, config.confusion_matrix_file, step)
        reports.save_matrix_image(path, found[_MATRIX], dataset.class_names)
        logger.info("drew %s", path)
    if config.predictions_file:
        path = _report_path(config, config.predictions_file, step)
        # In evaluation each record comes once and in order.
        indices = (index for index in range(len(dataset)) if index not in batches.bad_records)
        keys = [dataset.record_key(i) for i in itertools.islice(indices, len(found[_LABELS]))]
        names = dataset.class_names
        reports.write_predictions(path, keys, names, found[_LOGITS], found[_LABELS])
        logger.info("wrote %s", path)


def _report_path(config: EvaluateConfig, path: str, step: int | None) -> str:
    """A loop writes a file for each checkpoint, with the step before the extension."""
    if not config.eval_interval_secs:
        return path
    stem, extension = os.path.splitext(path)
    return f"{stem}-{step}{extension}"
