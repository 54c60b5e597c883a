"""Writing TensorBoard's event files, with TensorBoard's own record writer and no TensorFlow."""

import io
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, SupportsFloat, SupportsInt, cast

import numpy as np

from jslim.host.files import make_directory
from jslim.host.outbox import GrowingObject, outbox_for
from jslim.host.packages import needed
from jslim.host.paths import as_path, output_directory
from jslim.summaries._protocol import NullWriter, entries_of, to_uint8, wait_for_nothing
from jslim.summaries._recording import BUCKET_LIMITS, Histogram

logger = logging.getLogger("jslim")

_FLUSH_SECS = 10.0
_STORE_SECS = 30.0  # between two flushes to an object store, which write the whole file anew
_STORE_BYTES = 1 << 22  # of a file there, after which the next one begins
_FILE_NUMBERS = itertools.count()


class SummaryWriter(NullWriter):
    """Writes summaries into a new event file of a directory, for TensorBoard.

    A run that is resumed writes a second file beside the first; TensorBoard shows both as one.
    After a flush the records are whole on disk, whatever happens to the process. Files in an object
    store cannot grow: a thread writes them anew, at each `flush`, which waits for it, otherwise
    after 30 s at the earliest; every 4 MiB another one begins. While the store does not answer, up
    to 64 MiB wait in memory; what comes then is left out, with a warning.

    Args:
      logdir: The directory or URL; it is made if it is not there.
      purge_step: For a run that is resumed from a checkpoint: TensorBoard forgets this step and
        later ones in earlier files, since they run again.

    Raises:
      ImportError: The package tensorboard is not installed.
    """

    def __init__(self, logdir: str | os.PathLike[str], purge_step: int | None = None):
        with needed("tensorboard", "SummaryWriter"):
            from tensorboard.compat.proto import event_pb2, summary_pb2
            from tensorboard.summary.writer.record_writer import RecordWriter
        self._record_writer = RecordWriter
        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        directory = output_directory(logdir, "SummaryWriter: logdir")
        make_directory(directory)
        self._directory = as_path(directory, "SummaryWriter: logdir")
        self._outbox = outbox_for(directory)
        self._is_full = False
        self._open()
        if purge_step is not None:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._add(step=int(purge_step), session_log=start)
            self.flush()

    def _open(self) -> None:
        """Opens a new file."""
        # TensorBoard reads the files of a directory by name; the time orders them.
        name = (
            f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
            f".{next(_FILE_NUMBERS)}"
        )
        self.path = self._directory / name
        if self._outbox is None:
            self._file: IO[bytes] = self.path.open("xb")
        else:
            self._file = cast(IO[bytes], GrowingObject(os.fspath(self.path), self._outbox))
        self._records = self._record_writer(self._file)
        self._flush_at = 0.0
        self._add(file_version="brain.Event:2")

    def write(self, step: SupportsInt, summaries: Mapping[str, object]) -> None:
        """Writes and, on this machine, flushes recorded summaries.

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
        entries = entries_of("SummaryWriter.write", summaries)
        encoded = self._summary()
        for kind, tag, value in entries:
            for summary_tag, fields in _ENCODERS[kind](tag, value):
                encoded.value.add(tag=summary_tag, **fields)
        if entries:
            self._add(step=int(step), summary=encoded)
            if self._outbox is None:
                self.flush()

    def scalar(self, step: SupportsInt, tag: str, value: SupportsFloat) -> None:
        """Writes one number; it is kept after `flush`, or after a write 10 s later (in a store 30).

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
        self.start_flush()()

    def start_flush(self) -> Callable[[], None]:
        self._records.flush()
        if self._outbox is None:
            self._flush_at = time.monotonic() + _FLUSH_SECS
            return wait_for_nothing
        self._flush_at = time.monotonic() + _STORE_SECS
        if self._file.tell() > _STORE_BYTES and not self._is_full:
            self._records.close()
            self._open()
        return self._outbox.wait

    def close(self) -> None:
        """Flushes and closes the file; a second call does nothing."""
        self._records.close()
        if self._outbox is not None:
            self._outbox.wait()

    def _add(self, **fields: object) -> None:
        if self._outbox is not None and self._file.tell():
            was_full, self._is_full = self._is_full, self._outbox.is_full
            if self._is_full:
                if not was_full:
                    logger.warning(
                        "%s: too much waits for the store; summaries are left out until it answers",
                        self._directory,
                    )
                return
        self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())
        if time.monotonic() >= self._flush_at:
            self.start_flush()


Encoded = Iterator[tuple[str, dict[str, object]]]


def _encode_scalar(tag: str, value: np.ndarray) -> Encoded:
    yield tag, {"simple_value": float(value)}


def _encode_histogram(tag: str, value: Histogram) -> Encoded:
    from tensorboard.compat.proto import histogram_pb2

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
    with needed("pillow", f"image summary {tag!r}"):
        from PIL import Image
    from tensorboard.compat.proto import summary_pb2

    pixels = to_uint8(value)
    height, width, channels = pixels.shape
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(buffer, "PNG")
    encoded = summary_pb2.Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=buffer.getvalue()
    )
    yield tag, {"image": encoded}


_ENCODERS: dict[str, Callable[[str, Any], Encoded]] = {
    "scalar": _encode_scalar,
    "histogram": _encode_histogram,
    "image": _encode_image,
}
