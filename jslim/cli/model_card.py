"""`MODEL.md` beside an exported model: what it is, how good, how it was trained, how to use it.

The card depends on the checkpoint and the files of its run alone, not on the time or the machine.
"""

import json
import logging
import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from jslim import checkpoints, model_analyzer, prediction
from jslim.checkpoints.contract import Values
from jslim.cli import run_config
from jslim.cli.flags import Config
from jslim.cli.run_config import RunConfig
from jslim.cli.validation import EVALUATIONS, read_evaluations
from jslim.core.text import printable, some_of
from jslim.host.files import exists, is_directory, read_regular, write_text
from jslim.host.limits import TEXT_BYTES
from jslim.host.paths import as_path
from jslim.summaries import Row

logger = logging.getLogger("jslim")

FILE = "MODEL.md"
_BEGIN, _END = "<!-- jslim-export: begin -->", "<!-- jslim-export: end -->"
_NOTE = "<!-- What is between these marks is written anew by the next export. -->"
_TO_FILL_IN = """

## Licence

<!-- Name the licence of these weights; consider that of the images and of weights that were the
start. The next export keeps what stands here. -->

To be filled in.
"""
_NAMES_SHOWN = 20
_LONGEST_VALUE = 80


@dataclass(frozen=True)
class ModelCardConfig(Config):
    """The description of the model.

    Attributes:
      model_card: Whether to write MODEL.md beside --output_file: data, figures, flags of the
        training and how to use the file. What a person adds below it is kept.
    """

    model_card: bool = True


@dataclass(frozen=True)
class Run:
    """What the files of a run say of it.

    Attributes:
      config: Its flags; None if they are not known.
      evaluations: Those while training, by step.
      best_step: The step of the best one; None if it is not known.
    """

    config: RunConfig | None
    evaluations: Mapping[int, Row]
    best_step: int | None


def find_run(checkpoint: str) -> Run:
    """The run that a checkpoint is of, by the files around it, if it is one of jslim."""
    directory = as_path(checkpoint, "checkpoint").parent
    if directory.name == "best":
        directory = directory.parent
    config, evaluations, best_step = None, list[Row](), None
    if not is_directory(checkpoint):
        return Run(None, {}, None)
    try:
        config = run_config.read(directory)
        evaluations = read_evaluations(directory / EVALUATIONS)
        if checkpoints.exists(directory / "best"):
            best_step = checkpoints.checkpoint_step(directory / "best")
    except ValueError as error:
        logger.warning("the model card does not have all of the run: %s", error)
    return Run(config, {int(line["step"]): line for line in evaluations}, best_step)


def write_model_card(classifier: prediction.Classifier, output_file: str) -> str | None:
    """Writes MODEL.md beside an exported file; a part that a person has written stays.

    Args:
      classifier: What was exported.
      output_file: The file.

    Returns:
      The path of the card; None if there is another file of that name.
    """
    path = as_path(output_file, "output_file").parent / FILE
    card = model_card(classifier, os.path.basename(output_file), find_run(classifier.path))
    before, after = "", _TO_FILL_IN
    if exists(path):
        try:
            held = read_regular(path, TEXT_BYTES).decode()
        except UnicodeDecodeError:  # it is none of ours
            held = ""
        before, begin, rest = held.partition(_BEGIN)
        _, end, after = rest.partition(_END)
        if not (begin and end):
            logger.warning(
                "%s is there and no card of jslim-export: it stays as it is; move it away to have "
                "one written",
                path,
            )
            return None
    write_text(path, f"{before}{_BEGIN}\n{_NOTE}\n\n{card}\n{_END}{after}")
    return str(path)


def model_card(classifier: prediction.Classifier, output_file: str, run: Run) -> str:
    """The text of the card, in Markdown.

    Args:
      classifier: The model.
      output_file: The name of the file.
      run: What is known of its training.
    """
    contract = classifier.contract
    name, count = contract["model_name"], len(classifier.class_names)
    parts = [
        f"# {_plain(name)}, {count} classes\n",
        _table("The model", "", _facts(classifier)),
        _classes(classifier.class_names),
        _figures(run, classifier.step),
        _usage(contract, output_file),
        _training(run.config),
        _table("Contract", "What the file says of itself.", _contract_rows(contract)),
    ]
    return "\n".join(filter(None, parts)).replace("<!--", "<! --")  # marks are the card's own


def _facts(classifier: prediction.Classifier) -> dict[str, str]:
    contract, shape = classifier.contract, _shape(classifier.contract)
    images = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    flops = model_analyzer.count_flops(classifier.logits, classifier.variables, images)
    size, _ = model_analyzer.analyze_vars(classifier.variables.get("params", {}))
    facts = {
        "Parameters": f"{size:,}",
        "Floating-point operations": f"{sum(flops.values()):,} for an image",
        "Images": f"{shape[0]} x {shape[1]} pixels, {shape[2]} "
        f"{'channel' if shape[2] == 1 else 'channels'}, "
        f"preprocessing {_code(contract['preprocessing_name'])}",
    }
    if contract.get("apply_exif_orientation"):
        facts["Images"] += ", turned upright by their EXIF orientation"
    if "num_train_images" in contract:
        facts["Trained on"] = (
            f"{contract['num_train_images']:,} images of {_code(contract.get('dataset', '?'))}"
        )
    if classifier.step is not None:
        averages = ", moving averages of the variables" if classifier.are_averages else ""
        facts["Weights"] = f"after {classifier.step:,} steps{averages}"
    if started_from := contract.get("started_from"):
        facts["Started from"] = _code(os.path.basename(started_from))
    return facts


