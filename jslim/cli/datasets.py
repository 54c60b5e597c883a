"""`jslim datasets`: the kinds of data sets, or the classes and images of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jslim.cli import classifier
from jslim.cli.classifier import DatasetConfig
from jslim.cli.helping import wrapped
from jslim.cli.listing import ListConfig, print_json, show, table, terminal_width
from jslim.cli.run import run
from jslim.core.text import printable
from jslim.data.dataset_factory import DATASETS


@dataclass(frozen=True)
class DatasetsConfig(DatasetConfig, ListConfig):
    """Data sets."""

    examples: ClassVar[tuple[str, ...]] = (
        "{program}",
        "{program} --dataset_name=folder --dataset_dir=photos",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the list; returns the exit code."""
    return run(datasets, DatasetsConfig, argv)


def datasets(config: DatasetsConfig) -> None:
    """Prints the kinds of data sets; with `--dataset_name`, what that one has.

    Raises:
      DataError: It cannot be read.
    """
    if config.dataset_name is None:
        rows = [{"name": name, "files": row.help} for name, row in DATASETS.items()]
        show(config, rows, {"name": lambda row: row["name"], "files": lambda row: row["files"]})
        return
    dataset = classifier.open_dataset(config, config.labels_offset)
    first = dataset[0]
    found = {
        "name": dataset.name,
        "images": len(dataset),
        "classes": dataset.class_names,
        "first_image": {"record": first["record_key"], "shape": list(first["image"].shape)},
    }
    if config.json:
        print_json(found)
        return
    shape = " x ".join(map(str, first["image"].shape))
    about = f"{dataset.name}: {len(dataset)} images of {dataset.num_classes} classes; the first, "
    print(wrapped(printable(f"{about}{first['record_key']}, is {shape}")))
    names = [[str(label), name] for label, name in enumerate(dataset.class_names)]
    print(table(["label", "class"], names, ["label"], terminal_width()))
