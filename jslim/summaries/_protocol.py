"""The methods of a writer of summaries, and what writers have in common."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Self, SupportsFloat, SupportsInt

import jax
import numpy as np
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.summaries._recording import SUMMARIES, Histogram

KINDS = ("scalar", "histogram", "image")


class NullWriter:
    """The protocol of writers; this one writes nothing.

    `learning.train(summary_writer=...)` takes a subclass. It calls `scalar` for each number of a
    log line, `write` when summaries are due, `flush` before each checkpoint, and `close` at the
    end. All processes of a distributed run but the first use this class itself, so that their code
    has no branch.

    A writer of one's own overrides what it needs:

        class Printer(slim.summary.NullWriter):
            def scalar(self, step, tag, value):
                print(step, tag, float(value))
    """

    def write(self, step: SupportsInt, summaries: Mapping[str, object]) -> None:
        """Writes recorded summaries, or `{tag: number}`, of a step."""

    def scalar(self, step: SupportsInt, tag: str, value: SupportsFloat) -> None:
        """Writes one number of a step under a name."""

    def flush(self) -> None:
        """Brings all that was written to where it is kept."""

    def start_flush(self) -> Callable[[], None]:
        """Starts to flush, and returns what waits until that is done, which a thread may call.

        `flush` does both. A slow writer may override this too: training waits for the start
        alone, and the next checkpoint does not count before the rest is done.
        """
        self.flush()
        return wait_for_nothing

    def close(self) -> None:
        """Flushes, and ends the work of the writer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def wait_for_nothing() -> None:
    """What is left to do where `flush` has done all."""


class MultiWriter(NullWriter):
    """Writes to several writers.

    Args:
      *writers: Writers; `close` closes all of them.
    """

    def __init__(self, *writers: NullWriter) -> None:
        for writer in writers:
            checks.instance("MultiWriter", "writers", writer, NullWriter, "writers of summaries")
        self._writers = writers

    def write(self, step: SupportsInt, summaries: Mapping[str, object]) -> None:
        for writer in self._writers:
            writer.write(step, summaries)

    def scalar(self, step: SupportsInt, tag: str, value: SupportsFloat) -> None:
        for writer in self._writers:
            writer.scalar(step, tag, value)

    def flush(self) -> None:
        for writer in self._writers:
            writer.flush()

    def start_flush(self) -> Callable[[], None]:
        waits = [writer.start_flush() for writer in self._writers]

        def wait() -> None:
            for each in waits:
                each()

        return wait

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


class Entry(NamedTuple):
    """A summary on the host: a NumPy scalar, a `Histogram` of NumPy arrays, or pixels."""

    kind: str
    tag: str
    value: Any


class RowWriter(NullWriter):
    """Joins the numbers of a step that are given one after another, and hands them on as one row.

    A subclass has `put`. `close` of the subclass calls `flush` first.
    """

    _row: dict[str, float] | None = None
    _step = 0

    def put(self, step: int, row: Mapping[str, float], others: list[Entry]) -> None:
        """Writes the numbers of a step by tag, and its histograms and images."""
        raise NotImplementedError

    def write(self, step: SupportsInt, summaries: Mapping[str, object]) -> None:
        found = entries_of(f"{type(self).__name__}.write", summaries)
        others = [entry for entry in found if entry.kind != "scalar"]
        for entry in found:
            if entry.kind == "scalar":
                self.scalar(step, entry.tag, entry.value)
        if others:  # which do not end the row
            self.put(int(step), {}, others)

    def scalar(self, step: SupportsInt, tag: str, value: SupportsFloat) -> None:
        if self._row is None or self._step != int(step) or tag in self._row:
            self._end_row()
            self._row, self._step = {}, int(step)
        self._row[tag] = float(value)

    def flush(self) -> None:
        self._end_row()

    def close(self) -> None:
        self.flush()

    def _end_row(self) -> None:
        row, self._row = self._row, None
        if row:
            self.put(self._step, row, [])


def entries_of(where: str, summaries: Mapping[str, object]) -> list[Entry]:
    """The summaries, fetched from the devices.

    Args:
      where: The function that was given them, for errors.
      summaries: As for `SummaryWriter.write`.

    Raises:
      TypeError: It is not a dict.
      ValueError: Something in it is not a summary, or has been stacked.
    """
    accepted, hint = "a dict such as {'loss': 0.5}", "for one number call scalar(step, tag, value)"
    checks.instance(where, "summaries", summaries, Mapping, accepted, hint)
    nested = summaries.get(SUMMARIES, summaries)
    found = list(_found(where, nested if isinstance(nested, Mapping) else summaries))
    values = jax.device_get([entry.value for entry in found])
    for entry, value in zip(found, values, strict=True):
        _check_not_stacked(where, entry.kind, entry.tag, value)
    return [entry._replace(value=value) for entry, value in zip(found, values, strict=True)]


def _found(where: str, tree: Mapping[str, object], path: str = "") -> Iterator[Entry]:
    """The summaries of a tree; a Model inside a Linen module nests them."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _found(where, value, f"{path}{key}/")
            continue
        kind, _, tag = key.partition("/")
        if kind in KINDS and tag:
            yield Entry(kind, path + tag, value)
        elif not path and key not in KINDS and _is_number(value):
            yield Entry("scalar", key, value)
        else:
            raise ValueError(
                f"{where}: {path + key!r} is not a summary; give what "
                "apply(..., mutable=['summaries']) returned beside the output, or {tag: number}"
            )


def _is_number(value: object) -> bool:
    if isinstance(value, (np.generic, np.ndarray, jax.Array)):
        return value.ndim == 0 and value.dtype.kind in "biuf"
    return isinstance(value, (int, float))


def _check_not_stacked(where: str, kind: str, tag: str, value: ArrayLike | Histogram) -> None:
    shape = np.shape(value.counts if isinstance(value, Histogram) else value)
    if len(shape) != {"scalar": 0, "histogram": 1, "image": 3}[kind]:
        raise ValueError(
            f"{where}: {tag!r} has been stacked to shape {shape}, by a "
            "lifted scan or vmap; leave 'summaries' out of its variable_axes"
        )


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Pixels of an image summary; a floating one is scaled as TF's image summary scales it."""
    if image.dtype == np.uint8:
        return image
    is_finite = np.isfinite(image).all(axis=-1)
    finite = image[is_finite]
    largest = float(np.abs(finite).max(initial=0.0))
    has_negative = bool((finite < 0).any())
    scale = 0.0 if largest < 1e-6 else (127.0 if has_negative else 255.0) / largest
    pixels = np.empty(image.shape, np.uint8)
    pixels[is_finite] = (finite * np.float32(scale) + (128 if has_negative else 0)).astype(np.uint8)
    pixels[~is_finite] = np.array([255, 0, 0, 255], np.uint8)[: image.shape[-1]]
    return pixels
