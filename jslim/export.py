"""Export: a checkpoint as one file that predicts wherever JAX runs, without jslim.

    slim.export.export_inference_graph('train_dir', 'lenet.zip')

and in a process that has JAX alone (and flatbuffers, which `jax.export` reads with):

    with zipfile.ZipFile('lenet.zip') as file:
        exported = jax.export.deserialize(bytearray(file.read('model.jaxexport')))
        class_names = json.loads(file.read('contract.json'))['class_names']
    logits = exported.call(images)          # uint8 [batch, height, width, channels]
"""

import functools
import importlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jslim import checkpoints, prediction, tf_checkpoint
from jslim.checkpoints import contract as _contract
from jslim.core import tf_slim_names as _tf_slim_names
from jslim.core.errors import RestoreError, did_you_mean
from jslim.core.selection import get_variables
from jslim.core.text import printable
from jslim.data.given_images import Image
from jslim.data.orientation import UnappliedOrientations
from jslim.host import display
from jslim.host.files import ZIP_ERRORS, UnfinishedFile, open_regular, read_member
from jslim.host.limits import TEXT_BYTES
from jslim.host.paths import format_of, path_string
from jslim.host.paths import output_file as output_path
from jslim.host.schema import Invalid, parse_json

if TYPE_CHECKING:
    from jax.export import Exported

# What an inference graph can run on.
PLATFORMS = ("cpu", "cuda", "tpu")
# What is written, by the end of the name of its file.
GRAPH = {".zip": "an inference graph"}
VARIABLES = {
    ".safetensors": "the variables",
    ".ckpt": "the variables as a checkpoint of TensorFlow, as does .ckpt-1000",
}
_MODEL_FILE, _CONTRACT_FILE = "model.jaxexport", "contract.json"
# Operations that XLA writes as calls, and its marks of shapes and shards.
_IS_IN_XLA = re.compile(r"(stablehlo|mhlo|chlo)\..*|shape_assertion|Sharding").fullmatch


def inference_fn(classifier: prediction.Classifier) -> Callable[[jax.Array], jax.Array]:
    """The exported function: logits of uint8 images of the network's size, with weights inside."""
    return functools.partial(classifier.logits, classifier.variables)


def export_inference_graph(
    checkpoint: str | os.PathLike[str] | prediction.Classifier,
    output_file: str | os.PathLike[str],
    *,
    platforms: Sequence[str] = PLATFORMS,
    batch_size: int | None = None,
    use_moving_averages: bool | None = None,
    **contract: Any,
) -> str:
    """Writes network and weights of a checkpoint as one file for inference.

    Differs from TF-Slim: the file has the weights, the class names and the rest of the contract.
    The program takes uint8 images of the network's size and preprocesses their values.

    Args:
      checkpoint: A checkpoint as for `slim.load`, or a classifier from it.
      output_file: The file to write, NAME.zip: an archive of `model.jaxexport` and
        `contract.json`.
      platforms: The platforms on which it runs: 'cpu', 'cuda' and 'tpu'. Each computes convolutions
        in its own way.
      batch_size: The only batch size it takes; None for any.
      use_moving_averages: Whether to take the moving averages of the variables; by default as
        for `slim.load`.
      **contract: Keys that the checkpoint lacks, as for `slim.load`.

    Returns:
      The path of the file.

    Raises:
      ValueError: A platform is unknown; the file cannot be written; the network computes with its
        batch size, and `batch_size` is None.
      RestoreError, ValueError: What `slim.load` raises.
      ImportError: The package flatbuffers is not installed.
    """
    output_file = output_path(output_file, "export: output_file", GRAPH)
    platforms = list(platforms)
    for platform in platforms:
        if platform not in PLATFORMS:
            raise ValueError(
                f"export: platforms must be of {', '.join(PLATFORMS)}, got {platform!r}"
                f"{did_you_mean(str(platform), PLATFORMS)}"
            )
    if not platforms:
        raise ValueError(f"export: platforms must name at least one of {', '.join(PLATFORMS)}")
    jax_export = _jax_export()
    classifier = _classifier(checkpoint, use_moving_averages, contract)
    size, channels = (classifier.contract[key] for key in ("image_size", "num_channels"))
    (batch,) = jax_export.symbolic_shape("batch") if batch_size is None else (batch_size,)
    images = jax.ShapeDtypeStruct((batch, size, size, channels), jnp.uint8)
    with display.status(f"lowering the network for {', '.join(platforms)}"):
        try:
            exported = jax_export.export(jax.jit(inference_fn(classifier)), platforms=platforms)(
                images
            )
        except jax.errors.InconclusiveDimensionOperation as error:
            raise ValueError(
                "export: the network computes with its batch size, and so can be exported for one "
                "size alone: give batch_size=N (jslim export: --batch_size=N)"
            ) from error
    described = {
        **classifier.contract,
        "step": classifier.step,
        "use_moving_averages": classifier.are_averages,
        "batch_size": batch_size,
        "platforms": platforms,
        "inputs": f"uint8 [batch, {size}, {size}, {channels}], values 0 to 255",
        "outputs": f"float32 [batch, {classifier.contract['num_classes']}], logits",
        "jax_version": jax.__version__,
    }
    serialized = bytes(exported.serialize())
    with UnfinishedFile(output_file) as file, zipfile.ZipFile(file.path, "w") as archive:
        archive.writestr(_CONTRACT_FILE, json.dumps(described, indent=1))
        archive.writestr(_MODEL_FILE, serialized)
    return output_file


