"""Evaluation while `train.py` trains, in the same process and by the code of `eval.py`."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

import jax
import numpy as np

from jslim import checkpoints, evaluation
from jslim.cli import classifier, scoring
from jslim.cli.classifier import ClassifierConfig, Contract
from jslim.cli.flags import UsageError, flag
from jslim.cli.scoring import MetricsConfig
from jslim.cli.starting import StartConfig
from jslim.core.errors import DataError
from jslim.core.trees import Variables
from jslim.data import ImageDataset
from jslim.host.files import write_text
from jslim.host.outbox import outbox_for
from jslim.host.paths import AnyPath, as_path, is_remote
from jslim.host.processes import any_of
from jslim.learning import Every, TrainState
from jslim.learning.directory import was_outage
from jslim.summaries import NullWriter, Row, SummaryWriter, read_rows

logger = logging.getLogger("jslim")

EVALUATIONS = "evaluations.jsonl"  # in TRAIN_DIR


@dataclass(frozen=True)
class ValidationConfig(MetricsConfig):
    """Evaluation while training.

    Attributes:
      eval_every: Steps from one evaluation to the next; 0: none. Their metrics are written to
        TRAIN_DIR/evaluations.jsonl, and the best state is kept in TRAIN_DIR/best.
      eval_split_name: The split that --eval_every evaluates. Default: test, or the images that
        --validation_fraction holds back.
      best_metric: Whose best checkpoint is kept: one of --metrics.
      early_stopping_evaluations: Evaluations in a row without a better --best_metric after which
        training ends; 0: none.
      early_stopping_delta: By how much an evaluation must be better to count as that.
    """

    metrics: str | None = flag(None, goes_with="eval_every", on_resume="may_change")
    eval_every: int = flag(0, least=0, on_resume="may_change")
    eval_split_name: str = flag("test", goes_with="eval_every", on_resume="may_change")
    best_metric: str = flag("Accuracy", goes_with="eval_every", on_resume="may_change")
    early_stopping_evaluations: int = flag(
        0, least=0, goes_with="eval_every", on_resume="may_change"
    )
    early_stopping_delta: float = flag(
        0.0, least=0, goes_with="early_stopping_evaluations", on_resume="may_change"
    )


@dataclass(frozen=True)
class ValidatedConfig(ValidationConfig, StartConfig, ClassifierConfig):
    """What evaluating while training needs."""


def read_evaluations(path: AnyPath) -> list[Row]:
    """The lines of `evaluations.jsonl`: the step, and metrics by name.

    Other lines, such as one that was cut, are left out with a warning.

    Raises:
      DataError: The file cannot be read.
    """
    try:
        return list(read_rows(path))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror}") from error


class _Log(NullWriter):
    """`evaluations.jsonl`, written whole: in a bucket by a thread, which checkpoints wait for."""

    def __init__(self, path: AnyPath) -> None:
        self.path = path
        self._outbox = outbox_for(path)

    def put(self, lines: list[Row]) -> None:
        """Writes these lines in place of those before."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        if self._outbox is None:
            write_text(self.path, text)
        else:
            self._outbox.put(str(self.path), text.encode())

    def flush(self) -> None:
        if self._outbox is not None:
            self._outbox.wait()

    def start_flush(self) -> Callable[[], None]:
        return self.flush

    def close(self) -> None:
        self.flush()


