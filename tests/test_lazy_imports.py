"""What `import jslim` leaves for later is there when it is asked for."""

import importlib.metadata
import subprocess
import sys

import pytest

import jslim as slim


@pytest.mark.parametrize("name", sorted(slim._LATER))
def test_every_name_is_there_and_listed(name):
    names = dir(slim)
    assert getattr(slim, name) is not None
    assert name in names
    assert dir(slim) == names


@pytest.mark.long
def test_names_of_the_list_are_imported_one_by_one():
    code = (
        "import sys, jslim; list = dir(jslim); from jslim import tf_checkpoint as found; "
        "print(found is jslim.tf_checkpoint, 'jslim.learning' in sys.modules, "
        "'jslim._later' in sys.modules, list == dir(jslim))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False", "True"]


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(AttributeError, match=r"'jslim' has no attribute 'learing'.*'learning'"):
        _ = slim.learing


@pytest.mark.long
def test_importing_needs_neither_optax_nor_scipy():
    code = (
        "import sys, jax, flax; before = set(sys.modules); import jslim; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new & {'optax', 'scipy', 'orbax', 'grain'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_jslims_own():
    foreign = {"TYPE_CHECKING", "Any", "importlib", "typing", "did_you_mean", "core", "host"}
    assert foreign.isdisjoint(dir(slim))
    assert [name for name in dir(slim) if name.startswith("_")] == ["__version__"]
    assert slim.__version__ == importlib.metadata.version("jslim")


@pytest.mark.long
def test_beside_a_checkout_of_the_same_name_the_installed_package_is_imported(tmp_path):
    (tmp_path / "jslim").mkdir()  # what a checkout looks like from the folder that it lies in
    code = "import jslim; print(jslim.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == slim.__version__
