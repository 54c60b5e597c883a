"""`load`: a checkpoint with all that is needed to predict by it.

    classifier = slim.load('train_dir')
    predictions = classifier.predict(['cat.jpg', 'dog.png'])
    predictions.class_names, predictions.probabilities

A checkpoint of `train.py` has a contract: network, image size, preprocessing and class names. It is
applied here, so that nothing of it has to be known or repeated.
"""

import concurrent.futures
import functools
import itertools
import logging
import operator
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jslim import checkpoints, weights
from jslim.checkpoints import contract as _contract
from jslim.core import checks, reprs
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.errors import RestoreError
from jslim.core.model import Model
from jslim.core.selection import get_variables, get_variables_to_restore
from jslim.core.text import printable, some_of
from jslim.core.trees import Variables
from jslim.data.given_images import Image, pixels_of_image, several_images
from jslim.data.given_images import list_images as list_images
from jslim.data.orientation import UnappliedOrientations
from jslim.host import display
from jslim.learning.compiling import Compilations
from jslim.nets import nets_factory
from jslim.prediction._contracts import check_names, completed_contract
from jslim.preprocessing import preprocessing_factory
from jslim.preprocessing.on_device import get_device_preprocessing

logger = logging.getLogger("jslim")


class Predictions(NamedTuple):
    """The predictions of a classifier for some images.

    Attributes:
        class_names: The most probable class of each image; `''` for an image that cannot be read.
        labels: The numbers of these classes, since several may have one name; -1 for such an image.
        probabilities: The probabilities of all classes, `[images, classes]` in float32. A row adds
            up to 1, or is NaN.
        all_class_names: The names of the columns.
    """

    class_names: list[str]
    labels: np.ndarray
    probabilities: np.ndarray
    all_class_names: list[str]

    def __repr__(self) -> str:
        best = [
            f"{name} {row[label]:.3f}" if label >= 0 else "unreadable"
            for name, label, row in zip(
                self.class_names, self.labels, self.probabilities, strict=True
            )
        ]
        return f"<Predictions of {reprs.counted(len(best), 'image')}: {some_of(best, 5)}>"

    def _repr_html_(self) -> str:
        rows = [
            [index, *(f"{name} {share:.3f}" if share == share else "" for name, share in top)]
            for index, top in enumerate(self.top(3)[:20])
        ]
        return reprs.html_table(["image", "best", "second", "third"], rows)

    @classmethod
    def of(cls, probabilities: np.ndarray, class_names: list[str]) -> "Predictions":
        """The predictions with these probabilities, `[images, classes]`."""
        labels = np.where(np.isnan(probabilities).any(axis=1), -1, probabilities.argmax(axis=1))
        names = [class_names[label] if label >= 0 else "" for label in labels]
        return cls(names, labels, probabilities, class_names)

    def top(self, k: int) -> list[list[tuple[str, float]]]:
        """The `k` most probable classes of each image with their probabilities, best first.

        >>> Predictions.of(np.array([[0.25, 0.75]]), ["cat", "dog"]).top(1)
        [[('dog', 0.75)]]
        """
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :k]
        return [
            [(self.all_class_names[label], float(row[label])) for label in best]
            for row, best in zip(self.probabilities, order, strict=True)
        ]


def network_image(
    image: Image, contract: _contract.Values, unapplied: list[str] | None = None
) -> np.ndarray:
    """One image in the size of a network, with values in `[0, 255]`, as in batches of a data set.

    The rest of the preprocessing, `on_device.get_device_preprocessing`, belongs to the network.

    Args:
        image: As for `Classifier.preprocess`.
        contract: Has `num_channels`, `image_size` and `preprocessing_name`, and may have
            `apply_exif_orientation`.
        unapplied: A list that gets the name of an image whose EXIF orientation is not applied.

    Raises:
        DataError, ValueError: As for `Classifier.preprocess`.
    """
    size = contract["image_size"]
    crop_and_resize = preprocessing_factory.get_host_preprocessing(contract["preprocessing_name"])
    pixels = pixels_of_image(
        image,
        contract["num_channels"],
        apply_exif_orientation=contract.get("apply_exif_orientation", False),
        unapplied=unapplied,
    )
    return crop_and_resize(pixels, size, size)


