import concurrent.futures
import itertools
import sys

import numpy as np
import pytest

from jslim.preprocessing import _compiled, images, resizing


@pytest.mark.parametrize("size", [(10, 16), (3, 4), (5, 8), (7, 3), (1, 1), (13, 29)])
def test_resize_bilinear_equals_tensorflow(golden, size):
    stored = golden("preprocessing.npz")
    resized = resizing.resize_bilinear(stored["small"], *size)
    assert resized.dtype == np.float32
    np.testing.assert_allclose(resized, stored[f"resize/{size[0]}x{size[1]}"], rtol=1e-6)


def test_resize_bilinear_is_anchored_at_the_corner():
    image = np.array([[0, 1, 2, 3], [8, 9, 10, 11]], np.float32)[..., None]
    np.testing.assert_array_equal(resizing.resize_bilinear(image, 1, 2)[..., 0], [[0, 2]])
    doubled = resizing.resize_bilinear(image, 2, 8)[..., 0]
    np.testing.assert_array_equal(doubled[0], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3])


@pytest.mark.parametrize("size", [(20, 31), (8, 31), (9, 12)])
def test_resize_bilinear_window_equals_slice_of_the_whole(size):
    image = np.random.default_rng(0).integers(0, 256, (13, 17, 3)).astype(np.uint8)
    whole = resizing.resize_bilinear(image, *size)
    rows, columns = slice(3, size[0] - 1), slice(4, size[1])
    window = resizing.resize_bilinear(image, *size, rows=rows, columns=columns)
    np.testing.assert_array_equal(window, whole[rows, columns])


@pytest.mark.parametrize(
    ("shape", "size"),
    [((20, 6, 3), (7, 5)), ((9, 30, 3), (4, 3)), ((9, 8, 3), (9, 9)), ((40, 12, 1), (5, 30))],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_resize_bilinear_blends_four_pixels_by_their_distances(shape, size, dtype):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(dtype)
    given = image.copy()
    found = resizing.resize_bilinear(image, *size)
    np.testing.assert_array_equal(image, given)
    # TensorFlow rounds the places to float32.
    y, x = (
        np.arange(out, dtype=np.float32) * np.float32(full / out)
        for out, full in zip(size, shape[:2], strict=True)
    )
    rows = np.minimum(np.floor(y).astype(int) + np.arange(2)[:, None], shape[0] - 1)
    columns = np.minimum(np.floor(x).astype(int) + np.arange(2)[:, None], shape[1] - 1)
    y, x = (y % 1)[:, None, None], (x % 1)[:, None]
    above, below = (
        image[row][:, columns[0]] * (1 - x) + image[row][:, columns[1]] * x for row in rows
    )
    np.testing.assert_allclose(found, above * (1 - y) + below * y, rtol=1e-6, atol=3e-5)


@pytest.fixture
def not_compiled(monkeypatch):
    """As in a new process, in which compiling is worth its time from the third image on."""
    monkeypatch.setattr(_compiled, "_made", [])
    monkeypatch.setattr(_compiled, "_asked", itertools.count())
    monkeypatch.setattr(_compiled, "IMAGES_BEFORE", 2)


def test_numba_compiles_from_some_image_on_and_changes_no_pixel(not_compiled):
    pytest.importorskip("numba")
    image = np.random.default_rng(0).integers(0, 256, (24, 30, 4)).astype(np.uint8)
    fixed = image[2:20, 3:21]
    fixed.setflags(write=False)
    views = (image, image[:, ::-1], image[::-2, 4:9], image[..., :3], image[..., ::2], fixed)
    sizes = [(7, 5), (31, 40), (1, 1)]
    wanted = [
        resizing.resize_bilinear(view.astype(np.float32), *n) for view in views for n in sizes
    ]
    assert resizing.resize_bilinear(image, 1, 1).shape == (1, 1, 4)
    assert _compiled.compiled_blend() is None
    assert callable(_compiled.compiled_blend())
    found = [resizing.resize_bilinear(view, *n) for view in views for n in sizes]
    for one, expected in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, expected)


def test_no_thread_waits_for_another_one_that_compiles(not_compiled, monkeypatch):
    def compile_while_others_ask():
        with concurrent.futures.ThreadPoolExecutor(1) as other:
            asked.append(other.submit(_compiled.compiled_blend).result())
        return abs

    asked = []
    monkeypatch.setattr(_compiled, "IMAGES_BEFORE", 0)
    monkeypatch.setattr(_compiled, "_compile", compile_while_others_ask)
    assert [_compiled.compiled_blend() for _ in range(2)] == [abs, abs]
    assert asked == [None]