def export_variables(
    checkpoint: str | os.PathLike[str] | prediction.Classifier,
    output_file: str | os.PathLike[str],
    *,
    use_moving_averages: bool | None = None,
    **contract: Any,
) -> str:
    """Writes the variables of a model for other programs, under TF-Slim's names.

    Args:
      checkpoint: A checkpoint as for `slim.load`, or a classifier from it.
      output_file: A file that ends in `.safetensors`, with the contract as metadata; or the prefix
        of a TensorFlow checkpoint for TF-Slim, `model.ckpt` or `model.ckpt-1000`, with
        `global_step`.
      use_moving_averages: Whether to take the moving averages of the variables, under the names
        of the variables; by default as for `slim.load`.
      **contract: As for `slim.load`.

    Returns:
      The path.

    Raises:
      RestoreError, ValueError: What `slim.load` raises.
      ImportError: The package safetensors is not installed.
    """
    output_file = output_path(output_file, "export: output_file", VARIABLES)
    classifier = _classifier(checkpoint, use_moving_averages, contract)
    arrays = {name: np.asarray(v) for name, v in get_variables(classifier.variables).items()}
    if format_of(output_file, "export: output_file", VARIABLES) == ".safetensors":
        metadata = {"contract": json.dumps(classifier.contract)}
        return checkpoints.save_safetensors(output_file, arrays, metadata)
    if classifier.step is not None:
        arrays["global_step"] = np.asarray(classifier.step, np.int64)
    return tf_checkpoint.save_checkpoint(output_file, arrays)


def _classifier(
    checkpoint: str | os.PathLike[str] | prediction.Classifier,
    use_moving_averages: bool | None,
    contract: _contract.Values,
) -> prediction.Classifier:
    if isinstance(checkpoint, prediction.Classifier):
        return checkpoint
    return prediction.load(checkpoint, use_moving_averages=use_moving_averages, **contract)


def _jax_export() -> Any:
    """JAX's module, which imports flatbuffers; `import jslim` does without it."""
    try:
        importlib.import_module("flatbuffers")
        return importlib.import_module("jax.export")
    except ImportError as error:
        raise ImportError(
            "jax.export stores programs by the package flatbuffers, which is not installed; run: "
            "pip install 'jslim[cli]'"
        ) from error


class ExportedClassifier:
    """An exported model, from `load_inference_graph`.

    Attributes:
      contract: The content of its `contract.json`.
      class_names: The names of its classes.
      logits: The exported function, `logits(uint8 images)`.
    """

    def __init__(self, exported: "Exported", contract: _contract.Values, path: str) -> None:
        self._path = path
        self.contract = contract
        self.class_names: list[str] = contract["class_names"]
        self.logits: Callable[[np.ndarray], jax.Array] = exported.call

    def __repr__(self) -> str:
        about = prediction.described(self.contract)
        return f"<ExportedClassifier {about}, from {printable(self._path)!r}>"

    def preprocess(self, image: Image, unapplied: list[str] | None = None) -> np.ndarray:
        """One image in the network's size, of the kinds that `slim.load(...)` takes, as uint8.

        Args:
          image: The image.
          unapplied: A list that gets the name of an image whose EXIF orientation is not applied.

        Raises:
          DataError, ValueError: As `Classifier.preprocess`.
          RestoreError: The contract does not say which preprocessing the network has.
        """
        _contract.require(self.contract, ("preprocessing_name",), self._path)
        pixels = prediction.network_image(image, self.contract, unapplied)
        return np.rint(pixels).clip(0, 255).astype(np.uint8)

    def predict(self, images: np.ndarray | bytes | Sequence[bytes]) -> prediction.Predictions:
        """Names and probabilities for some images.

        Args:
          images: uint8 `[batch, height, width, channels]` in the network's size; or the contents of
            one or several image files, for `preprocess`.

        Raises:
          ValueError: They are something else.
          DataError: A file cannot be decoded.
        """
        encoded = [images] if isinstance(images, bytes) else images
        if not isinstance(encoded, np.ndarray) and all(isinstance(one, bytes) for one in encoded):
            unapplied: list[str] = []
            images = np.stack([self.preprocess(one, unapplied) for one in encoded])
            UnappliedOrientations("predict").note(unapplied, len(images))
        size, channels = self.contract["image_size"], self.contract["num_channels"]
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.shape[1:] != (size, size, channels):
            raise ValueError(
                f"predict: images must be uint8 [batch, {size}, {size}, {channels}], got "
                f"{images.dtype} {images.shape}; resize them, as slim.load(...).predict does"
            )
        try:
            probabilities = np.asarray(jax.nn.softmax(self.logits(images), axis=-1))
        except Exception as error:  # with a damaged program JAX raises errors of any kind
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"predict: the program of {self._path} does not run on images {images.shape}: "
                f"{reason}; give as many as it takes, or export it again"
            ) from error
        return prediction.Predictions.of(probabilities, self.class_names)


