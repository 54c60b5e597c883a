"""The modules go by TF-Slim's names, and training does without them."""

import importlib
import subprocess
import sys

import pytest

import jslim as slim
from jslim.core.tf_slim_names import MODULES


@pytest.mark.parametrize("name", [name for name, to in MODULES.items() if ".tf_queues." in to])
def test_a_module_is_in_slim_too(name):
    assert getattr(slim, name.rpartition(".")[-1]) is importlib.import_module(name)


def test_classes_are_in_the_package_of_data_too():
    assert slim.data.Dataset is slim.dataset.Dataset
    assert slim.data.DatasetDataProvider is slim.dataset_data_provider.DatasetDataProvider
    with pytest.raises(ModuleNotFoundError, match=r"jslim\.data\.no_such_module"):
        importlib.import_module("jslim.data.no_such_module")


@pytest.mark.long
def test_training_needs_none_of_them():
    code = (
        "import sys, jslim as slim; slim.learning, slim.data.batches, slim.data.prefetch_to_device;"
        "print([name for name in sys.modules if 'queue' in name and 'jslim' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
