"""`jslim.compat.loaders`: batches of what a function makes of each record."""

import threading

import numpy as np
import pytest

import jslim as slim
from jslim.compat import loaders, tf
from jslim.core.errors import DataError
from jslim.data.order import Order
from jslim.preprocessing import cifarnet_preprocessing, inception_preprocessing, vgg_preprocessing


def numbers(count, **options):
    return loaders.slices([np.arange(count)], **options)


def plain(number):
    return {"number": number}


def values(batches):
    return [batch["number"].tolist() for batch in batches]


def test_slices_in_order_and_by_the_seed():
    assert values(loaders.batches(numbers(4, shuffle=False, num_epochs=2), plain, 3)) == [
        [0, 1, 2], [3, 0, 1],
    ]  # fmt: skip
    found = loaders.batches(numbers(10, num_epochs=1, seed=3), plain, 10)
    order = Order(3, 10, shuffle=True)
    assert values(found) == [[order(place) for place in range(10)]]
    other = loaders.batches(numbers(10, num_epochs=1, seed=3), plain, 10, shuffle=False, seed=1)
    assert values(other) == [list(range(10))]


def test_the_rest_of_an_epoch():
    def found(**options):
        return values(loaders.batches(numbers(5, shuffle=False, num_epochs=1), plain, 2, **options))

    assert found() == [[0, 1], [2, 3]]
    assert found(allow_smaller_final_batch=True) == [[0, 1], [2, 3], [4]]
    assert found(allow_smaller_final_batch=True, num_threads=2) == [[0, 1], [2, 3], [4]]
    assert found(num_threads=2) == [[0, 1], [2, 3]]


def random_row(number):
    image = tf.random_uniform([2, 2, 3], maxval=255.0)
    image = tf.image.random_flip_left_right(image)
    tf.summary.image("image", tf.expand_dims(image, 0))
    pixels = cifarnet_preprocessing.preprocess_image(np.asarray(image), 2, 2, is_training=True)
    return {"number": number, "image": image, "pixels": pixels}


def test_random_numbers_are_those_of_the_place_whatever_the_threads():
    one, several, other = (
        loaders.batches(numbers(6, seed=seed), random_row, 4, num_threads=threads)
        for seed, threads in ((2, 0), (2, 3), (1, 0))
    )
    with several:
        for _ in range(3):
            first, second = next(one), next(several)
            for name in ("number", "image", "pixels"):
                np.testing.assert_array_equal(first[name], second[name])
    assert first["image"].shape == first["pixels"].shape == (4, 2, 2, 3)
    assert len(np.unique(first["image"])) == 48
    assert not np.array_equal(next(other)["image"], first["image"])


@pytest.mark.parametrize("num_threads", [0, 2])
def test_a_position_is_gone_on_from(num_threads):
    def made():
        return loaders.batches(numbers(7, seed=4), random_row, 3, num_threads=num_threads)

    with made() as first, made() as second:
        for _ in range(2):
            next(first)
        state = first.get_state()
        assert state == {"num_samples": 7, "is_shuffled": True, "seed": 4, "position": 6}
        next(second)
        second.set_state(state)
        np.testing.assert_array_equal(next(first)["image"], next(second)["image"])


def test_a_position_of_other_data_is_refused():
    batches = loaders.batches(numbers(7), plain, 3)
    other = loaders.batches(numbers(8), plain, 3).get_state()
    with pytest.raises(DataError, match="position has num_samples 8, these batches have 7; use"):
        batches.set_state(other)


def test_shapes_before_the_first_batch():
    batches = loaders.batches(numbers(4, shuffle=False), random_row, 3)
    spec = batches.element_spec
    assert (spec["image"].shape, spec["image"].dtype) == ((3, 2, 2, 3), np.float32)
    assert values([next(batches)]) == [[0, 1, 2]]


def test_a_function_of_a_batch():
    batches = loaders.batches(
        numbers(4, shuffle=False), plain, 2, batch_fn=lambda b: {"hot": tf.one_hot(b["number"], 3)}
    )
    assert next(batches)["hot"].tolist() == [[1, 0, 0], [0, 1, 0]]


def test_arrays_of_several_shapes():
    def row(number):
        return {"ones": np.ones(int(number) + 1)}

    with pytest.raises(ValueError, match=r"loaders.batches: 'ones' of a batch has the shapes"):
        next(loaders.batches(numbers(2, shuffle=False), row, 2))
    padded = next(loaders.batches(numbers(2, shuffle=False), row, 2, dynamic_pad=True))
    assert padded["ones"].tolist() == [[1, 0], [1, 1]]


