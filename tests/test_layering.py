"""Imports point down only, each big dependency stays in its place, `import jslim` needs few."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

LIBRARY = pathlib.Path(__file__).parent.parent / "jslim"

# A unit is a file or a folder directly under jslim/. It may import units of its own level or
# below, as long as there is no cycle; `SEALED` ones only what is below level 2.
LEVELS = {
    "core": 0,
    "host": 1,
    "tf_checkpoint": 1,
    "variables": 1,
    "initializers": 1,
    "regularizers": 1,
    "layers": 2,
    "losses": 2,
    "metrics": 2,
    "summaries": 2,
    "optimizers": 2,
    "data": 2,
    "preprocessing": 2,
    "checkpoints": 2,
    "tf_queues": 3,
    "model_analyzer": 2,
    "layer_table": 2,
    "nets": 3,
    "weights": 4,
    "learning": 4,
    "training": 4,
    "evaluation": 4,
    "prediction": 4,
    "export": 4,
    "compat": 5,
    "cli": 5,
    "_later": 6,
    "__init__": 6,
    "__main__": 6,
}
SEALED = {"data", "preprocessing", "checkpoints", "optimizers"}

# Which units may import what is not Python's own. The longest matching name counts.
PACKAGES = {
    "jax": LEVELS.keys(),
    "jax.extend": {"core", "layers"},
    "jax.core": {"compat"},
    "jaxlib.mlir": {"export"},
    "numpy": LEVELS.keys(),
    "flax": set(),
    "flax.core": {"core"},
    "flax.linen": {"core"},
    "flax.struct": {"learning"},
    "flax.traverse_util": {"core", "learning", "checkpoints", "prediction"},
    "optax": {"optimizers", "learning", "training", "cli", "compat"},
    "orbax": {"checkpoints"},
    "tensorstore": {"checkpoints"},
    "etils": {"host", "checkpoints"},
    "fsspec": {"host"},
    "array_record": {"data"},
    "grain": {"data"},
    "google_crc32c": {"host"},
    "google.protobuf": {"data", "host", "tf_checkpoint"},
    "ml_dtypes": {"tf_checkpoint"},
    "PIL": {"data", "summaries", "cli"},
    "matplotlib": {"cli"},
    "mlflow": {"summaries", "cli"},
    "rich": {"host"},
    "IPython": {"host"},
    "tensorboard": {"summaries"},
    "wandb": {"summaries", "cli"},
    "safetensors": {"checkpoints"},
    "h5py": {"weights"},
    "huggingface_hub": {"weights"},
    "pooch": {"weights"},
    "requests": {"weights"},
    "libcst": {"compat"},
    "numba": {"preprocessing"},
    "simplejpeg": {"data"},
    "tensorflow_datasets": {"data"},
    "absl": {"cli", "compat", "data"},
    "sklearn": set(),
}
# What a machine may lack, or what has to be asked for: never on the way to `import jslim`.
OPTIONAL = (
    "gcsfs",
    "s3fs",
    "tensorflow_datasets",
    "array_record",
    "matplotlib",
    "grain",
    "google_crc32c",
    "PIL",
    "libcst",
    "numba",
    "simplejpeg",
    "mlflow",
    "tensorboard",
    "wandb",
    "safetensors",
    "sklearn",
    "IPython",
    "absl.app",
    "jslim.cli",
)


def imports_of(path):
    """The full names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ("jslim", *path.relative_to(LIBRARY).parts[:-1])
            above = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (above, node.module)))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def unit_of(path):
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


FILES = sorted(LIBRARY.rglob("*.py"))
IMPORTS = [(path, name) for path in FILES for name in imports_of(path)]
INSIDE = [(path, name.split(".")[1]) for path, name in IMPORTS if name.startswith("jslim.")]
BETWEEN_UNITS = [(path, unit) for path, unit in INSIDE if unit != unit_of(path)]


def test_the_parser_sees_imports():
    assert len(FILES) > 20
    assert (LIBRARY / "core" / "store.py", "flax.core") in IMPORTS
    assert (LIBRARY / "variables.py", "core") in BETWEEN_UNITS


def test_every_unit_has_a_level():
    assert {unit_of(path) for path in FILES} == set(LEVELS)


def test_the_table_of_the_document_has_the_same_levels():
    text = (LIBRARY.parent / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", text, re.MULTILINE)
    levels = {
        name: int(level)
        for level, rooms in rows
        for name in re.findall(r"`(\w+)(?:/|\.py)`", rooms)
    }
    scripts = {"train": 5, "eval": 5}
    assert levels == {n: v for n, v in LEVELS.items() if not n.startswith("_")} | scripts


def test_the_library_imports_its_modules_and_not_its_top():
    wrong = [f"{path}: jslim.{unit}" for path, unit in BETWEEN_UNITS if unit not in LEVELS]
    assert wrong == []
    assert [path for path, name in IMPORTS if name == "jslim"] == []


def test_no_import_points_up():
    upward = [
        f"{path} imports {unit}"
        for path, unit in BETWEEN_UNITS
        if LEVELS[unit] > LEVELS[unit_of(path)]
    ]
    assert upward == []


def test_data_and_checkpoints_know_nothing_of_models():
    wrong = [
        f"{path} imports {unit}"
        for path, unit in BETWEEN_UNITS
        if unit_of(path) in SEALED and LEVELS[unit] >= 2
    ]
    assert wrong == []


def test_units_form_no_cycle():
    needs = {unit: {u for path, u in BETWEEN_UNITS if unit_of(path) == unit} for unit in LEVELS}
    while leaves := {unit for unit, below in needs.items() if not below}:
        needs = {unit: below - leaves for unit, below in needs.items() if unit not in leaves}
    assert needs == {}


def test_each_package_stays_in_its_place():
    wrong = []
    for path, name in IMPORTS:
        top = name.partition(".")[0]
        if top in sys.stdlib_module_names or top == "jslim":
            continue
        rules = [package for package in PACKAGES if f"{name}.".startswith(f"{package}.")]
        if not rules or unit_of(path) not in PACKAGES[max(rules, key=len)]:
            wrong.append(f"{path} imports {name}")
    assert wrong == []


def test_one_file_touches_flax_core():
    assert {path.name for path, name in IMPORTS if f"{name}.".startswith("flax.core.")} == {
        "store.py"
    }


def test_nothing_private_of_other_packages_is_imported():
    private = {
        (path.name, name)
        for path, name in IMPORTS
        if not name.startswith(("jslim.", "__future__")) and "._" in f".{name}"
    }
    # Until Orbax writes to s3:// itself; its docstring names the change that brings that.
    assert private == {("_buckets.py", "orbax.checkpoint._src.serialization.tensorstore_utils")}


@pytest.mark.long
@pytest.mark.parametrize("is_blocked", [False, True], ids=["there", "missing"])
def test_import_jslim_needs_no_optional_package(is_blocked):
    code = f"""
import sys
optional = {OPTIONAL!r}
if {is_blocked}:
    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in optional or name in optional:
                raise ModuleNotFoundError(name)
    sys.meta_path.insert(0, Blocked())
import jslim
assert jslim.arg_scope and jslim.Model
print([name for name in optional if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
