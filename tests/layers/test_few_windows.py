"""Windows whose pixels are as many as those of the map, though they lie otherwise."""

import jax
import numpy as np

from jslim.compat import tf


def test_four_windows_of_three_in_six_pixels():
    rng = np.random.RandomState(0)
    images = rng.standard_normal((1, 6, 6, 512)).astype(np.float32)
    kernel = rng.standard_normal((3, 3, 512, 512)).astype(np.float32) / 70
    expected = np.empty((1, 2, 2, 512))
    for row in range(2):
        for column in range(2):
            window = images[0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
            expected[0, row, column] = np.tensordot(window, kernel, 3)
    convolve = jax.jit(lambda x, w: tf.nn.conv2d(x, w, [1, 2, 2, 1], "VALID"))
    np.testing.assert_allclose(convolve(images, kernel), expected, rtol=1e-4, atol=1e-4)
