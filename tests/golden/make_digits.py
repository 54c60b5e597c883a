"""Makes `jslim/data/digits.npz`, the data set `digits`, from scikit-learn's `load_digits`.

    python tests/golden/make_digits.py

The split is the one that scikit-learn's `train_test_split` makes with `random_state=0`, so that
results can be set beside other people's; it is stored, not computed, so that it never changes.
"""

import pathlib

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main():
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int32)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
    )
    path = pathlib.Path(__file__).parents[2] / "jslim" / "data" / "digits.npz"
    np.savez_compressed(
        path,
        train_images=images[train],
        train_labels=labels[train],
        test_images=images[test],
        test_labels=labels[test],
    )
    print(f"{path}: {len(train)} train, {len(test)} test")


if __name__ == "__main__":
    main()
