"""What `import jslim` leaves for later is there when it is asked for."""

import ast
import importlib.metadata
import pathlib
import subprocess
import sys

import pytest

import jslim as slim


def names_for_type_checkers():
    tree = ast.parse(pathlib.Path(slim.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {alias.asname: node.module for node in block.body for alias in node.names}


def test_type_checkers_see_what_is_imported_later():
    assert names_for_type_checkers() == slim._LAZY


@pytest.mark.parametrize("name", sorted(names_for_type_checkers()))
def test_every_name_is_there_and_listed(name):
    assert getattr(slim, name) is not None
    assert name in dir(slim)


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(AttributeError, match=r"'jslim' has no attribute 'learing'.*'learning'"):
        _ = slim.learing


def test_importing_needs_neither_optax_nor_scipy():
    code = (
        "import sys, jax, flax; before = set(sys.modules); import jslim; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new & {'optax', 'scipy', 'orbax', 'grain'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_jslims_own():
    assert {"TYPE_CHECKING", "Any", "importlib", "did_you_mean"}.isdisjoint(dir(slim))
    assert slim.__version__ == importlib.metadata.version("jslim")


def test_beside_a_checkout_of_the_same_name_the_installed_package_is_imported(tmp_path):
    (tmp_path / "jslim").mkdir()  # what a checkout looks like from the folder that it lies in
    code = "import jslim; print(jslim.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == slim.__version__