def described(contract: _contract.Values) -> str:
    """A network in a line: `lenet: 10 classes, images of 28x28x1`."""
    size, channels = contract["image_size"], contract["num_channels"]
    classes = reprs.counted(len(contract["class_names"]), "class", "classes")
    name = contract.get("model_name", "of an unknown network")
    return f"{name}: {classes}, images of {size}x{size}x{channels}"


class Classifier:
    """A network with its weights, from `load`.

    Attributes:
        contract: The checkpoint's description of itself, a dict.
        class_names: The names of its classes.
        variables: `{'params': ..., 'batch_stats': ...}`, for `Model.apply`.
        step: The training step; None if it is not known.
        path: The checkpoint.
        are_averages: Whether the variables are the moving averages of those that were trained.
    """

    def __init__(
        self,
        path: str,
        contract: _contract.Values,
        variables: Variables,
        step: int | None,
        *,
        are_averages: bool = False,
    ) -> None:
        self.path = path
        self.are_averages = are_averages
        self.contract = contract
        self.class_names = list(contract["class_names"])
        self.variables = jax.device_put(variables)
        self.step = step
        network_fn = nets_factory.get_network_fn(contract["model_name"], contract["num_classes"])
        self.model = Model(network_fn)
        self._normalize = get_device_preprocessing(contract["preprocessing_name"])
        self._jitted = jax.jit(self._probabilities)
        self._compilations = Compilations("the network")

    def __repr__(self) -> str:
        step = "" if self.step is None else f" at step {self.step}"
        return f"<Classifier {described(self.contract)}, from {printable(self.path)!r}{step}>"

    def logits(self, variables: Variables, images: jax.Array) -> jax.Array:
        """The logits `[images, classes]` of images from `network_image`."""
        logits, _ = self.model.apply(variables, self._normalize(images))
        return logits.astype(jnp.float32)

    def _probabilities(self, variables: Variables, images: jax.Array) -> jax.Array:
        return jax.nn.softmax(self.logits(variables, images), axis=-1)

    def preprocess(self, image: Image) -> np.ndarray:
        """One image as input of the network, `[image_size, image_size, channels]` in float32.

        Args:
            image: The path of an image file, its content, a Pillow image, or `[height, width,
                channels]` in `[0, 255]`.

        Raises:
            DataError: The file cannot be read.
            ValueError: The array is no such image, or has other channels.
        """
        cropped = network_image(image, self.contract)
        return np.asarray(self._normalize(jnp.asarray(cropped)[None])[0])

    def predict(self, images: Image | Iterable[Image], batch_size: int = 32) -> Predictions:
        """The class of each image, with the stored preprocessing.

        Args:
            images: Paths of image files, Pillow images, or arrays `[height, width, channels]` in
                `[0, 255]`, also of different sizes; or one of these, or one array of all, or a
                folder, for all images below it, sorted.
            batch_size: How many are computed at once; it changes only time and memory.

        Returns:
            Class names and probabilities, in the order of the images.

        Raises:
            DataError: A file cannot be read.
            ValueError: There are no images, or an array is no image.
        """
        images = several_images(images)
        parts = []
        with display.task("predicting", operator.length_hint(images) or None, "images") as task:
            for part in self.predict_batches(images, batch_size):
                parts.append(part)
                task.advance(len(part.labels))
        if not parts:
            raise ValueError("predict: there are no images")
        probabilities = np.concatenate([part.probabilities for part in parts])
        return Predictions.of(probabilities, self.class_names)

    def predict_batches(
        self,
        images: Image | Iterable[Image],
        batch_size: int = 32,
        *,
        errors: dict[int, str] | None = None,
    ) -> Iterator[Predictions]:
        """`predict` for more images than fit into memory: the predictions of a batch at a time.

        Args:
            images: As for `predict`.
            batch_size: As for `predict`.
            errors: A dict to which the errors of unreadable images are added, by their number,
                before their batch is given; their probabilities are NaN. With None they are raised.
        """
        batch_size = checks.count("predict", "batch_size", batch_size)
        size, start = self.contract["image_size"], 0
        shape = (size, size, self.contract["num_channels"])
        orientations = UnappliedOrientations("predict")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            for batch in _batched(several_images(images), batch_size):
                inputs = np.zeros((batch_size, *shape), np.float32)
                bad: list[int] = []
                unapplied: list[str] = []
                attempt = functools.partial(self._attempt, unapplied=unapplied)
                for place, row in enumerate(pool.map(attempt, batch)):
                    if isinstance(row, np.ndarray):
                        inputs[place] = row
                    elif errors is None:
                        raise row
                    else:
                        bad.append(place)
                        errors[start + place] = str(row)
                start += len(batch)
                orientations.note(sorted(unapplied), len(batch))
                with self._compilations.shown(inputs):
                    found = np.array(self._jitted(self.variables, inputs))[: len(batch)]
                found[bad] = np.nan
                yield Predictions.of(found, self.class_names)

    def _attempt(self, image: Image, unapplied: list[str]) -> np.ndarray | ValueError:
        """The image in the network's size, or the error in reading it."""
        try:
            return network_image(image, self.contract, unapplied)
        except ValueError as error:
            return error


