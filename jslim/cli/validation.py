"""Evaluation while `train.py` trains: in the same process, by the code of `eval.py`."""

import json
import logging
import pathlib
from typing import Any

import jax
import numpy as np

from jslim import checkpoints, evaluation, metrics
from jslim._errors import DataError
from jslim._files import read_regular
from jslim._limits import TEXT_BYTES
from jslim._schema import Invalid, conform, parse_json
from jslim.cli import classifier, scoring
from jslim.cli.flags import scopes_of
from jslim.cli.run import UsageError
from jslim.learning import TrainState

logger = logging.getLogger("jslim")

_LOG_FILE, _BEST_DIRECTORY = "evaluations.jsonl", "best"


def read_evaluations(path: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of `evaluations.jsonl`: the step, and metrics by name; one that was cut is not one.

    Raises:
      DataError: A line is something else.
    """
    found: list[dict[str, Any]] = []
    number = 0
    try:
        for line in read_regular(path, TEXT_BYTES).split(b"\n"):
            number += 1
            if line.rstrip().endswith(b"}"):
                found.append(conform(parse_json(line), dict[str, Any]))
                conform(found[-1].get("step"), int)
                # A metric may be NaN, which a number of the schema may not.
                if not all(type(value) in (int, float) for value in found[-1].values()):
                    raise Invalid("a metric is no number")
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read ({error.strerror}).") from error
    except Invalid as error:
        raise DataError(
            f"line {number} of {str(path)!r} must be an object with a step and numbers ({error}); "
            "correct or delete it."
        ) from error
    return found


class Validation:
    """What is called after each step of training: `validation(step, state)`.

    Every `--eval_every` steps it evaluates the state, its moving averages if it has them, prints
    the metrics and writes them to `TRAIN_DIR/evaluations.jsonl` and for TensorBoard. The state that
    is best by `--best_metric` is kept as a checkpoint in `TRAIN_DIR/best`. It says that training is
    to end where `--early_stopping_evaluations` evaluations in a row brought nothing better.

    A run that goes on reads that file, and so remembers the best.

    Raises:
      UsageError: Flags that make no sense, or a split of other classes.
      DataError: The split cannot be read.
    """

    def __init__(self, values: Any, contract: dict[str, Any], resumed_step: int | None) -> None:
        self._every = values.eval_every
        self._patience = values.early_stopping_evaluations
        self._delta = values.early_stopping_delta
        dataset = classifier.open_dataset(values, contract["labels_offset"], values.eval_split_name)
        self.dataset = dataset
        if dataset.class_names != contract["class_names"]:
            raise UsageError(
                f"--eval_split_name: the classes of {dataset.name} are not those that are trained: "
                f"{dataset.class_names} and {contract['class_names']}"
            )
        num_classes = dataset.num_classes
        names = scopes_of(values.metrics) or scoring.default_names(num_classes)
        metric_map = scoring.metric_map(names, num_classes)
        self._metric = values.best_metric
        metric_map |= scoring.metric_map([self._metric], num_classes, "--best_metric")
        self._sign = -1.0 if scoring.less_is_better(self._metric) else 1.0
        self._contract = contract
        self._directory = pathlib.Path(values.train_dir)
        self._batches = classifier.host_batches(dataset, contract, values, is_training=False)
        self._evaluate = evaluation.make_evaluator(
            classifier.eval_fn(contract, values),
            metrics.aggregate_metric_map(metric_map),
            mesh=classifier.device_mesh(values),
        )
        if contract["has_moving_averages"]:
            logger.info("evaluations use the moving averages of the variables")
        self._best, self._since_best = -np.inf, 0
        self._read_log(resumed_step)

    def _read_log(self, resumed_step: int | None) -> None:
        """Remembers the evaluations up to the step that training goes on from; drops later ones."""
        path = self._directory / _LOG_FILE
        if not path.is_file():
            return
        lines = read_evaluations(path)
        kept = [] if resumed_step is None else [x for x in lines if x["step"] <= resumed_step]
        for line in kept:
            self._note(line.get(self._metric, -np.inf * self._sign))
        if len(kept) < len(lines) and jax.process_index() == 0:
            path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def _note(self, value: float) -> bool:
        """Counts an evaluation; whether it is the best, by more than the delta."""
        if self._sign * value > self._best + (self._delta if np.isfinite(self._best) else 0):
            self._best, self._since_best = self._sign * value, 0
            return True
        self._since_best += 1
        return False

    def __call__(self, step: int, state: TrainState) -> bool:
        """Evaluates where it is time; whether training is to end."""
        if step % self._every:
            return False
        variables = state.variables if state.ema_params is None else state.ema_params
        found = evaluation.scalars(self._evaluate(variables, self._batches))
        print(f"step {step}  {scoring.line_of_values(found)}", flush=True)
        if jax.process_index() == 0:
            self._write(step, found)
        if self._note(found[self._metric]):
            contract = {**self._contract, "best": {"step": step, **found}}
            best = self._directory / _BEST_DIRECTORY
            with checkpoints.CheckpointManager(best, keep=1, save_interval_secs=None) as manager:
                manager.save(step, state, contract=contract)
        if self._patience and self._since_best >= self._patience:
            logger.info(
                "stopping at step %d: %s was not better in %d evaluations; the best, %.4f, is in "
                "%s",
                step,
                self._metric,
                self._since_best,
                self._sign * self._best,
                self._directory / _BEST_DIRECTORY,
            )
            return True
        return False

    def _write(self, step: int, found: dict[str, float]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / _LOG_FILE).open("a") as file:
            file.write(json.dumps({"step": step, **found}) + "\n")
        try:
            evaluation.write_values(self._directory / "eval", step, found)
        except ImportError as error:
            logger.warning("no event files are written: %s", error)

    def close(self) -> None:
        """Ends the threads that read images."""
        self._batches.close()
