"""Makes `jslim/data/digits.npz`, the data set `digits`, from scikit-learn's `load_digits`.

    python tests/golden/make_digits.py

The split is stored, not computed, so that it can never change. Within each class the records are
put into a random order of their own (seed 0) and the first fifth, rounded, is the test split;
both splits keep the order in which scikit-learn has the records.
"""

import pathlib

import numpy as np
from sklearn.datasets import load_digits

_TEST_SHARE = 0.2


def main():
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int32)
    rng = np.random.default_rng(0)
    is_test = np.zeros(len(labels), bool)
    for label in range(10):
        members = rng.permutation(np.flatnonzero(labels == label))
        is_test[members[: round(_TEST_SHARE * len(members))]] = True
    path = pathlib.Path(__file__).parents[2] / "jslim" / "data" / "digits.npz"
    np.savez_compressed(
        path,
        train_images=images[~is_test],
        train_labels=labels[~is_test],
        test_images=images[is_test],
        test_labels=labels[is_test],
    )
    print(f"{path}: {np.sum(~is_test)} train, {np.sum(is_test)} test")


if __name__ == "__main__":
    main()