def test_numba_that_cannot_be_imported_is_done_without(not_compiled, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    image = np.array([[[0], [2]]], np.uint8)
    for _ in range(4):
        assert resizing.resize_bilinear(image, 1, 4).ravel().tolist() == [0, 1, 2, 2]
    assert _compiled._made == [None]


def test_colours_of_an_image_by_planes_are_those_of_one_by_pixels():
    image = np.random.default_rng(0).uniform(-0.1, 1.1, (5, 6, 3)).astype(np.float32)
    planes = images.by_planes(image)
    assert planes[..., 0].flags.c_contiguous
    for change in (images.adjust_saturation, images.adjust_hue, images.adjust_contrast):
        found = change(planes, 0.7)
        assert found[..., 0].flags.c_contiguous
        np.testing.assert_allclose(images.by_pixels(found), change(image, 0.7), rtol=1e-6)
        assert images.by_pixels(found).flags.c_contiguous
    np.testing.assert_array_equal(planes, image)


@pytest.mark.parametrize("size", [(5, 7), (16, 11), (40, 33)])
@pytest.mark.parametrize("method", ["nearest", "bicubic", "area"])
def test_resize_equals_tensorflow(golden, method, size):
    stored = golden("preprocessing.npz")
    resized = resizing.resize(stored["small"], *size, method)
    assert resized.dtype == np.float32
    wanted = stored[f"resize_{method}/{size[0]}x{size[1]}"]
    np.testing.assert_allclose(resized, wanted, rtol=1e-5, atol=1e-4)
    small = stored["small"].astype(np.float32) * np.float32(1 / 255)
    scaled = resizing.resize(small, *size, method)
    np.testing.assert_allclose(scaled, wanted / 255, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", resizing.METHODS)
def test_resize_scales_the_pixels(golden, method):
    image = golden("preprocessing.npz")["small"]
    found = resizing.resize(image, 5, 7, method, scale=1 / 255)
    assert found.dtype == np.float32
    wanted = resizing.resize(image, 5, 7, method) / 255
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_resize_by_an_unknown_method_is_an_error():
    with pytest.raises(
        ValueError, match=r"method must be 'bilinear', 'nearest', 'bicubic' or 'area'"
    ):
        resizing.resize(np.zeros((2, 2, 1), np.uint8), 4, 4, "lanczos")


@pytest.mark.parametrize("delta", [-0.2, -0.05, 0.0, 0.1, 0.2, 0.9])
def test_hue_equals_tensorflow_also_outside_of_0_and_1(golden, delta):
    stored = golden("preprocessing.npz")
    found = images.adjust_hue(stored["saturation/image"], delta)
    np.testing.assert_allclose(found, stored[f"hue/{delta}"], rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("size", [(9, 12), (2, 3), (8, 5), (4, 11), (5, 8)])
def test_crop_or_pad_equals_tensorflow(golden, size):
    stored = golden("preprocessing.npz")
    result = images.crop_or_pad(stored["small"], *size)
    np.testing.assert_array_equal(result, stored[f"crop_or_pad/{size[0]}x{size[1]}"])


def test_per_image_standardization_equals_tensorflow(golden):
    stored = golden("preprocessing.npz")
    constant = np.full((4, 4, 3), 7, np.float32)
    np.testing.assert_array_equal(
        images.per_image_standardization(constant), stored["standardization/constant"]
    )
    # So little contrast that the lower limit of the deviation counts.
    dim = stored["small"].astype(np.float32) * np.float32(1e-4)
    np.testing.assert_allclose(
        images.per_image_standardization(dim), stored["standardization/dim"], rtol=1e-5, atol=1e-7
    )


def test_per_image_standardization_is_float32_and_each_image_by_itself():
    batch = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    found = images.per_image_standardization(image=batch)
    assert found.dtype == np.float32
    for image, one in zip(batch, found, strict=True):
        floating = image.astype(np.float32)
        wanted = (floating - floating.mean()) / floating.std()
        np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("factor", [0.2, 1.0, 1.8])
def test_adjust_contrast_equals_tensorflow(golden, factor):
    stored = golden("preprocessing.npz")
    adjusted = images.adjust_contrast(stored["small"].astype(np.float32), factor)
    np.testing.assert_allclose(adjusted, stored[f"contrast/{factor}"], rtol=1e-5, atol=1e-4)


def test_random_window_reaches_every_place_equally_often():
    rng = np.random.default_rng(0)
    counts = np.zeros((3, 4))
    for _ in range(2400):
        rows, columns = images.random_window(rng, 7, 9, 5, 6)
        assert (rows.stop - rows.start, columns.stop - columns.start) == (5, 6)
        counts[rows.start, columns.start] += 1
    # 200 each are expected, with a standard deviation of 13.5.
    assert counts.min() > 200 - 5 * 13.5
    assert counts.max() < 200 + 5 * 13.5


@pytest.mark.parametrize("window", [images.central_window, None])
def test_window_larger_than_the_image_is_an_error(window):
    window = window or (lambda *sizes: images.random_window(np.random.default_rng(0), *sizes))
    with pytest.raises(ValueError, match="a crop of 8x4 does not fit into an image that is 7x9"):
        window(7, 9, 8, 4)


def test_random_flip_mirrors_half_of_the_images():
    rng = np.random.default_rng(0)
    image = np.arange(6).reshape(2, 3, 1)
    num_mirrored = 0
    for _ in range(1000):
        flipped = images.random_flip_left_right(rng, image)
        is_mirrored = bool((flipped == image[:, [2, 1, 0]]).all())
        assert is_mirrored or (flipped == image).all()
        num_mirrored += is_mirrored
    assert abs(num_mirrored - 500) < 5 * 15.8


def test_check_image_names_the_shape():
    with pytest.raises(ValueError, match=r"must be \[height, .*got shape \(8, 8\)"):
        images.check_image(np.zeros((8, 8)))


def test_a_window_of_a_long_and_narrow_image_takes_no_more_than_the_window():
    image = np.zeros((1, 40_000_000, 1), np.uint8)
    window = (slice(16, 240), slice(5_119_999_900, 5_120_000_124))
    assert resizing.resize_bilinear(image, 256, 256 * 40_000_000, rows=window[0],
                                    columns=window[1]).shape == (224, 224, 1)  # fmt: skip
