import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jslim.core.errors import DataError
from jslim.data import get_dataset


def test_get_dataset_opens_the_digits():
    dataset = get_dataset("digits", "test")
    assert (dataset.num_samples, dataset.num_classes, dataset.name) == (360, 10, "digits/test")
    assert dataset.labels_to_names[7] == "7"
    assert dataset[0]["image"].shape == (8, 8, 1)


def test_get_dataset_opens_a_folder(tmp_path):
    (tmp_path / "train" / "ant").mkdir(parents=True)
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "train" / "ant" / "1.png")
    dataset = get_dataset("folder", "train", tmp_path)
    assert (dataset.num_samples, dataset.class_names) == (1, ["ant"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digit", "train"), "dataset unknown digit: known are digits, folder, .*; did you mean"),
        (("digits", "trian"), "split name trian was not recognized.*did you mean 'train'"),
        (("digits", "train", "some/where"), "reads no directory, got dataset_dir 'some/where'"),
        (("mnist", "train"), "'mnist' needs dataset_dir, the directory that holds its files"),
        (("folder", "train", "x", "%s*"), "file_pattern is of data sets in TFRecord files"),
        (("mnist", "train", "x", "*.tfrecord"), "file_pattern must have %s in place of the spl"),
        (("folder", "train"), "'folder' needs dataset_dir, the directory that holds train/CLASS"),
    ],
)
def test_get_dataset_refuses_what_it_does_not_know(arguments, message):
    with pytest.raises(ValueError, match=message):
        get_dataset(*arguments)


def test_get_dataset_passes_on_what_is_wrong_with_a_folder(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        get_dataset("folder", "train", tmp_path / "nowhere")


@pytest.mark.long
def test_arrays_need_neither_grain_nor_pillow_nor_scikit_learn():
    program = """
import sys
for name in ('grain', 'PIL', 'sklearn'):
    sys.modules[name] = None
import jslim.data
dataset = jslim.data.get_dataset('digits', 'train')
with jslim.data.batches(dataset, 64, is_training=True) as batches:
    print(next(batches)['image'].shape)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("(64, 8, 8, 1)\n", 0), done.stderr
