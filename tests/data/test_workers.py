"""Batches by worker processes: the same order, errors with tracebacks, and death within seconds."""

import itertools
import multiprocessing
import os
import pickle
import signal
import time
import traceback
import zipfile

import numpy as np
import pytest
from PIL import Image

from jslim.core.errors import DataError
from jslim.data import FolderDataset, TFRecordDataset, batches
from jslim.data.convert import convert_dataset
from jslim.data.tfrecord_datasets import open_tfrecord_dataset
from jslim.preprocessing import preprocessing_factory

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Twenty images of two classes."""
    directory = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(20):
        path = directory / "train" / ("ant", "bee")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3)).astype(np.uint8)).save(path)
    return directory


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


def cropped(image, rng):
    crop = preprocessing_factory.get_host_preprocessing("cifarnet", is_training=True)
    return crop(image, 24, 24, rng=rng)


def training(dataset, **options):
    options = {"preprocessing_fn": cropped, "seed": 5, "decode_images": False, **options}
    return batches(dataset, 4, is_training=True, **options)


def assert_same(first, second):
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.long
def test_the_order_is_that_of_one_process_also_after_a_restart(root):
    dataset = FolderDataset(root, "train")
    with training(dataset, num_threads=0) as alone:
        expected = [next(alone) for _ in range(9)]
    with training(dataset, num_workers=2) as made:
        for batch in expected[:5]:
            assert_same(next(made), batch)
        state = made.get_state()
    with training(dataset, num_workers=1) as made:
        made.set_state(state)
        for batch in expected[5:]:
            assert_same(next(made), batch)


@pytest.mark.long
def test_an_evaluation_ends(root):
    dataset = FolderDataset(root, "train")
    with batches(dataset, 8, is_training=False, num_workers=2) as made:
        weights = [batch["weights"].sum() for batch in made]
    assert weights == [8, 8, 4]


def break_down(image):
    raise KeyError("no such colour")


@pytest.mark.long
def test_the_error_of_a_worker_has_its_traceback(root):
    dataset = FolderDataset(root, "train")
    with training(dataset, preprocessing_fn=break_down, num_workers=1) as made:
        with pytest.raises(KeyError, match="no such colour") as caught:
            next(made)
        names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert "break_down" in names


@pytest.mark.long
def test_bad_records_are_counted_over_all_workers(root, tmp_path):
    for path in (root / "train").rglob("*.jpg"):
        target = tmp_path / "train" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        target.write_bytes(content[:200] if path.stem in ("3", "4") else content)
    dataset = FolderDataset(tmp_path, "train")
    with training(dataset, num_workers=2, skip_bad_records=2) as made:
        weights = sum(next(made)["weights"].sum() for _ in range(10))
    assert weights == 36
    names = sorted(os.path.basename(dataset.record_key(index)) for index in made.bad_records)
    assert names == ["3.jpg", "4.jpg"]
    with (
        training(dataset, num_workers=2, skip_bad_records=1) as made,
        pytest.raises(DataError, match=r"one bad record more than skip_bad_records=1 allows"),
    ):
        list(itertools.islice(made, 10))


@pytest.mark.long
def test_a_killed_worker_is_an_error_within_seconds(root):
    with training(FolderDataset(root, "train"), num_workers=2) as made:
        next(made)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        started = time.monotonic()
        with pytest.raises(RuntimeError, match=r"data has died \(.*-9.*fewer num_workers"):
            list(itertools.islice(made, 100))
        assert time.monotonic() - started < 15


def test_data_sets_are_pickled_with_all_that_they_need(root, tmp_path):
    folder = FolderDataset(root, "train")
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for path in sorted(root.rglob("*.jpg")):
            archive.write(path, path.relative_to(root))
    convert_dataset(root, tmp_path / "records", name="images", num_shards=2)
    records = open_tfrecord_dataset("tfrecord", "train", tmp_path / "records")
    assert isinstance(records, TFRecordDataset)
    for dataset in (folder, FolderDataset(tmp_path / "images.zip", "train"), records):
        copy = pickle.loads(pickle.dumps(dataset))
        assert copy.fingerprint == dataset.fingerprint
        assert len(copy) == 20
        for index in (0, 19):
            np.testing.assert_array_equal(copy[index]["image"], dataset[index]["image"])
