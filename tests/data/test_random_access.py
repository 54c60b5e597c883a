"""Data sets of other libraries, among them what TFDS prepares where it is installed."""

import sys

import grain
import numpy as np
import pytest
from PIL import Image

from jslim import data
from jslim.core.errors import DataError
from jslim.data import RandomAccessDataset

RECORDS = [{"image": np.full((4, 5, 3), n, np.uint8), "label": np.int64(n % 2)} for n in range(5)]


@pytest.mark.parametrize("source", [RECORDS, grain.MapDataset.source(RECORDS)])
def test_a_source_with_a_length_and_dicts_is_a_data_set(source):
    dataset = RandomAccessDataset(source, ["even", "odd"], name="numbers")
    assert (len(dataset), dataset.num_classes) == (5, 2)
    example = dataset[3]
    assert (example["label"], example["record_key"]) == (1, "numbers:3")
    with data.batches(dataset, 2, is_training=False, num_threads=2) as made:
        batches = list(made)
    images = np.concatenate([batch["image"] for batch in batches])
    assert images[:5, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_other_keys_and_images_that_become_arrays():
    records = [{"img": Image.new("L", (3, 2), 9), "fine_label": 1}]
    dataset = RandomAccessDataset(records, ["a", "b"], image_key="img", label_key="fine_label")
    np.testing.assert_array_equal(dataset[0]["image"], np.full((2, 3, 1), 9))


def test_records_that_do_not_fit():
    with pytest.raises(DataError, match="'nothing' has no record"):
        RandomAccessDataset([], ["a"], name="nothing")
    with pytest.raises(DataError, match="record 'source:0' must be a dict with 'image', got img"):
        RandomAccessDataset([{"img": 1}], ["a"])[0]
    with pytest.raises(DataError, match="must be a dict with 'image', got tuple; say the keys"):
        RandomAccessDataset([(1, 2)], ["a"])[0]
    with pytest.raises(DataError, match=r"record 'source:0' has an image of shape \(2,\)"):
        RandomAccessDataset([{"image": np.zeros(2), "label": 0}], ["a"])[0]


def test_tfds_that_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match="run: pip install tensorflow_datasets"):
        data.get_dataset("tfds", "train", tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_what_tfds_has_prepared(tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("tensorflow")  # without which TFDS cannot read images' descriptions

    class Numbers(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["even", "odd"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {"train": enumerate(RECORDS), "test": enumerate(RECORDS[:2])}

        def _generate_examples(self):
            raise NotImplementedError

    Numbers(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    directory = tmp_path / "numbers" / "1.0.0"
    dataset = data.get_dataset("tfds", "train", directory)
    assert dataset.class_names == ["even", "odd"]
    found = sorted(int(dataset[index]["image"][0, 0, 0]) for index in range(5))
    assert found == [0, 1, 2, 3, 4]
    assert all(x["label"] == x["image"][0, 0, 0] % 2 for x in map(dataset.__getitem__, range(5)))
    with pytest.raises(DataError, match=r"tset was not recognized.*did you mean 'test'"):
        data.get_dataset("tfds", "tset", directory)
    with pytest.raises(DataError, match="is no data set prepared by TFDS"):
        data.get_dataset("tfds", "train", tmp_path / "nothing")
