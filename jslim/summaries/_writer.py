"""Writing TensorBoard's event files, with TensorBoard's own record writer and no TensorFlow."""

import io
import itertools
import os
import pathlib
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self, SupportsFloat, SupportsInt

import jax
import numpy as np
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.host.paths import output_directory
from jslim.summaries._recording import BUCKET_LIMITS, SUMMARIES, Histogram

_FLUSH_SECS = 10.0
_FILE_NUMBERS = itertools.count()


class NullWriter:
    """Has the methods of `SummaryWriter` and writes nothing.

    All processes of a distributed run but the first use it, so that their code has no branch.
    """

    def write(self, step: SupportsInt, summaries: Mapping[str, object]) -> None:
        """Does nothing."""

    def scalar(self, step: SupportsInt, tag: str, value: SupportsFloat) -> None:
        """Does nothing."""

    def flush(self) -> None:
        """Does nothing."""

    def close(self) -> None:
        """Does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class SummaryWriter(NullWriter):
    """Writes summaries into a new event file of a directory, for TensorBoard.

    A run that is resumed writes a second file beside the first; TensorBoard shows both as one.
    After a flush the records are whole on disk, whatever happens to the process.

    Args:
      logdir: The directory; it is made if it is not there.
      purge_step: For a run that is resumed from a checkpoint: TensorBoard forgets this step and
        later ones in earlier files, since they run again.

    Raises:
      ImportError: The package tensorboard is not installed.
    """

    def __init__(self, logdir: str | os.PathLike[str], purge_step: int | None = None):
        try:
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError as error:
            raise ImportError(_missing("SummaryWriter", "tensorboard")) from error
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        directory = pathlib.Path(output_directory(logdir, "SummaryWriter: logdir"))
        directory.mkdir(parents=True, exist_ok=True)
        # TensorBoard reads the files of a directory by name; the time orders them.
        name = (
            f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
            f".{next(_FILE_NUMBERS)}"
        )
        self.path = directory / name
        self._records = RecordWriter(open(self.path, "xb"))  # noqa: SIM115 (closed by close)
        self._flush_at = 0.0
        self._add(file_version="brain.Event:2")
        if purge_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._add(step=int(purge_step), session_log=start)
            self.flush()

    def write(self, step: SupportsInt, summaries: Mapping[str, object]) -> None:
        """Writes and flushes recorded summaries.

        Args:
          step: The global step of the summaries.
          summaries: The collections that `apply(..., mutable=['summaries'])` returned beside the
            output, their entry 'summaries', or dicts of `scalar_summary` and the like; they are
            fetched from the device here. Or `{tag: number}`, such as a train op's outputs: Python's
            numbers, and scalars of NumPy and JAX.

        Raises:
          TypeError: It is not a dict.
          ValueError: Something in it is not a summary.
          ImportError: There is an image, and Pillow is not installed.
        """
        accepted = "a dict such as {'loss': 0.5}"
        hint = "for one number call scalar(step, tag, value)"
        checks.instance("SummaryWriter.write", "summaries", summaries, Mapping, accepted, hint)
        nested = summaries.get(SUMMARIES, summaries)
        entries = list(_entries(nested if isinstance(nested, Mapping) else summaries))
        values = jax.device_get([value for _, _, value in entries])
        encoded = self._summary()
        for (kind, tag, _), value in zip(entries, values, strict=True):
            for summary_tag, fields in _ENCODERS[kind](tag, value):
                encoded.value.add(tag=summary_tag, **fields)
        if entries:
            self._add(step=int(step), summary=encoded)
            self.flush()

    def scalar(self, step: SupportsInt, tag: str, value: SupportsFloat) -> None:
        """Writes one number; it is on disk after `flush`, or after a write 10 s later.

        Args:
          step: The global step.
          tag: Its name in TensorBoard.
          value: A number, NaN and infinity included.
        """
        summary = self._summary()
        summary.value.add(tag=tag, simple_value=float(value))
        self._add(step=int(step), summary=summary)

    def flush(self) -> None:
        """Brings all written records to the disk."""
        self._records.flush()
        self._flush_at = time.monotonic() + _FLUSH_SECS

    def close(self) -> None:
        """Flushes and closes the file; a second call does nothing."""
        self._records.close()

    def _add(self, **fields: object) -> None:
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
        if time.monotonic() >= self._flush_at:
            self.flush()


def _missing(what: str, package: str) -> str:
    return f"{what} needs {package}, which is not installed; run pip install 'jslim[cli]'"


def _entries(tree: Mapping[str, object], path: str = "") -> Iterator[tuple[str, str, object]]:
    """`(kind, tag, value)` of each summary; a Model inside a Linen module nests its summaries."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _entries(value, f"{path}{key}/")
            continue
        kind, _, tag = key.partition("/")
        if kind in _ENCODERS and tag:
            yield kind, path + tag, value
        elif not path and key not in _ENCODERS and _is_number(value):
            yield "scalar", key, value
        else:
            raise ValueError(
                f"SummaryWriter.write: {path + key!r} is not a summary; give what "
                "apply(..., mutable=['summaries']) returned beside the output, or {tag: number}"
            )