def _shape(contract: Values) -> tuple[int, int, int]:
    return contract["image_size"], contract["image_size"], contract["num_channels"]


def _classes(names: list[str]) -> str:
    return f"## Classes\n\n{some_of([*map(_code, names)], _NAMES_SHOWN)}.\n"


def _figures(run: Run, step: int | None) -> str:
    """The evaluation of these weights, or else the last one, and the best one."""
    found = run.evaluations
    if not found:
        return ""
    last = max(found)
    columns = {last: "last"}
    if step is not None and step in found:
        columns = {step: "these weights"}
    if run.best_step is not None and run.best_step in found:
        columns.setdefault(run.best_step, "best")
    titles = [f"{title}, step {number:,}" for number, title in columns.items()]
    metrics = [name for name in found[last] if name != "step"]
    rows = {
        _code(name): " | ".join(f"{found[n].get(name, float('nan')):.4f}" for n in columns)
        for name in metrics
    }
    on = "" if run.config is None else f", on {_evaluated(run.config)}"
    where = f"Of the evaluations while training{on}."
    if step not in found:
        where += " These weights were not evaluated then; `eval.py` does that."
    return _table("Figures", where, rows, " | ".join(titles))


def _evaluated(config: RunConfig) -> str:
    flags = config.flags
    fraction = flags.get("validation_fraction")
    if fraction and "eval_split_name" not in config.given:
        return f"the images that were held back (`--validation_fraction={fraction}`)"
    return f"the split {_code(flags.get('eval_split_name', '?'))}"


def _usage(contract: Values, output_file: str) -> str:
    file = ascii(output_file)
    if output_file.endswith(".zip"):
        text = "One file that runs on every platform of JAX that it was exported for."
        load = f"model = slim.export.load_inference_graph({file})"
        predict = "model.predict(pathlib.Path('photo.jpg').read_bytes())"
    else:
        text, options = "The variables under TF-Slim's names.", ""
        if not output_file.endswith(".safetensors"):
            text = "A checkpoint for TF-Slim and jslim; the classes are those above, from 0."
            of_network = ("model_name", "image_size", "preprocessing_name")
            options = "".join(f", {key}={contract[key]!r}" for key in of_network)
        load = f"model = slim.load({file}{options})"
        predict = "model.predict('photo.jpg')"
    imports = "import pathlib\n\n" if "pathlib" in predict else ""
    return (
        f"## Use\n\n{text}\n\n```python\n{imports}import jslim as slim\n\n{load}\n"
        f"predictions = {predict}\nprint(predictions.top(3))\n```\n"
    )


def _training(config: RunConfig | None) -> str:
    """The command line of the run, with names in place of paths."""
    if config is None:
        return ""
    words = ["python train.py"]
    for name in config.given:
        value = config.flags.get(name)
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no{name}")
        elif value is not None:
            is_path = isinstance(value, str) and os.path.isabs(value)
            text = os.path.basename(value) if is_path else str(value)
            words.append(f"--{name}={shlex.quote(printable(text))}")
    versions = config.starts[-1].get("versions") if config.starts else None
    by = ""
    if isinstance(versions, dict):
        known = (f"{one} {versions[one]}" for one in ("jslim", "jax") if one in versions)
        by = f" by {printable(', '.join(known))}"
    command = " \\\n  ".join(words)
    fence = _fence(command, 3)
    return f"## Training\n\nThe flags of the run{by}:\n\n{fence}console\n{command}\n{fence}\n"


def _contract_rows(contract: Values) -> dict[str, str]:
    rows = {}
    for key in sorted(contract):
        value = contract[key]
        if key == "started_from" and isinstance(value, str):
            value = os.path.basename(value)
        text = json.dumps(value, ensure_ascii=False, sort_keys=True)
        if len(text) > _LONGEST_VALUE:
            text = f"{text[:_LONGEST_VALUE]}..."
        rows[_code(key)] = _code(text)
    return rows


def _table(title: str, text: str, rows: Mapping[str, str], header: str = "") -> str:
    lines = [f"## {title}", "", *([text, ""] if text else [])]
    lines += [f"| | {header} |".replace("  ", " "), "|---" * (header.count(" | ") + 2) + "|"]
    lines += [f"| {name} | {value} |" for name, value in rows.items()]
    return "".join(f"{line}\n" for line in lines)


def _plain(text: str) -> str:
    """The text without signs that Markdown or HTML would take for their own."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", printable(str(text)))


def _code(text: object) -> str:
    """The text as code in Markdown, also within a table."""
    shown = printable(str(text)).replace("|", "\\|")
    return f"{_fence(shown)} {shown} {_fence(shown)}" if "`" in shown else f"`{shown}`"


def _fence(text: str, least: int = 1) -> str:
    """More backticks than there are together in the text."""
    return "`" * max([least, *(len(found) + 1 for found in re.findall("`+", text))])
