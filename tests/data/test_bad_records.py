"""Records that cannot be read: batches leave them out and nothing else moves."""

import numpy as np
import pytest
from PIL import Image

from jslim.core.errors import DataError
from jslim.data import ArrayDataset, BadRecordError, batches, get_dataset


def with_bad_records(bad, count=20):
    """A data set, and a preprocessing that refuses the records in `bad`."""

    def refuse(image):
        if image[0, 0, 0] in bad:
            raise ValueError("this one is bad")
        return image

    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)
    return ArrayDataset(images, np.arange(count), count, name="numbers"), refuse


@pytest.mark.parametrize("num_threads", [0, 2])
def test_bad_records_are_left_out_and_nothing_else_moves(num_threads, caplog):
    dataset, refuse = with_bad_records({0, 3, 4, 5, 19})
    options = {"is_training": False, "num_threads": num_threads, "preprocessing_fn": refuse}
    with batches(dataset, 8, **options, skip_bad_records=5) as given:
        assert given.element_spec["image"].shape == (8, 1, 1, 1)
        found = list(given)
        assert given.get_state()["position"] == 20
        assert sorted(given.bad_records) == [0, 3, 4, 5, 19]
        assert "record 'numbers:3' of 'numbers': this one is bad" in given.bad_records[3]
    seen = [
        value
        for batch in found
        for value, weight in zip(batch["image"].ravel(), batch["weights"], strict=True)
        if weight
    ]
    assert seen == [x for x in range(20) if x not in {0, 3, 4, 5, 19}]
    assert found[0]["weights"].tolist() == [0, 1, 1, 0, 0, 0, 1, 1]
    # The rows of weight 0 are copies of good ones.
    assert found[0]["image"].ravel().tolist() == [7, 1, 2, 7, 7, 7, 6, 7]
    warnings = [message for message in caplog.messages if "is left out" in message]
    assert len(warnings) == 5


def test_one_bad_record_more_than_allowed_is_an_error():
    dataset, refuse = with_bad_records({3, 4, 5})
    options = {"is_training": False, "num_threads": 0, "preprocessing_fn": refuse}
    with (
        batches(dataset, 4, **options, skip_bad_records=2) as given,
        pytest.raises(
            DataError, match=r"'numbers:5'.* \(this is one bad record more than skip_bad_re"
        ),
    ):
        list(given)
    with batches(dataset, 4, **options) as given, pytest.raises(DataError, match="'numbers:3'"):
        next(given)
    dataset, refuse = with_bad_records({4, 5, 6, 7})
    options["preprocessing_fn"] = refuse
    with (
        batches(dataset, 4, **options, skip_bad_records=9) as given,
        pytest.raises(
            DataError, match="every record of a batch of 'numbers' is bad; the last one: "
        ),
    ):
        list(given)


def test_a_record_that_is_bad_in_every_epoch_counts_once(caplog):
    dataset, refuse = with_bad_records({3}, count=4)
    options = {"is_training": True, "num_threads": 0, "preprocessing_fn": refuse}
    with batches(dataset, 2, **options, num_epochs=5, skip_bad_records=1) as given:
        assert sum(batch["weights"].sum() for batch in given) == 15
    assert len([message for message in caplog.messages if "is left out" in message]) == 1


def test_one_broken_image_says_what_to_do(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "1.jpg")
    broken = tmp_path / "dog" / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:-100])
    message = (
        rf"^image '{broken}' cannot be decoded \(.*\); replace or delete the file; or give "
        "skip_bad_records=N to leave out as many as N records like it$"
    )
    options = {"is_training": False, "num_threads": 0}
    dataset = get_dataset("folder", "train", tmp_path)
    with batches(dataset, 2, **options) as given, pytest.raises(BadRecordError, match=message):
        next(given)
    with batches(dataset, 2, **options, skip_bad_records=1) as given:
        assert next(given)["weights"].tolist() == [1, 0]
