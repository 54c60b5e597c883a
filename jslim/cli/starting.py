"""The start of training: the run's own checkpoint, weights of another one, or initial values."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from jslim import checkpoints, weights
from jslim.cli import loading, run_config
from jslim.cli.classifier import Contract
from jslim.cli.flags import UsageError, flag, scopes_of
from jslim.core.selection import get_variables_to_restore, match
from jslim.core.text import as_text, name_differences, printable
from jslim.data.imagenet import are_same_classes
from jslim.host.files import exists
from jslim.host.paths import absolute, output_directory, path_string
from jslim.learning import TrainState
from jslim.nets.nets_factory import Network, get_network

logger = logging.getLogger("jslim")


@dataclass(frozen=True)
class StartConfig(run_config.RememberedConfig):
    """What training starts from, and fine-tuning.

    Attributes:
      train_dir: Where checkpoints and event files go. If there is a run, it goes on with its own
        flags, which are in config.json there; flags that are given change what may change.
      config: The config.json of another run, or its directory: a new run has its flags, where the
        command line has none.
      start_from: resume: the checkpoint in --train_dir, with its step and optimizer; checkpoint:
        the variables of --checkpoint_path; scratch: initial values. auto is the first of these that
        is there. The others are refused where they are not what happens.
      data_changed: Whether the run goes on where images were added to the data set, or removed. A
        new epoch starts with them.
      checkpoint_path: A checkpoint of jslim or TensorFlow, or a directory of them, to start from;
        or `pretrained`, for the published weights of the network; or the name of other ones, as
        `jslim models --weights` lists them; or a file of timm or Keras.
      checkpoint_exclude_scopes: Comma-separated scopes of variables that are not taken from
        --checkpoint_path. Default: the head of the network, where the checkpoint has other classes.
      trainable_scopes: Comma-separated scopes to train. Default: all.
      freeze_batch_norm: Whether batch normalization in layers that are not trained keeps its moving
        statistics, and uses them.
      ignore_missing_vars: Whether variables that the checkpoint lacks keep their initial values.
    """

    train_dir: str = flag("/tmp/tfmodel/", path=output_directory, on_resume="not_kept")
    config: str | None = flag(None, path=path_string, on_resume="not_kept")
    start_from: str = flag(
        "auto", choices=("auto", "resume", "checkpoint", "scratch"), on_resume="not_kept"
    )
    data_changed: bool = flag(False, on_resume="not_kept")
    checkpoint_path: str | None = flag(None, path=path_string)
    checkpoint_exclude_scopes: str | None = flag(None, goes_with="checkpoint_path")
    trainable_scopes: str | None = None
    freeze_batch_norm: bool = flag(False, goes_with="trainable_scopes")
    ignore_missing_vars: bool = flag(False, goes_with="checkpoint_path")

    def completed(self, parse: Callable[[Sequence[str]], Self]) -> Self:
        return run_config.completed(self, parse, self.train_dir, self.config)


@dataclass(frozen=True)
class Start:
    """One of the three starts; as a string, a line of the log."""

    resumed_from: str | None  # the checkpoint of this run
    weights: str | None  # the other checkpoint from which this run started
    contract: Contract  # of the checkpoint of this run
    typed: str = ""  # the other checkpoint as --checkpoint_path names it

    def __str__(self) -> str:
        if self.resumed_from is not None:
            started = f" (which started from {self.weights})" if self.weights else ""
            return f"resuming {self.resumed_from}{started}"
        if self.weights is not None:
            return f"starting from the variables of {as_text(self.typed)}"
        return "starting from scratch"


def find_start(config: StartConfig, of_optimizer: Mapping[str, str], model_name: str) -> Start:
    """Finds the start by the flags and by what is in `--train_dir`.

    Args:
      config: The flags.
      of_optimizer: The flags that its state depends on, by name.
      model_name: The network.

    Raises:
      UsageError: They contradict each other: another start than `--start_from` would happen, or
        the checkpoint in `--train_dir` did not start from `--checkpoint_path`.
      RestoreError: `--checkpoint_path` is no checkpoint; TensorFlow trains in `--train_dir`.
    """
    given = None
    if path := config.checkpoint_path:
        is_name = path == weights.PRETRAINED or weights.find(path) is not None
        is_path = not is_name or exists(path)
        given = as_text(absolute(path) if is_path else path)
    elif config.start_from == "checkpoint":
        raise UsageError("--start_from=checkpoint goes with --checkpoint_path, which is not given")
    resumed_from = checkpoints.step_to_resume(config.train_dir)
    if resumed_from is None:
        if config.start_from == "resume":
            raise UsageError(
                f"--start_from=resume: there is no checkpoint in --train_dir={config.train_dir}; "
                "give the directory of the run to resume"
            )
        if config.checkpoint_path:
            if config.start_from == "scratch":
                raise UsageError(
                    "--start_from=scratch contradicts --checkpoint_path; drop one of them"
                )
            checkpoints.resolve(loading.resolved(config.checkpoint_path, model_name))
        return Start(None, given, {}, config.checkpoint_path or "")
    if config.start_from not in ("auto", "resume"):
        raise UsageError(
            f"--start_from={config.start_from}: --train_dir has the checkpoint {resumed_from}, "
            "which a new run would mix with its own; give another directory, or "
            "--start_from=resume"
        )
    contract = checkpoints.read_contract(resumed_from)
    for name, asked in of_optimizer.items():
        used = contract.get(name, asked)
        if used != asked:
            raise UsageError(
                f"the run in --train_dir, at {resumed_from}, used --{name}={used}, and this start "
                f"asks for {asked}; give --{name}={used} to resume, or another --train_dir to "
                "start anew"
            )
    started_from = contract.get("started_from")
    if given not in (None, started_from):
        raise UsageError(
            f"--checkpoint_path is {given}, but the run in --train_dir, at {resumed_from}, started "
            f"from {started_from or 'scratch'}; give another --train_dir to start anew, or leave "
            "--checkpoint_path out to resume"
        )
    return Start(resumed_from, started_from, contract)


def make_init_fn(
    config: StartConfig, model_name: str, class_names: Sequence[str]
) -> Callable[[TrainState], TrainState] | None:
    """Makes the function that reads `--checkpoint_path` into a fresh state; None without that flag.

    Args:
      config: The flags.
      model_name: The network. Its head starts anew if the checkpoint has other classes, or the same
        in another order; unless `--checkpoint_exclude_scopes` is given, where '' takes all.
      class_names: The class names of the data.

    Raises:
      RestoreError: There is no such checkpoint.
    """
    if not config.checkpoint_path:
        return None
    network = get_network(model_name)
    reader = checkpoints.open_checkpoint(loading.resolved(config.checkpoint_path, model_name))
    excluded = scopes_of(config.checkpoint_exclude_scopes)

    def init_fn(state: TrainState) -> TrainState:
        leave_out = excluded
        if excluded:
            match(state.variables, excluded, "--checkpoint_exclude_scopes")
        elif config.checkpoint_exclude_scopes is None:
            leave_out = _heads_of_other_classes(reader, network, state, class_names)
            leave_out += _absent_heads(reader, network, state, leave_out)
        wanted = get_variables_to_restore(state.variables, exclude=leave_out or None)
        assign = checkpoints.assign_from_checkpoint_fn(
            reader.path, wanted, ignore_missing_vars=config.ignore_missing_vars
        )
        if assign is None:
            return state
        state = assign(state)
        logger.info("%s", printable(str(assign.report), keep="\n"))
        return state

    return init_fn


def _absent_heads(
    reader: checkpoints.CheckpointReader,
    network: Network,
    state: TrainState,
    left_out: Sequence[str],
) -> list[str]:
    """The auxiliary heads that start anew since the checkpoint has none."""
    held = reader.get_variable_to_shape_map()
    absent = network.absent_heads(get_variables_to_restore(state.variables), held)
    absent = [head for head in absent if head not in left_out]
    if absent:
        logger.info(
            "%s has no %s, which training adds: it starts anew",
            printable(reader.path),
            " and no ".join(head.rstrip("/") for head in absent),
        )
    return absent


def _heads_of_other_classes(
    reader: checkpoints.CheckpointReader,
    network: Network,
    state: TrainState,
    class_names: Sequence[str],
) -> list[str]:
    """The heads of the network, if the checkpoint has one of them for other classes; or none."""
    num_classes = len(class_names)
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
    elif of_heads and their_names is not None and not are_same_classes(their_names, class_names):
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