def _is_number(value: object) -> bool:
    if isinstance(value, (np.generic, np.ndarray, jax.Array)):
        return value.ndim == 0 and value.dtype.kind in "biuf"
    return isinstance(value, (int, float))


Encoded = Iterator[tuple[str, dict[str, object]]]


def _check_not_stacked(tag: str, value: ArrayLike, ndim: int) -> None:
    if np.ndim(value) != ndim:
        raise ValueError(
            f"SummaryWriter.write: {tag!r} has been stacked to shape {np.shape(value)}, by a "
            "lifted scan or vmap; leave 'summaries' out of its variable_axes"
        )


def _encode_scalar(tag: str, value: np.ndarray) -> Encoded:
    _check_not_stacked(tag, value, 0)
    yield tag, {"simple_value": float(value)}


def _encode_histogram(tag: str, value: Histogram) -> Encoded:
    from tensorboard.compat.proto import histogram_pb2

    _check_not_stacked(tag, value.counts, 1)
    counts = np.asarray(value.counts)
    has_any = counts.any()
    # As in TF, only the last of neighbouring empty buckets is written.
    is_empty = counts == 0
    is_written = ~(is_empty & np.append(is_empty[1:], False))
    encoded = histogram_pb2.HistogramProto(
        min=float(value.minimum) if has_any else 0.0,
        max=float(value.maximum) if has_any else 0.0,
        num=float(counts.sum(dtype=np.int64)),
        sum=float(value.total),
        sum_squares=float(value.total_squares),
        bucket_limit=BUCKET_LIMITS[is_written],
        bucket=counts[is_written],
    )
    yield tag, {"histo": encoded}
    if value.num_non_finite:
        yield f"{tag}/non_finite", {"simple_value": float(value.num_non_finite)}


def _encode_image(tag: str, value: np.ndarray) -> Encoded:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(_missing(f"image summary {tag!r}", "pillow")) from error
    from tensorboard.compat.proto import summary_pb2

    _check_not_stacked(tag, value, 3)
    pixels = value if value.dtype == np.uint8 else _to_uint8(value)
    height, width, channels = pixels.shape
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(buffer, "PNG")
    encoded = summary_pb2.Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=buffer.getvalue()
    )
    yield tag, {"image": encoded}


def _to_uint8(image: np.ndarray) -> np.ndarray:
    """A floating image scaled as TF's image summary scales it."""
    is_finite = np.isfinite(image).all(axis=-1)
    finite = image[is_finite]
    largest = float(np.abs(finite).max(initial=0.0))
    has_negative = bool((finite < 0).any())
    scale = 0.0 if largest < 1e-6 else (127.0 if has_negative else 255.0) / largest
    pixels = np.empty(image.shape, np.uint8)
    pixels[is_finite] = (finite * np.float32(scale) + (128 if has_negative else 0)).astype(np.uint8)
    pixels[~is_finite] = np.array([255, 0, 0, 255], np.uint8)[: image.shape[-1]]
    return pixels


_ENCODERS: dict[str, Callable[[str, Any], Encoded]] = {
    "scalar": _encode_scalar,
    "histogram": _encode_histogram,
    "image": _encode_image,
}