class Validation:
    """Evaluates while training: `start` is called before it, and the object at due steps.

    An evaluation takes the moving averages of the state if it has them. It prints the metrics, and
    writes them to `TRAIN_DIR/evaluations.jsonl` and for TensorBoard, in one event file and under
    the tags of training, so that they share a chart. The best state by `--best_metric` is kept as
    a checkpoint in `TRAIN_DIR/best`. Training ends after `--early_stopping_evaluations` evaluations
    in a row without a better one.

    A run that is resumed reads `evaluations.jsonl`, and so remembers the best. The file is written
    whole each time, so that a kill leaves no half of a line.

    Args:
      config: The flags.
      contract: Of the run.
      held_back: The images that are held back from training; they are evaluated if
        `--eval_split_name` is not given.

    Raises:
      UsageError: Flags that make no sense, or a split of other classes.
      DataError: The split cannot be read.
    """

    def __init__(
        self, config: ValidatedConfig, contract: Contract, held_back: ImageDataset | None = None
    ) -> None:
        self.every = Every(steps=config.eval_every)  # when the loop calls it
        self._patience = config.early_stopping_evaluations
        self._delta = config.early_stopping_delta
        if held_back is None or "eval_split_name" in config.given | config.given_before:
            held_back = classifier.open_dataset(
                config, contract["labels_offset"], config.eval_split_name
            )
        self.dataset = dataset = held_back
        if dataset.class_names != contract["class_names"]:
            raise UsageError(
                f"--eval_split_name: the classes of {dataset.name} are not those that are trained: "
                f"{dataset.class_names} and {contract['class_names']}"
            )
        num_classes = dataset.num_classes
        metric_map = scoring.metric_map(config, num_classes)
        best = self._metric = config.best_metric
        metric_map[best] = scoring.make_metric(best, num_classes, "--best_metric")
        self._sign = -1.0 if scoring.find(best)[0].less_is_better else 1.0
        self._contract = contract
        directory = as_path(config.train_dir, "train_dir")
        self.log = _Log(directory / EVALUATIONS)  # a writer, which checkpoints wait for
        self._kept, self._events = directory / "best", directory / "eval"
        self._batches = classifier.host_batches(dataset, contract, config, is_training=False)
        self._evaluate = classifier.make_evaluator(contract, config, metric_map)
        if contract["has_moving_averages"]:
            logger.info("evaluations use the moving averages of the variables")
        self._found: dict[int, Row] = {}  # by step
        self._best, self._since_best = -np.inf, 0
        self._best_step: int | None = None
        self._is_kept = True
        self._manager: checkpoints.CheckpointManager | None = None
        self._writer = NullWriter()
        self.report_to: list[NullWriter] = []  # writers that get the same

    def start(self, step: int, state: TrainState) -> bool:
        """Reads the evaluations up to `step`, and does what a kill at that step prevented.

        Args:
          step: The step at which training starts or goes on; later evaluations are made again.
          state: Its state.

        Returns:
          Whether training is to end.
        """
        held = read_evaluations(self.log.path)
        self._found = {int(line["step"]): line for line in held if line["step"] <= step}
        for line in self._found.values():
            self._note(line)
        (is_missing,) = any_of([step > 0 and self.every.is_due(step) and step not in self._found])
        if jax.process_index() == 0 and held:
            self.log.put([*self._found.values()])
        # TensorBoard forgets the evaluations that are made again.
        again = step if is_missing else step + 1
        self._open_events(again if held else None)
        if is_missing:
            return self(step, state)
        if self._best_step == step:
            newest = checkpoints.latest_checkpoint(self._kept)
            if newest is None or checkpoints.checkpoint_step(newest) != step:
                self._keep_best(step, state)
        return self._is_to_end(step)

    def __call__(self, step: int, state: TrainState) -> bool:
        """Evaluates; whether training is to end."""
        found = evaluation.scalars(self._evaluate(_evaluated(state), self._batches))
        print(f"step {step}  {scoring.line_of_values(found)}", flush=True)
        self._found[step] = {"step": step, **found}
        if jax.process_index() == 0:
            # It may be deleted with the directory of the run; of a bucket all is written anew.
            if not is_remote(self._events) and not self._events.exists():
                self._open_events(None)
            for writer in (self._writer, *self.report_to):
                writer.write(step, found)
                writer.start_flush()
            self.log.put([*self._found.values()])
        if self._note(self._found[step]):
            self._keep_best(step, state)
        return self._is_to_end(step)

    def rehearse(self, state: TrainState) -> None:
        """Evaluates one batch, and keeps nothing."""
        self._evaluate(_evaluated(state), self._batches, 1)

    def best_in_words(self) -> str:
        """The best evaluation so far and the newest; '' if there was none."""
        if self._best_step is None:
            return ""
        newest = max(self._found)
        found = f"{self._metric} {self._found[self._best_step][self._metric]:.4f}"
        last = f"{self._found[newest][self._metric]:.4f} at step {newest}"
        where = f"kept in {self._kept}" if self._is_kept else "not kept, for the store was away"
        return f"best {found} at step {self._best_step}, {where}; {last}"

    def _note(self, line: Row) -> bool:
        """Counts an evaluation; whether it is the best, by more than the delta."""
        value = self._sign * line.get(self._metric, -np.inf * self._sign)
        if value > self._best + (self._delta if np.isfinite(self._best) else 0):
            self._best, self._best_step, self._since_best = value, int(line["step"]), 0
            return True
        self._since_best += 1
        return False

    def _is_to_end(self, step: int) -> bool:
        if not self._patience or self._since_best < self._patience:
            return False
        logger.info(
            "stopping at step %d: %s was not better in %d evaluations; the best, %.4f, is in %s",
            step,
            self._metric,
            self._since_best,
            self._sign * self._best,
            self._kept,
        )
        return True

    def _keep_best(self, step: int, state: TrainState) -> None:
        """Saves the best state so far, unless the store does not answer."""
        try:
            self._save_best(step, state)
        except OSError as error:
            if not was_outage(self._kept, error):
                raise
            self._is_kept = False
            why = str(error).rstrip(".")
            logger.warning("%s; training goes on, and the next better state is kept there", why)
        else:
            self._is_kept = True

    def _save_best(self, step: int, state: TrainState) -> None:
        if self._manager is None:
            self._manager = checkpoints.CheckpointManager(
                self._kept, keep=1, save_interval_secs=None
            )
        (is_lost,) = any_of([self._manager.is_lost()])
        if is_lost:  # and so is the directory of the run, which makes that anew itself
            self._manager.reopen()
        self._manager.save(step, state, contract={**self._contract, "best": self._found[step]})
        self._manager.wait()  # or a later checkpoint of the run would hide that this one is missing

    def _open_events(self, purge_step: int | None) -> None:
        """Opens one event file for all evaluations to come."""
        self._writer.close()
        if jax.process_index() != 0:
            return
        try:
            self._writer = SummaryWriter(self._events, purge_step)
        except ImportError as error:
            logger.warning("no event files are written: %s", error)
            self._writer = NullWriter()

    def close(self) -> None:
        """Ends the threads that read images, and leaves the best checkpoint to others."""
        self._batches.close()
        self._writer.close()
        if self._manager is not None:
            self._manager.close()


def _evaluated(state: TrainState) -> Variables:
    return state.variables if state.ema_params is None else state.ema_params
