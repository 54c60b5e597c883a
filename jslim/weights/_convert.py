"""From a name or a file of another framework to a checkpoint that says all about itself."""

import difflib
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jslim import checkpoints
from jslim.core.errors import RestoreError
from jslim.core.selection import get_variables
from jslim.data.imagenet import imagenet_class_names
from jslim.host import display
from jslim.host.files import exists, is_file, names_in, open_regular
from jslim.host.limits import check_unpacked, numbers_as_names
from jslim.host.paths import AnyPath, as_path, cache_directory, is_remote, path_string
from jslim.nets import nets_factory
from jslim.weights import _download, _table, _translation
from jslim.weights._hdf5 import KerasFile
from jslim.weights._translation import Foreign
from jslim.weights._translation import from_tf_slim as from_tf_slim

PRETRAINED = "pretrained"  # stands for the weights of the network that is given beside it
_FORMAT = 1  # of converted files: another number makes them anew
_KERAS, _PICKLES = (".h5", ".hdf5", ".keras"), (".bin", ".pkl", ".pickle", ".pt", ".pth")
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
# The files of a TensorFlow checkpoint in an archive: `NAME.ckpt`, or that with an end.
_OF_CHECKPOINT = re.compile(r"(.*\.ckpt(?:-\d+)?)(?:\.index|\.data-\d+-of-\d+)?")


class UnknownWeights(RestoreError):
    """There is neither such a path nor such a name."""


def resolve(checkpoint: str | os.PathLike[str], model_name: str | None = None) -> str:
    """The path of a checkpoint that jslim reads, for a path or for the name of published weights.

    A path that exists wins over a name. Weights are downloaded once. A file of timm
    (`.safetensors`) or Keras (`.h5`, `.keras`), and an archive as TF-Slim published them
    (`.tar.gz`), are written as a safetensors file under TF-Slim's names, once, in the cache.

    Args:
      checkpoint: A path; or a name of `list_weights()`, the name of a network, or `pretrained` for
        the network `model_name`.
      model_name: The network of `jslim.nets`, for a file that does not say it.

    Returns:
      The path of a checkpoint; what is one already is given back.

    Raises:
      UnknownWeights: There is neither such a path nor such a name. It is a RestoreError.
      RestoreError: The file is damaged, or of no network that jslim has, or is a pickle, which is
        code; it cannot be downloaded.
      ImportError: A package of the extra `[hub]` is missing.
      ValueError: The network is unknown.
    """
    path = path_string(checkpoint, "the path of a checkpoint")
    if is_file(path):
        return _of_file(as_path(path, "the path of a checkpoint"), model_name)
    if exists(path) or checkpoints.exists(path):
        return path
    name = os.fspath(checkpoint)
    if name == PRETRAINED:
        if model_name is None:
            raise RestoreError(
                "pretrained stands for the weights of a network: say which, by model_name"
            )
        nets_factory.get_network(model_name)
        name = model_name
    row = _table.find(name)
    if row is None:
        raise _neither(name, path)
    file = _download.fetch(row)
    return _converted(file, lambda: _variables_of(file, row.network, row), row.name)


def _neither(name: str, path: str) -> UnknownWeights:
    folder, last = os.path.split(path)
    try:
        near = difflib.get_close_matches(last, names_in(folder or "."), n=1)
    except OSError:
        near = []
    proposals = f"; did you mean the path {os.path.join(folder, near[0])!r}?" if near else ""
    if name in nets_factory.list_networks():
        proposals = f"; there are none of {name} that jslim knows"
    return UnknownWeights(
        f"there is no checkpoint at {path}, and no published weights have this name"
        f"{proposals or _table.nearest(name)}; see slim.weights.list_weights()"
    )


def _of_file(path: AnyPath, model_name: str | None) -> str:
    """The checkpoint of a file that may be another framework's."""
    low = path.name.lower()
    if low.endswith(_PICKLES):
        raise RestoreError(
            f"{path} holds pickled weights, which are code that runs when they are read; give "
            "the same weights as .safetensors"
        )
    is_foreign = low.endswith((*_KERAS, *_ARCHIVES))
    if low.endswith(".safetensors"):
        names = checkpoints.open_checkpoint(path).get_variable_to_shape_map()
        is_foreign = any(name.endswith(".running_mean") for name in names)
    if not is_foreign:
        return str(path)
    # The same file under the name that it was published with.
    row = next((row for row in _table.WEIGHTS if row.address.endswith(f"/{path.name}")), None)
    if path.name == "model.safetensors" or (row and model_name not in (None, row.network)):
        row = None
    return _converted(
        path, lambda: _variables_of(_at_hand(path), model_name, row), path.name, model_name
    )


def _at_hand(path: AnyPath) -> pathlib.Path:
    """The file, or a copy of it on this machine: it is read here and there."""
    if not is_remote(path):
        return path
    from jslim.host.stores import local_copy

    return local_copy(os.fspath(path))


