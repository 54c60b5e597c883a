"""The tables of flags in documents, and the flags that shells complete.

`python -m jslim.cli.tables` writes them. In a document a table stands between the comments
`<!-- flags: NAME -->` and `<!-- end -->`.
"""

import itertools
import pathlib
import re
from collections.abc import Iterable, Mapping

from jslim.cli import completion
from jslim.cli.commands import COMMANDS, config_class
from jslim.cli.flags import DROPPED, Config, Flag, flags_of

DOCUMENTS = ("README.md", "docs/migration.md", "docs/tutorial.md")
PROGRAMS: dict[str, type[Config]] = {
    row.script or f"jslim {name}": config_class(row) for name, row in COMMANDS.items()
}
# The programs that TF-Slim has too.
_FROM_TF_SLIM = {name: PROGRAMS[name] for name in ("train.py", "eval.py", "jslim-export")}
# The flags of TF-Slim's three scripts that jslim has too.
_OF_TF_SLIM = """
    adadelta_rho adagrad_initial_accumulator_value adam_beta1 adam_beta2 batch_size
    checkpoint_exclude_scopes checkpoint_path dataset_dir dataset_name dataset_split_name
    end_learning_rate help eval_dir eval_image_size ftrl_initial_accumulator_value ftrl_l1 ftrl_l2
    ftrl_learning_rate_power ignore_missing_vars image_size label_smoothing labels_offset
    learning_rate learning_rate_decay_factor learning_rate_decay_type log_every_n_steps
    max_num_batches max_number_of_steps model_name momentum moving_average_decay num_clones
    num_epochs_per_decay num_preprocessing_threads opt_epsilon optimizer output_file
    preprocessing_name rmsprop_decay rmsprop_momentum save_interval_secs save_summaries_secs
    train_dir train_image_size trainable_scopes warmup_epochs weight_decay
"""


def with_tables(text: str) -> str:
    """A document with its tables as they should be."""
    groups: dict[str, dict[str, None]] = {}
    for one in _flags(PROGRAMS):
        groups.setdefault(_as_markdown(one.group), {})[f"`--{one.name}`"] = None
    # Each flag once in its group, and groups together.
    shared = {(one.group, one.name): one for one in _flags(_FROM_TF_SLIM)}
    distinct = sorted(shared.values(), key=lambda one: one.group)
    different = [(one.name, one.rules["differs"]) for one in distinct if "differs" in one.rules]
    new = [(one.name, one.help) for one in distinct if one.name not in _OF_TF_SLIM.split()]
    tables = {
        "all": _table(
            "About", "Flags", ((about, ", ".join(names)) for about, names in groups.items())
        ),
        "different": _table("Flag", "jslim", ((f"`--{name}`", text) for name, text in different)),
        "new": _of_flags("Flag", "jslim", new),
        "dropped": _of_flags("Dropped", "In place of it", DROPPED.items()),
        "resume": _table("When a run goes on", "Flags", _on_resume(flags_of(PROGRAMS["train.py"]))),
        "commands": _table(
            "Command", "What it does", ((f"`jslim {n}`", r.summary) for n, r in COMMANDS.items())
        ),
    }
    return re.sub(
        r"(<!-- flags: (\w+) -->\n).*?(?=<!-- end -->)",
        lambda found: f"{found[1]}{tables[found[2]]}",
        text,
        flags=re.DOTALL,
    )


def _on_resume(flags: Iterable[Flag]) -> Iterable[tuple[str, str]]:
    about = {
        None: "the run keeps its own; another value is refused",
        "may_change": "another value is taken, and named in the log",
        "not_kept": "the flag is of one start",
    }
    by_rule: dict[str | None, list[str]] = {rule: [] for rule in about}
    for one in flags:
        by_rule[one.rules.get("on_resume")].append(f"`--{one.name}`")
    return ((about[rule], ", ".join(names)) for rule, names in by_rule.items())


def _flags(programs: Mapping[str, type[Config]]) -> Iterable[Flag]:
    return itertools.chain.from_iterable(map(flags_of, programs.values()))


def _of_flags(first: str, second: str, rows: Iterable[tuple[str, str]]) -> str:
    return _table(first, second, ((f"`--{name}`", _as_markdown(text)) for name, text in rows))


def _table(first: str, second: str, rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {first} | {second} |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows)]
    return "".join(f"{line}\n" for line in lines)


def _as_markdown(text: str) -> str:
    text = re.sub(r"--\w+(=\S*\w)?", r"`\g<0>`", text.replace("*", r"\*"))
    return re.sub(r"JAX_\w+=\w+", r"`\g<0>`", text)


def words_of_all() -> dict[str, list[completion.Word]]:
    """The flags of each command, for shells."""
    return {
        name: [completion.word_of(one) for one in flags_of(config_class(row))]
        for name, row in COMMANDS.items()
    }


def main() -> None:
    """Writes the tables into the documents of the repository, and the flags for shells."""
    completion.FILE.write_text(completion.as_text(words_of_all()), "utf-8")
    for name in DOCUMENTS:
        path = pathlib.Path(name)
        path.write_text(with_tables(path.read_text()))


if __name__ == "__main__":
    main()
