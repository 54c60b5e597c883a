"""What training starts from: the run's own checkpoint, weights of another, or initial values."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jslim import checkpoints
from jslim.cli import flags
from jslim.cli.run import UsageError
from jslim.core.selection import get_variables_to_restore, match
from jslim.core.text import as_text, name_differences, printable
from jslim.nets.nets_factory import Network

logger = logging.getLogger("jslim")


@dataclass(frozen=True)
class Start:
    """One of the three; as a string, what is said about it."""

    resumed_from: str | None  # the checkpoint of this run
    weights: str | None  # where its variables came from in the first place
    contract: dict[str, Any]  # of the checkpoint of this run

    @property
    def resumes(self) -> bool:
        return self.resumed_from is not None

    def __str__(self) -> str:
        if self.resumed_from is not None:
            started = f" (which started from {self.weights})" if self.weights else ""
            return f"resuming {self.resumed_from}{started}"
        if self.weights is not None:
            return f"starting from the variables of {self.weights}"
        return "starting from scratch"


def find_start(values: Any) -> Start:
    """What the flags and `--train_dir` say.

    Raises:
      UsageError: They contradict each other: `--start_from` is not what would happen, or the
        checkpoint in `--train_dir` started from something else than `--checkpoint_path`.
      RestoreError: `--checkpoint_path` is no checkpoint; TensorFlow trains in `--train_dir`.
    """
    _check_flags(values)
    given = as_text(os.path.abspath(values.checkpoint_path)) if values.checkpoint_path else None
    resumed_from = checkpoints.step_to_resume(values.train_dir)
    if resumed_from is None:
        if values.start_from == "resume":
            raise UsageError(
                f"--start_from=resume: there is no checkpoint in --train_dir={values.train_dir}; "
                "give the directory of the run to resume"
            )
        return Start(None, given, {})
    if values.start_from not in ("auto", "resume"):
        raise UsageError(
            f"--start_from={values.start_from}: --train_dir has the checkpoint {resumed_from}, "
            "which a new run would mix with its own; give another directory, or "
            "--start_from=resume"
        )
    contract = checkpoints.read_contract(resumed_from)
    used = contract.get("optimizer", values.optimizer)
    if used != values.optimizer:
        raise UsageError(
            f"the run in --train_dir, at {resumed_from}, used --optimizer={used}, and this start "
            f"asks for {values.optimizer}; give --optimizer={used} to resume, or another "
            "--train_dir to start anew"
        )
    weights = contract.get("started_from")
    if given not in (None, weights):
        raise UsageError(
            f"--checkpoint_path is {given}, but the run in --train_dir, at {resumed_from}, started "
            f"from {weights or 'scratch'}; give another --train_dir to start anew, or leave "
            "--checkpoint_path out to resume"
        )
    return Start(resumed_from, weights, contract)


def _check_flags(values: Any) -> None:
    if values.checkpoint_path:
        if values.start_from == "scratch":
            raise UsageError("--start_from=scratch contradicts --checkpoint_path; drop one of them")
        if not os.path.exists(values.checkpoint_path) and not checkpoints.exists(
            values.checkpoint_path
        ):
            raise UsageError(f"--checkpoint_path: there is no {values.checkpoint_path!r}")
        checkpoints.resolve(values.checkpoint_path)
    else:
        for name in ("checkpoint_exclude_scopes", "ignore_missing_vars"):
            if values[name].value:
                raise UsageError(f"--{name} goes with --checkpoint_path, which is not given")
        if values.start_from == "checkpoint":
            raise UsageError("--start_from=checkpoint: --checkpoint_path, the one, is not given")
    if values.freeze_batch_norm and not values.trainable_scopes:
        raise UsageError(
            "--freeze_batch_norm goes with --trainable_scopes, which is not given: all is trained"
        )


def make_init_fn(
    values: Any, network: Network, class_names: Sequence[str]
) -> Callable[[Any], Any] | None:
    """Reads `--checkpoint_path` into a fresh state; None where there is nothing to read.

    Args:
      values: The flags.
      network: The network; its head starts anew where the checkpoint has other classes, or the
        same in another order, and `--checkpoint_exclude_scopes` is not given. Given as '' it
        takes all.
      class_names: Of the data.

    Raises:
      RestoreError: There is no such checkpoint.
    """
    if not values.checkpoint_path:
        return None
    reader = checkpoints.open_checkpoint(values.checkpoint_path)
    excluded = flags.scopes_of(values.checkpoint_exclude_scopes)

    def init_fn(state: Any) -> Any:
        leave_out = list(excluded)
        if excluded:
            match(state.variables, excluded, "--checkpoint_exclude_scopes")
        elif values.checkpoint_exclude_scopes is None:
            leave_out = _heads_of_other_classes(
                reader, network, len(class_names), state, class_names
            )
        wanted = get_variables_to_restore(state.variables, exclude=leave_out or None)
        assign = checkpoints.assign_from_checkpoint_fn(
            reader.path, wanted, ignore_missing_vars=values.ignore_missing_vars
        )
        if assign is None:
            return state
        state = assign(state)
        logger.info("%s", printable(str(assign.report), keep="\n"))
        return state

    return init_fn


def _heads_of_other_classes(
    reader: checkpoints.CheckpointReader,
    network: Network,
    num_classes: int,
    state: Any,
    class_names: Sequence[str],
) -> list[str]:
    """The heads of the network, if the checkpoint has any of them for other classes."""
    held = reader.get_variable_to_shape_map()
    heads = [f"{scope}/" for scope in network.head]
    ours = get_variables_to_restore(state.variables)
    of_heads = [name for name in ours if name.startswith(tuple(heads)) and held.get(name)]
    theirs = {
        held[name][-1]
        for name in of_heads
        if held[name][-1] != ours[name].shape[-1] and ours[name].shape[-1] == num_classes
    }
    their_names = reader.contract.get("class_names")
    if theirs:
        classes = f"{' or '.join(map(str, sorted(theirs)))} classes and the data {num_classes}"
    elif of_heads and their_names is not None and list(their_names) != list(class_names):
        classes = f"other classes than the data, {name_differences(their_names, class_names)}"
    else:
        return []
    found = [head for head in heads if any(name.startswith(head) for name in ours)]
    hint = ""
    if network.label_offset and theirs == {num_classes - network.label_offset}:
        hint = f"; with --labels_offset={network.label_offset} it would fit"
    elif not theirs:
        hint = "; to take it all the same give --checkpoint_exclude_scopes=''"
    logger.info(
        "%s has %s: %s not taken from it, as with --checkpoint_exclude_scopes=%s%s",
        printable(reader.path),
        classes,
        "the head of the network is" if len(found) == 1 else "the heads of the network are",
        ",".join(head.rstrip("/") for head in found),
        hint,
    )
    return found