def _converted(
    path: AnyPath,
    read: Callable[[], tuple[dict[str, np.ndarray], dict[str, Any]]],
    name: str,
    model_name: str | None = None,
) -> str:
    """The safetensors file in the cache with the variables of a file."""
    if is_remote(path):
        from jslim.host.stores import information, version_of

        place = os.fspath(path)
        identity: tuple[object, ...] = (place, version_of(information(place)), model_name, _FORMAT)
    else:
        status = path.stat()
        identity = (os.path.realpath(path), status.st_size, status.st_mtime_ns, model_name, _FORMAT)
    mark = hashlib.blake2b(repr(identity).encode(), digest_size=6).hexdigest()
    file = cache_directory("weights", "converted") / f"{name}-{mark}.safetensors"
    if not file.exists():
        with display.status(f"converting {path.name}"):
            variables, contract = read()
        file.parent.mkdir(parents=True, exist_ok=True)
        checkpoints.save_safetensors(file, variables, {"contract": json.dumps(contract)})
    return str(file)


def _variables_of(
    path: pathlib.Path, network: str | None, row: _table.Published | None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The variables in a file by TF-Slim's names, and their contract."""
    low = path.name.lower()
    if low.endswith(_ARCHIVES):
        network = network or (row and row.network)
        if network is None:
            raise RestoreError(
                f"{path} does not say which network it is of; give model_name, one of "
                "slim.nets.list_networks()"
            )
        nets_factory.get_network(network)
        variables = _of_archive(path)
    else:
        foreign, variables = _of_framework(path, network, row)
        network = foreign.network
    return variables, _contract(network, _num_classes(network, variables, path), row)


def _of_framework(
    path: pathlib.Path, network: str | None, row: _table.Published | None
) -> tuple[Foreign, dict[str, np.ndarray]]:
    """The network whose names and shapes a file has, and its variables, which are read then."""
    read: Callable[[], Mapping[str, np.ndarray]]
    if path.name.lower().endswith(_KERAS):
        framework, keras = "keras", KerasFile(path)
        shapes, read = keras.shapes(), lambda: keras
    else:
        framework, reader = "timm", checkpoints.open_checkpoint(path)
        shapes = reader.get_variable_to_shape_map()
        read = functools.partial(reader.get_tensors, shapes)
    models = [
        foreign
        for foreign in _translation.foreign_networks()
        if foreign.framework == framework
        and network in (None, foreign.network)
        and (row is None or row.model == foreign.model)
    ]
    fitting = [foreign for foreign in models if _translation.fits(foreign, shapes)]
    # The only one that it can be of says what does not fit.
    if fitting or len(models) == 1:
        foreign = (fitting or models)[0]
        return foreign, _translation.to_tf_slim(foreign, read(), str(path))
    known = sorted({foreign.model for foreign in models})
    raise RestoreError(
        f"{path} is of no network of {framework} that jslim translates"
        f"{f' to {network}' if network else ''}: these are {', '.join(known) or 'none'}"
    )


def _of_archive(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The variables of the TensorFlow checkpoint in an archive; moving averages where it has some.

    The published accuracies are those of the averages.
    """
    with tempfile.TemporaryDirectory() as folder:
        prefixes = set()
        packed, unpacked = path.stat().st_size, 0
        try:
            with open_regular(path) as file, tarfile.open(fileobj=file) as archive:
                for member in archive:
                    match = _OF_CHECKPOINT.fullmatch(os.path.basename(member.name))
                    content = archive.extractfile(member) if match and member.isreg() else None
                    if match is None or content is None:
                        continue
                    unpacked += member.size
                    check_unpacked(unpacked, packed)
                    prefixes.add(match[1])
                    with open(os.path.join(folder, match[0]), "wb") as output:
                        shutil.copyfileobj(content, output)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise RestoreError(f"{path} cannot be unpacked: {error}; copy it again") from error
        if len(prefixes) != 1:
            found = ", ".join(sorted(prefixes)) or "none"
            raise RestoreError(
                f"{path} must hold one checkpoint NAME.ckpt, and holds {found}; unpack it, and "
                "give the prefix of a checkpoint"
            )
        prefix = os.path.join(folder, prefixes.pop())
        averages = checkpoints.moving_averages(checkpoints.open_checkpoint(prefix))
        weights = checkpoints.read_weights(prefix, bool(averages))
        return {name: np.asarray(v) for name, v in get_variables(weights.variables).items()}


def _num_classes(network: str, variables: Mapping[str, np.ndarray], path: pathlib.Path) -> int:
    heads = nets_factory.get_network(network).main_heads
    lengths = {
        len(array)
        for name, array in variables.items()
        if name.startswith(heads) and name.endswith("/biases")
    }
    if len(lengths) != 1:
        raise RestoreError(f"{path} has no head {' or '.join(heads)}; is it of {network}?")
    return lengths.pop()


def _contract(network: str, num_classes: int, row: _table.Published | None) -> dict[str, Any]:
    """What a checkpoint says of itself."""
    known = nets_factory.get_network(network)
    is_imagenet = num_classes in (1000, 1001)
    contract = {
        "model_name": network,
        "num_classes": num_classes,
        "class_names": imagenet_class_names(num_classes)
        if is_imagenet
        else numbers_as_names(num_classes, network),
        "labels_offset": 1001 - num_classes if is_imagenet else 0,
        "image_size": row.image_size if row else known.image_size,
        "preprocessing_name": row.preprocessing if row else known.preprocessing,
        "num_channels": 3,
    }
    if row is not None:
        contract |= {"weights": row.name, "licence": row.licence, "published_top_1": row.top_1}
    return contract
