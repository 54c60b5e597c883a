"""`eval.py`: evaluates an image classifier's checkpoints with TF-Slim's flags."""

import itertools
import logging
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jslim import _contract, checkpoints, data, evaluation, metrics, prediction
from jslim._errors import RestoreError
from jslim.cli import classifier as image_classifier
from jslim.cli import flags, reports, scoring, statistics
from jslim.cli.run import UsageError, run
from jslim.nets import nets_factory

logger = logging.getLogger("jslim")

# Metrics that are no numbers, by names that no metric of a user has.
# Of the contract, what evaluating needs.
_NEEDED = ("num_classes", "class_names", "labels_offset", "image_size", "preprocessing_name")
_MATRIX, _LOGITS, _LABELS = "confusion matrix", "logits of all", "labels of all"


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluates as the command line says; returns the exit code."""
    return run(evaluate, flags.eval_flags(), argv, flags.DROPPED)


def evaluate(values: Any) -> None:
    """Evaluates one checkpoint, or with `--eval_interval_secs` each new one.

    Raises:
      UsageError: Flags that make no sense, or data that the checkpoint was not made for.
      RestoreError: There is no whole checkpoint.
      DataError: The data cannot be read.
    """
    path = _first_checkpoint(values)
    reader = checkpoints.open_checkpoint(path)
    contract = dict(reader.contract)
    classifier = None
    if "model_name" not in contract:
        classifier = _load_without_contract(values, reader)
        contract = classifier.contract
    _contract.require(contract, _NEEDED, path)
    given = _flags_given(values, is_ours=classifier is None)
    image_classifier.check_contract(contract, given, path)
    dataset = image_classifier.open_dataset(values, contract["labels_offset"])
    data_of: dict[str, Any] = {
        "num_channels": image_classifier.num_channels(dataset, values.skip_bad_records)
    }
    if classifier is None:
        data_of["class_names"] = dataset.class_names
    else:
        _check_number_of_classes(classifier, dataset, path)
    image_classifier.check_contract(contract, data_of, path)
    if values.eval_image_size:
        contract["image_size"] = values.eval_image_size
    metric_map = _metric_map(values, contract["num_classes"], len(dataset))
    options: dict[str, Any] = {
        "eval_fn": image_classifier.eval_fn(contract, values),
        "metrics": metrics.aggregate_metric_map(metric_map),
        "num_evals": values.max_num_batches,
        "mesh": image_classifier.device_mesh(values),
    }
    with image_classifier.host_batches(dataset, contract, values, is_training=False) as batches:
        options["batches"] = batches
        if classifier is not None:
            found = evaluation.evaluate_variables(classifier.variables, **options)
            if values.eval_dir:
                evaluation.write_values(values.eval_dir, classifier.step or 0, found)
            _report(values, dataset, batches, classifier.step, found)
            return
        options["logdir"] = values.eval_dir
        options["use_moving_averages"] = values.moving_average_decay is not None
        check_statistics = None
        if any("moving_" in name for name in reader.get_variable_to_shape_map()):
            check_statistics = statistics.StatisticsCheck(
                image_classifier.make_network(contract, values),
                batches,
                use_moving_averages=options["use_moving_averages"],
            )

        def report(path: str, step: int, found: Any) -> None:
            _report(values, dataset, batches, step, found)
            if check_statistics is not None:
                check_statistics(path)

        if not values.eval_interval_secs:
            step = checkpoints.checkpoint_step(path)
            report(path, step, evaluation.evaluate_once(path, **options))
            return
        evaluation.evaluation_loop(
            values.checkpoint_path,
            eval_interval_secs=values.eval_interval_secs,
            timeout=values.timeout_secs,
            on_values=lambda step, found: report(
                os.path.join(values.checkpoint_path, str(step)), step, found
            ),
            **options,
        )


def _first_checkpoint(values: Any) -> str:
    """The checkpoint that tells what the network is; a loop waits for one."""
    path = values.checkpoint_path
    if values.eval_interval_secs:
        first = evaluation.wait_for_new_checkpoint(path, timeout=values.timeout_secs)
        if first is None:
            raise RestoreError(f"no checkpoint came to {path}; is training writing there?")
        return first
    if not os.path.exists(path) and not checkpoints.exists(path):
        raise UsageError(f"--checkpoint_path: there is no {path!r}")
    return checkpoints.latest_checkpoint(path) or path


def _load_without_contract(
    values: Any, reader: checkpoints.CheckpointReader
) -> prediction.Classifier:
    """The weights of a checkpoint of TensorFlow, or of another program."""
    if values.model_name is None:
        raise UsageError(
            f"{reader.path} does not say which network it is of; give --model_name, or evaluate "
            "it with slim.evaluation.evaluate_once"
        )
    given = {"model_name": values.model_name}
    if values.preprocessing_name is not None:
        given["preprocessing_name"] = values.preprocessing_name
    if values.eval_image_size is not None:
        given["image_size"] = values.eval_image_size
    classifier = prediction.load(
        reader.path, use_moving_averages=values.moving_average_decay is not None, **given
    )
    classifier.contract["labels_offset"] = values.labels_offset
    return classifier


def _check_number_of_classes(classifier: prediction.Classifier, dataset: Any, path: str) -> None:
    """Where names cannot be compared, at least their number is."""
    ours, theirs = dataset.num_classes, classifier.contract["num_classes"]
    if ours != theirs:
        offset = nets_factory.get_network(classifier.contract["model_name"]).label_offset
        hint = f"; give --labels_offset={ours - theirs}" if ours - theirs == offset else ""
        raise UsageError(
            f"the checkpoint {path} has {theirs} classes, and {dataset.name} has {ours}{hint}"
        )


def _flags_given(values: Any, is_ours: bool) -> dict[str, Any]:
    """What the command line says that the contract says too."""
    given: dict[str, Any] = {}
    if values["labels_offset"].present:
        given["labels_offset"] = values.labels_offset
    for name in ("model_name", "preprocessing_name"):
        if values[name].value is not None:
            given[name] = values[name].value
    if values.moving_average_decay is not None and is_ours:
        given["has_moving_averages"] = True
    return given


def _metric_map(values: Any, num_classes: int, num_examples: int) -> dict[str, metrics.Metric]:
    names = flags.scopes_of(values.metrics) or scoring.default_names(num_classes)
    found = scoring.metric_map(names, num_classes)
    if values.per_class or values.confusion_matrix_file:
        found[_MATRIX] = metrics.confusion_matrix(num_classes).on(scoring.predicted_class)
    if values.predictions_file:
        of_logits = metrics.streaming_concat(num_examples, (num_classes,))
        of_labels = metrics.streaming_concat(num_examples, dtype=jnp.int32)
        found[_LOGITS] = of_logits.on(lambda logits, labels: logits)
        found[_LABELS] = of_labels.on(lambda logits, labels: labels)
    return found


def _report(
    values: Any, dataset: Any, batches: data.BatchIterator, step: int | None, found: Any
) -> None:
    """Prints the metrics that are numbers, and writes what the flags ask for."""
    if jax.process_index() != 0:
        return
    line = scoring.line_of_values(found)
    print(line if step is None else f"step {step}  {line}", flush=True)
    if batches.bad_records:
        logger.warning("bad records that were left out: %d", len(batches.bad_records))
    if values.per_class:
        print(reports.per_class_table(found[_MATRIX], dataset.class_names))
        print("confusion matrix: a row for each class, a column for each prediction")
        print(reports.matrix_table(found[_MATRIX], dataset.class_names), flush=True)
    if values.confusion_matrix_file:
        path = _report_path(values, values.confusion_matrix_file, step)
        reports.save_matrix_image(path, found[_MATRIX], dataset.class_names)
        logger.info("drew %s", path)
    if values.predictions_file:
        path = _report_path(values, values.predictions_file, step)
        # In evaluation records come once and in order.
        indices = (index for index in range(len(dataset)) if index not in batches.bad_records)
        keys = [dataset.record_key(i) for i in itertools.islice(indices, len(found[_LABELS]))]
        names = dataset.class_names
        reports.write_predictions(path, keys, names, found[_LOGITS], found[_LABELS])
        logger.info("wrote %s", path)


def _report_path(values: Any, path: str, step: int | None) -> str:
    """A loop writes a file for each checkpoint, with the step before the extension."""
    if not values.eval_interval_secs:
        return path
    stem, extension = os.path.splitext(path)
    return f"{stem}-{step}{extension}"