def _read_archive(path: str | os.PathLike[str]) -> tuple[_contract.Values, bytes]:
    """The contract and the program in an exported file, up to their largest sizes."""
    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        found = []
        for name in (_CONTRACT_FILE, _MODEL_FILE):
            held = [member for member in archive.infolist() if member.filename == name]
            if len(held) != 1:
                raise Invalid(f"it must have one {name}, and has {len(held)}")
            if name == _CONTRACT_FILE and held[0].file_size > TEXT_BYTES():
                raise Invalid(TEXT_BYTES.exceeded(f"{name} has {held[0].file_size} bytes"))
            found.append(read_member(archive, held[0]))
    return _contract.checked(parse_json(found[0])), found[1]


# Runs in a process of its own, since some damaged programs make MLIR abort its process.
_LIST_CALLS = """
import json, sys
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo
calls = set()
def note(operation):
    if operation.name == "stablehlo.custom_call":
        calls.add(ir.StringAttr(operation.attributes["call_target_name"]).value)
    return ir.WalkResult.ADVANCE
with ir.Context() as context:
    stablehlo.register_dialect(context)
    program = sys.stdin.buffer.read()
    stablehlo.deserialize_portable_artifact(context, program).operation.walk(note)
print(json.dumps(sorted(calls)))
"""


def _check_program(exported: "Exported", contract: _contract.Values) -> None:
    """Refuses a program that calls code outside it, or does not fit its contract.

    Raises:
      Invalid: It does either.
    """
    size, channels = contract["image_size"], contract["num_channels"]
    shapes = [aval.shape[1:] for aval in (*exported.in_avals, *exported.out_avals)]
    if shapes != [(size, size, channels), (len(contract["class_names"]),)]:
        raise Invalid(f"its program is not of {size}x{size}x{channels} images and class_names")
    command = [sys.executable, "-P", "-c", _LIST_CALLS]
    done = subprocess.run(
        command, input=bytes(exported.mlir_module_serialized), capture_output=True, check=False
    )
    if done.returncode < 0:
        raise Invalid("its program is damaged")
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace"))
    if foreign := [call for call in json.loads(done.stdout) if not _IS_IN_XLA(call)]:
        raise Invalid(
            f"its program calls {', '.join(map(repr, foreign))}, which is code outside it"
        )


def load_inference_graph(path: str | os.PathLike[str]) -> ExportedClassifier:
    """Loads a file of `export_inference_graph`.

    Raises:
      RestoreError: It is no such file, or is damaged; a newer JAX wrote it.
      ImportError: The package flatbuffers is not installed.
    """
    path = path_string(path, "load_inference_graph: path")
    jax_export = _jax_export()
    try:
        contract, stored = _read_archive(path)
    except (OSError, *ZIP_ERRORS, Invalid) as error:
        raise RestoreError(
            f"{os.fspath(path)} is no exported model, or is damaged: {error}; export it again"
        ) from error
    try:
        exported = jax_export.deserialize(bytearray(stored))
        _contract.require(contract, ("class_names", "image_size", "num_channels"), path)
        _check_program(exported, contract)
    except RestoreError:
        raise
    except Invalid as error:
        raise RestoreError(f"{os.fspath(path)} cannot be used: {error}; export it again") from error
    except Exception as error:  # of several kinds, if another version wrote it
        raise RestoreError(
            f"{os.fspath(path)} was exported by jax {contract.get('jax_version')}, and jax "
            f"{jax.__version__} cannot read it; install that version or a newer one"
        ) from error
    return ExportedClassifier(exported, contract, os.fspath(path))


_tf_slim_names.answer_in(__name__)
