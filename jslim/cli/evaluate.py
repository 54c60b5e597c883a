"""`eval.py`: evaluates an image classifier's checkpoints with TF-Slim's flags."""

import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jslim import checkpoints, data, evaluation, metrics, prediction
from jslim.checkpoints import contract as _contract
from jslim.cli import classifier as image_classifier
from jslim.cli import flags, reports, scoring, statistics
from jslim.cli.definer import refuse_alone
from jslim.cli.run import UsageError, run
from jslim.core.errors import RestoreError
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
    scoring.check_names(flags.scopes_of(values.metrics))
    refuse_alone(values, {"timeout_secs": "eval_interval_secs"})
    first, describes_itself = _read(values, _first_checkpoint(values))
    contract = dict(first.contract)
    _contract.require(contract, _NEEDED, first.path)
    dataset = image_classifier.open_dataset(values, contract["labels_offset"])
    data_of: dict[str, Any] = {
        "num_channels": image_classifier.num_channels(dataset, values.skip_bad_records)
    }
    if describes_itself:
        data_of["class_names"] = dataset.class_names
    else:
        _check_number_of_classes(contract, dataset, first.path)
    image_classifier.check_contract(contract, data_of, first.path)
    if values.eval_image_size:
        contract["image_size"] = values.eval_image_size
    metric_map = _metric_map(values, contract["num_classes"], len(dataset))
    evaluate_by = evaluation.make_evaluator(
        image_classifier.eval_fn(contract, values),
        metrics.aggregate_metric_map(metric_map),
        mesh=image_classifier.device_mesh(values),
    )
    with image_classifier.host_batches(dataset, contract, values, is_training=False) as batches:
        check_statistics = None
        if first.variables.get("batch_stats"):
            network = image_classifier.make_network(contract, values)
            check_statistics = statistics.StatisticsCheck(network, batches)
        for weights in _weights_of_all(values, first):
            made_for = image_classifier.made_for(first.contract)
            image_classifier.check_contract(weights.contract, made_for, weights.path)
            found = evaluation.evaluate_weights(
                evaluate_by,
                weights,
                batches,
                logdir=values.eval_dir,
                num_evals=values.max_num_batches,
            )
            _report(values, dataset, batches, weights.step, found)
            if check_statistics is not None:
                check_statistics(weights)


def _first_checkpoint(values: Any) -> str:
    """The checkpoint that tells what the network is; a loop waits for one."""
    path: str = values.checkpoint_path
    if values.eval_interval_secs:
        first = evaluation.wait_for_new_checkpoint(path, timeout=values.timeout_secs)
        if first is None:
            raise RestoreError(f"no checkpoint came to {path}; is training writing there?")
        return path
    if not os.path.exists(path) and not checkpoints.exists(path):
        raise UsageError(f"--checkpoint_path: there is no {path!r}")
    return path


def _weights_of_all(values: Any, first: checkpoints.Weights) -> Iterator[checkpoints.Weights]:
    """The one checkpoint, or with `--eval_interval_secs` each new one."""
    if not values.eval_interval_secs:
        yield first
        return
    yield from evaluation.new_weights(
        values.checkpoint_path,
        lambda path: first if path == first.path else _read(values, path)[0],
        values.eval_interval_secs,
        values.timeout_secs,
    )


def _read(values: Any, path: str) -> tuple[checkpoints.Weights, bool]:
    """All of one checkpoint, before training may delete it; whether it says what it is of."""
    reader = checkpoints.open_checkpoint(path)
    if "model_name" in reader.contract:
        # Said before it is read, in the words of the flags.
        image_classifier.check_contract(reader.contract, _flags_given(values), reader.path)
        return checkpoints.read_weights(path, flags.takes_averages(values)), True
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
    loaded = prediction.load(reader.path, use_moving_averages=flags.takes_averages(values), **given)
    weights = checkpoints.Weights(
        loaded.path,
        loaded.step,
        {**loaded.contract, "labels_offset": values.labels_offset},
        loaded.variables,
        loaded.are_averages,
        has_averages=False,  # of which `load` has spoken
    )
    return weights, False


def _check_number_of_classes(contract: dict[str, Any], dataset: Any, path: str) -> None:
    """Where names cannot be compared, at least their number is."""
    ours, theirs = dataset.num_classes, contract["num_classes"]
    if ours != theirs:
        offset = nets_factory.get_network(contract["model_name"]).label_offset
        hint = f"; give --labels_offset={ours - theirs}" if ours - theirs == offset else ""
        raise UsageError(
            f"the checkpoint {path} has {theirs} classes, and {dataset.name} has {ours}{hint}"
        )


def _flags_given(values: Any) -> dict[str, Any]:
    """What the command line says that the contract says too."""
    given: dict[str, Any] = {}
    if values["labels_offset"].present:
        given["labels_offset"] = values.labels_offset
    for name in ("model_name", "preprocessing_name"):
        if values[name].value is not None:
            given[name] = values[name].value
    if flags.takes_averages(values):
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