def _batched(items: Iterable[Image], size: int) -> Iterator[list[Image]]:
    iterator = iter(items)
    return iter(lambda: list(itertools.islice(iterator, size)), [])


def load(
    checkpoint: str | os.PathLike[str],
    *,
    use_moving_averages: bool | None = None,
    **contract: Any,
) -> Classifier:
    """Loads a classifier from a checkpoint, or published weights by their name.

        classifier = slim.load('inception_v3')
        classifier = slim.load('timm/inception_v4.tf_in1k')

    Args:
        checkpoint: A name of `slim.weights.list_weights()` or of a network, which is downloaded
            once; or a file of timm, Keras or TF-Slim as for `slim.weights.resolve`. Or a checkpoint
            of `train.py`, or a directory, whose newest checkpoint is taken; or
            a safetensors file. Or a checkpoint of TensorFlow, as for
            `tf_checkpoint.load_checkpoint`, or of your own training: these need `model_name`, and
            the rest has the network's defaults in `nets_factory`.
        use_moving_averages: Whether to take the moving averages of the variables; None takes them
            if jslim kept them. If there is a choice, the log says which are taken.
        **contract: Keys that the checkpoint lacks: `model_name`, `class_names`, `image_size`,
            `preprocessing_name`, `num_channels`, `apply_exif_orientation`.

    Raises:
        RestoreError: There is no such checkpoint; it is broken; it lacks variables of the network,
            or moving averages.
        ValueError: An argument contradicts what the checkpoint says; there is no such network.
        TypeError: There is no such argument.
    """
    check_names(contract)
    reader = checkpoints.open_checkpoint(weights.resolve(checkpoint, contract.get("model_name")))
    whole, shapes = completed_contract(reader, contract)
    # All leaves are replaced, so they take no memory, whatever their sizes by the contract.
    start = jax.tree.map(lambda s: np.broadcast_to(np.zeros((), s.dtype), s.shape), shapes)
    averages = checkpoints.moving_averages(reader)
    are_averages = checkpoints.takes_averages(reader, use_moving_averages)
    if are_averages and not averages:
        raise RestoreError(
            f"checkpoint {reader.path} has no moving averages; it was trained without them: leave "
            "use_moving_averages out"
        )
    # A variable without an average is taken itself, as by TensorFlow's variables_to_restore.
    sources = averages if are_averages else {}
    # Predictions need no auxiliary heads.
    absent = nets_factory.get_network(whole["model_name"]).absent_heads(
        get_variables(start), reader.get_variable_to_shape_map()
    )
    wanted = get_variables_to_restore(start, exclude=absent or None)
    init_fn = checkpoints.assign_from_checkpoint_fn(
        reader.path, wanted, name_fn=lambda name: sources.get(name, name)
    )
    assert init_fn is not None
    with display.status("reading the checkpoint"):
        variables = init_fn(start)
    read = checkpoints.Weights(
        reader.path, reader.step, whole, variables, are_averages, bool(averages)
    )
    if which := checkpoints.describe(read):
        logger.info("%s", which)
    return Classifier(reader.path, whole, read.variables, reader.step, are_averages=are_averages)


_tf_slim_names.answer_in(__name__)
