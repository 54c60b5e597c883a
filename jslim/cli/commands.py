"""The commands of `jslim`: what each does, and where its code and its flags are."""

import importlib
from typing import Any, NamedTuple


class Command(NamedTuple):
    """A command.

    Attributes:
      module: Its module in `jslim.cli`, which has `main(argv)`.
      config: The class of its flags in that module.
      summary: What it does.
      script: What it is called elsewhere too; empty if it is a command only.
    """

    module: str
    config: str
    summary: str
    script: str = ""


COMMANDS = {
    "train": Command(
        "train",
        "TrainConfig",
        "Trains an image classifier, or goes on with a run.",
        "train.py",
    ),
    "eval": Command(
        "evaluate", "EvaluateConfig", "Evaluates checkpoints of an image classifier.", "eval.py"
    ),
    "predict": Command(
        "predict", "PredictConfig", "Writes the classes of image files.", "jslim-predict"
    ),
    "export": Command(
        "export",
        "ExportConfig",
        "Writes a network with its weights as one file, or the weights.",
        "jslim-export",
    ),
    "convert": Command(
        "convert",
        "ConvertConfig",
        "Writes images as TFRecord or ArrayRecord files.",
        "jslim-convert",
    ),
    "port": Command(
        "port", "PortConfig", "Rewrites programs for TensorFlow 1 and TF-Slim for jslim."
    ),
    "models": Command("models", "ModelsConfig", "Lists the networks and their sizes."),
    "datasets": Command(
        "datasets", "DatasetsConfig", "Lists the kinds of data sets, or shows one."
    ),
    "inspect": Command(
        "inspection",
        "InspectConfig",
        "Shows what a checkpoint holds, or how two of them differ.",
    ),
    "run": Command(
        "old_network",
        "RunConfig",
        "Builds a network of a file for TF-Slim as it stands.",
    ),
    "runs": Command("runs", "RunsConfig", "Lists the runs in a folder and their best values."),
    "plot": Command("plot", "PlotConfig", "Draws the curves of runs."),
    "completion": Command(
        "completion", "CompletionConfig", "Prints the completion of commands and flags for a shell."
    ),
}


def config_class(command: Command) -> Any:
    """The class of the flags of a command."""
    return getattr(importlib.import_module(f"jslim.cli.{command.module}"), command.config)


def summary_of(config: type) -> str:
    """What the program with these flags does; empty if it is none of the commands."""
    found = (row.summary for row in COMMANDS.values() if row.config == config.__name__)
    return next(found, "")