def test_items_of_a_provider_of_images():
    dataset = slim.data.get_dataset("digits", "test")
    provider = slim.dataset_data_provider.DatasetDataProvider(dataset, shuffle=False, num_epochs=1)
    assert provider.list_items() == ["image", "label", "record_key"]
    assert provider.num_samples() == provider.count == 360
    records = loaders.items(provider, ["label", "image"])
    batches = loaders.batches(records, lambda label, image: {"y": label, "x": image}, 180)
    found = list(batches)
    assert len(found) == 2
    np.testing.assert_array_equal(np.concatenate([b["y"] for b in found]), dataset.labels)
    np.testing.assert_array_equal(np.concatenate([b["x"] for b in found]), dataset.images)
    image, label = provider.get(["image", "label"])
    np.testing.assert_array_equal(image, dataset.images[0])
    assert label == dataset.labels[0]
    with pytest.raises(ValueError, match=r"there is no name 'lable'.*did you mean 'label'"):
        loaders.items(provider, ["lable"])


def test_items_of_a_provider_of_records(tmp_path):
    (tmp_path / "labels.txt").write_text("0:a\n1:b\n")
    with slim.data.TFRecordWriter(str(tmp_path / "mine_train.tfrecord")) as writer:
        for label in (1, 0):
            pixels = np.full([2, 2, 3], label * 100, np.uint8)
            writer.write(slim.data.tf_example.make_example({
                "image/encoded": png_of(pixels), "image/format": b"png", "image/class/label": label,
            }))  # fmt: skip
    dataset = slim.data.get_dataset("tfrecord", "train", str(tmp_path))
    provider = slim.dataset_data_provider.DatasetDataProvider(dataset, shuffle=False)
    assert set(provider.list_items()) >= {"image", "label", "record_key"}
    records = loaders.items(provider, ["image", "label"])
    batch = next(loaders.batches(records, lambda x, y: {"x": x, "y": y}, 2))
    assert batch["y"].tolist() == [1, 0]
    assert batch["x"][:, 0, 0, 0].tolist() == [100, 0]


def png_of(pixels):
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_whole_files_and_paths(tmp_path):
    paths = []
    for number in range(3):
        path = tmp_path / f"{number}.png"
        path.write_bytes(png_of(np.full([2, 3, 3], number, np.uint8)))
        paths.append(str(path))

    def from_file(key, content):
        assert key in paths
        return {"x": tf.image.decode_png(content, channels=1)}

    def from_path(path, label):
        return {"x": tf.image.decode_image(tf.read_file(path), channels=1), "y": label}

    files = loaders.files(paths, shuffle=False)
    slices = loaders.slices([np.array(paths), [5, 6, 7]], shuffle=False)
    first = next(loaders.batches(files, from_file, 3, num_threads=2))
    second = next(loaders.batches(slices, from_path, 3))
    np.testing.assert_array_equal(first["x"], second["x"])
    assert first["x"].shape == (3, 2, 3, 1)
    assert first["x"][:, 0, 0, 0].tolist() == [0, 1, 2]
    assert second["y"].tolist() == [5, 6, 7]


def test_refusals():
    with pytest.raises(ValueError, match=r"all arrays must have one length, got \[2, 3\]"):
        loaders.slices([[1, 2], [1, 2, 3]])
    with pytest.raises(DataError, match="there is no record; give at least one"):
        loaders.slices([[]])
    with pytest.raises(ValueError, match="num_epochs must be at least 1"):
        loaders.slices([[1]], num_epochs=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        loaders.batches(numbers(2), plain, 0)

    def load(number):
        return [number]

    batches = loaders.batches(numbers(2), load, 2)
    with pytest.raises(TypeError, match=r"load must return a dict of arrays, .* got list"):
        next(batches)
    with pytest.raises(ValueError, match=r"decode_image: dtype must be tf.uint8, got uint16; cast"):
        tf.image.decode_png(png_of(np.zeros([2, 2, 3], np.uint8)), dtype=tf.uint16)
    with pytest.raises(ValueError, match="decode_jpeg: ratio must be 1"):
        tf.image.decode_jpeg(b"", ratio=2)
    with pytest.raises(slim.ScopeError, match="must be the bytes of an example"):
        tf.image.decode_jpeg(np.zeros(3))


def test_preprocessing_draws_from_what_is_around():
    from jslim.preprocessing.images import drawing_from

    image = np.arange(300 * 300 * 3, dtype=np.uint8).reshape(300, 300, 3)
    for module in (cifarnet_preprocessing, inception_preprocessing, vgg_preprocessing):
        with drawing_from(np.random.default_rng(1)):
            around = module.preprocess_image(image, 32, 32, True)
            threading.Thread(target=lambda: None).start()
        given = module.preprocess_image(image, 32, 32, True, rng=np.random.default_rng(1))
        np.testing.assert_array_equal(around, given)
        with pytest.raises(ValueError, match="draws random numbers; pass rng"):
            module.preprocess_image(image, 32, 32, True)
