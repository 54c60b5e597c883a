"""The picture of a confusion matrix, its worst pairs, and captions of mixed labels."""

import numpy as np
import pytest
from PIL import Image

from jslim.cli import preview, reports


def test_worst_pairs_are_named_the_worst_first():
    matrix = np.array([[6, 3, 1], [0, 9, 1], [5, 0, 0]])
    assert reports.worst_pairs(matrix, ["cat", "dog", "cow"], most=3) == [
        "cow taken for cat: 5 of 5 (100%)",
        "cat taken for dog: 3 of 10 (30%)",
        "cat taken for cow: 1 of 10 (10%)",
    ]
    assert reports.worst_pairs(np.diag([3, 0]), ["cat", "dog"]) == []


@pytest.mark.parametrize("count", [3, 200])
def test_the_picture_has_titles_above_and_at_the_left(count, tmp_path):
    path = tmp_path / "matrix.png"
    names = [f"class {index}" for index in range(count)]
    reports.save_matrix_image(str(path), np.eye(count), names)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("L"))
    band = reports._TITLE
    above, left = pixels[:band], pixels[:, :band]
    assert (above < 128).any()
    assert (left < 128).any()
    columns, rows = np.nonzero((above < 128).any(0))[0], np.nonzero((left < 128).any(1))[0]
    # Over the middle of the matrix, and beside it.
    assert abs(columns.mean() - pixels.shape[1] / 2) < pixels.shape[1] / 5
    assert abs(rows.mean() - pixels.shape[0] / 2) < pixels.shape[0] / 5


def test_captions_of_two_lines_have_room(tmp_path):
    images = np.zeros((2, 4, 4, 3), np.float32)
    heights = []
    for captions in (["0: cat", "1: dog"], ["70% 0: cat\n30% 1: dog", "1: dog"]):
        preview.save_contact_sheet(str(tmp_path / "x.png"), images, captions)
        with Image.open(tmp_path / "x.png") as image:
            heights.append(image.height)
    assert heights[1] - heights[0] == 16


def test_a_preview_of_mixed_images_shows_their_shares(tmp_path, monkeypatch):
    from jslim.cli import train

    seen = []
    monkeypatch.setattr(preview, "save_contact_sheet", lambda *given: seen.append(given[2]))
    flags = [
        "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8", "--batch_size=8",
        "--mixup_alpha=1", f"--preview_file={tmp_path / 'x.png'}", f"--train_dir={tmp_path}",
    ]  # fmt: skip
    assert train.main(["train.py", *flags]) == 0
    mixed = [caption.split("\n") for caption in seen[0] if "\n" in caption]
    assert mixed
    for lines in mixed:
        assert 99 <= sum(int(line.partition("%")[0]) for line in lines) <= 101
