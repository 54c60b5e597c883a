"""TF-Slim's provider over files that TensorFlow wrote."""

import itertools
import pathlib

import numpy as np
import pytest

import jslim as slim
from jslim.data import Dataset, DatasetDataProvider, TFRecordFiles
from jslim.data.tf_example import FixedLenFeature
from jslim.data.tfexample_decoder import Tensor, TFExampleDecoder

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "tfrecords"
FEATURES = {
    "height": FixedLenFeature([], np.int64),
    "image/class/label": FixedLenFeature([], np.int64),
}
DECODER = TFExampleDecoder(
    FEATURES, {"height": Tensor("height"), "label": Tensor("image/class/label")}
)
LABELS = [0, -(10**12), -2 * 10**12]


def provider(**options):
    sources = [GOLDEN / "plain.tfrecord", GOLDEN / "gzip.tfrecord"]
    num_samples = options.pop("num_samples", None)
    return DatasetDataProvider(Dataset(sources, None, DECODER, num_samples, {}), **options)


def test_records_in_order_and_then_the_end():
    given = provider(shuffle=False, num_epochs=1, scope="provider")
    assert given.list_items() == ["height", "label", "record_key"]
    assert given.num_samples() == 6
    found = [given.get(["label", "record_key"]) for _ in range(6)]
    assert [label for label, _ in found] == LABELS * 2
    keys = [key for _, key in found]
    assert keys[0] == "plain.tfrecord:0"
    assert keys[3] == "gzip.tfrecord:0"
    assert len(set(keys)) == 6
    with pytest.raises(EOFError, match="all epochs of the data set have been read"):
        given.get(["label"])


def test_each_epoch_has_every_record_in_an_order_of_its_own():
    given = provider(seed=3)
    epochs = [[given.get(["record_key"])[0] for _ in range(6)] for _ in range(4)]
    assert all(sorted(epoch) == sorted(epochs[0]) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    same = provider(seed=3)
    assert [same.get(["record_key"])[0] for _ in range(24)] == list(itertools.chain(*epochs))


def test_items_of_one_record_belong_together():
    given = list(provider(num_epochs=2))
    assert len(given) == 12
    labels = {}
    for items in given:
        assert items["height"] == 2
        labels.setdefault(items["record_key"], set()).add(int(items["label"]))
    assert sorted(labels.values(), key=min) == sorted(({x} for x in LABELS * 2), key=min)


def test_attributes_of_a_data_set():
    dataset = Dataset("x", TFRecordFiles, DECODER, 60000, {"label": "A digit."}, num_classes=10)
    assert (dataset.num_samples, dataset.num_classes) == (60000, 10)
    assert provider(num_samples=60000).num_samples() == 60000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: provider(record_key="label"), "item name used for `record_key` cannot also be"),
        (lambda: provider(num_epochs=0), "num_epochs must be at least 1, got 0"),
        (lambda: provider().get("label"), "items must be a list or tuple of names, got 'label'"),
        (
            lambda: provider().get(["lable"]),
            "no item 'lable'; did you mean 'label'.* .there are heig",
        ),
    ],
)
def test_what_makes_no_sense_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_decoder_as_tf_slim_has_them():
    class Lengths(slim.data_decoder.DataDecoder):
        def decode(self, data, items):
            return [len(data) for _ in items]

        def list_items(self):
            return ["length"]

    source = GOLDEN / "plain.tfrecord"
    given = DatasetDataProvider(Dataset([source], None, Lengths(), 3, {}), num_epochs=1)
    assert all(items["length"] > 0 for items in given)
    with pytest.raises(TypeError, match="abstract"):
        slim.data.DataDecoder()
