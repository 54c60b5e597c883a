import numpy as np
import pytest
from PIL import Image

from jslim.core.errors import DataError
from jslim.data import FolderDataset


def save(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (5, 4), (value, value, value)).save(path)


@pytest.fixture
def root(tmp_path):
    """`train` with two images of `ant` and one of `bee`; `test` with one of each."""
    save(tmp_path / "train" / "bee" / "1.png", 10)
    save(tmp_path / "train" / "ant" / "b.JPG", 20)
    save(tmp_path / "train" / "ant" / "a.jpeg", 30)
    save(tmp_path / "test" / "ant" / "x.bmp", 40)
    save(tmp_path / "test" / "bee" / "y.webp", 50)
    return tmp_path


def test_folder_reads_images_class_by_class(root):
    dataset = FolderDataset(root, "train")
    assert dataset.class_names == ["ant", "bee"]
    assert dataset.name == "folder/train"
    records = [dataset[index] for index in range(len(dataset))]
    assert [record["label"] for record in records] == [0, 0, 1]
    assert [record["record_key"] for record in records] == [
        str(root / "train" / name) for name in ("ant/a.jpeg", "ant/b.JPG", "bee/1.png")
    ]
    for record, value in zip(records, [30, 20, 10], strict=True):
        np.testing.assert_array_equal(record["image"], np.full((4, 5, 3), value, np.uint8))


def test_folder_with_classes_directly_is_one_split_to_train_on(root):
    for split_name in ("train", "all"):
        dataset = FolderDataset(root / "train", split_name)
        assert (len(dataset), dataset.class_names) == (3, ["ant", "bee"])
    for split_name in ("test", "whatever", ""):
        with pytest.raises(
            DataError,
            match=rf"split name {split_name} was not recognized: '.*train' has no splits, its "
            r"folders are the classes; .* give the split 'all' for all of them",
        ):
            FolderDataset(root / "train", split_name)


def test_folder_passes_over_hidden_and_system_files(root):
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._a.jpg"):
        (root / "train" / "ant" / name).write_bytes(b"x")
    (root / "train" / ".cache").mkdir()
    (root / "__MACOSX" / "train").mkdir(parents=True)
    (root / "train" / "labels.txt").write_text("0:ant")
    assert len(FolderDataset(root, "train")) == 3


def test_folder_that_is_missing_or_a_file_is_an_error(root):
    with pytest.raises(DataError, match=r"directory '.*/nowhere' does not exist"):
        FolderDataset(root / "nowhere", "train")
    with pytest.raises(
        DataError, match=r"1.png' is a file, not a directory, and no zip or tar archive"
    ):
        FolderDataset(root / "train" / "bee" / "1.png", "train")


def test_folder_without_classes_is_an_error(root):
    with pytest.raises(DataError, match=r"has no class folders.*one sub-folder a class, .*/CLASS"):
        FolderDataset(root / "train" / "ant", "train")


def test_folder_offers_the_nearest_split(root):
    with pytest.raises(
        DataError,
        match=r"split name tst was not recognized.*are 'test', 'train'; did you mean 'test'",
    ):
        FolderDataset(root, "tst")


def test_folder_class_without_image_is_an_error(root):
    (root / "train" / "cow").mkdir()
    (root / "test" / "cow").mkdir()
    with pytest.raises(DataError, match=r"class folders 'cow' of '.*train' have no image"):
        FolderDataset(root, "train")


def test_folder_refuses_files_that_are_no_images(root):
    for number in range(7):
        (root / "train" / "bee" / f"{number}.heic").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"0.heic', .* and 2 more in the class folders of .*train' cannot be read"
    ):
        FolderDataset(root, "train")


def test_folder_refuses_folders_inside_a_class(root):
    save(root / "train" / "ant" / "more.png" / "1.png")
    with pytest.raises(DataError, match=r"ant/more.png' in the class folders .* cannot be read"):
        FolderDataset(root, "train")


def test_folder_refuses_a_split_with_other_classes_than_train(root):
    save(root / "test" / "cow" / "1.png")
    (root / "test" / "bee" / "y.webp").unlink()
    (root / "test" / "bee").rmdir()
    with pytest.raises(
        DataError, match="test' are not those of the split 'train': 'bee', 'cow' in one of the two"
    ):
        FolderDataset(root, "test")
    assert len(FolderDataset(root, "train")) == 3


def test_folder_names_an_image_that_cannot_be_decoded(root):
    path = root / "train" / "ant" / "a.jpeg"
    path.write_bytes(path.read_bytes()[:100])
    dataset = FolderDataset(root, "train")
    with pytest.raises(DataError, match=r"image '.*ant/a.jpeg' cannot be decoded"):
        dataset[0]


def test_folder_names_an_image_that_has_gone(root):
    dataset = FolderDataset(root, "train")
    (root / "train" / "ant" / "a.jpeg").unlink()
    with pytest.raises(
        DataError, match=r"ant/a.jpeg' cannot be read \(No such file or directory\)"
    ):
        dataset[0]


def test_what_is_passed_over_is_named(root, caplog):
    for name in ("@eaDir/x.jpg", ".ipynb_checkpoints/a.jpeg", "notes.txt", "a.json", "THUMBS.DB"):
        (root / "train" / "ant" / name).parent.mkdir(exist_ok=True)
        (root / "train" / "ant" / name).write_bytes(b"x")
    (root / "LICENSE").write_bytes(b"x")
    with caplog.at_level("INFO", "jslim"):
        assert len(FolderDataset(root, "train")) == 3
    assert "6 that are no image files, the first 'LICENSE'" in caplog.text


def test_links_to_classes_and_images_are_followed(root, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "ant").symlink_to(root / "train" / "ant")
    (other / "bee").mkdir()
    (other / "bee" / "1.png").symlink_to(root / "train" / "bee" / "1.png")
    dataset = FolderDataset(other, "train")
    assert [dataset[index]["image"].shape for index in range(3)] == [(4, 5, 3)] * 3
