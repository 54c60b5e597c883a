"""Reading the numbers in TensorBoard's event files, without TensorFlow."""

import logging
import os
import struct
from collections.abc import Iterator

from jslim.host import protobuf
from jslim.host.crc32c import crc32c, mask
from jslim.host.files import matching, open_regular, size_of
from jslim.host.paths import AnyPath, as_path

logger = logging.getLogger("jslim")

_HEADER, _FOOTER = (
    12,
    4,
)  # of a record: its length and the checksum of that, the checksum of its data

_START = 1  # of SessionLog.status
# What is read of them; source: tensorflow/core/util/event.proto and framework/summary.proto.
_MESSAGES = """
package jslim.events;
message Event { int64 step = 2; Summary summary = 5; SessionLog session_log = 7; }
message SessionLog { int64 status = 1; }
message Summary { repeated Value value = 1; }
message Value { string tag = 1; oneof float simple_value = 2; }
"""

Scalars = dict[str, list[tuple[int, float]]]


def read_scalars(logdir: str | os.PathLike[str]) -> Scalars:
    """The numbers in the event files of a directory, as `SummaryWriter.scalar` writes them.

    As in TensorBoard, steps that were taken again after a kill count once. A file that is being
    written may end in a part of a record; what follows a damaged one is left out with a warning.

    Args:
      logdir: The directory; those within it are not read.

    Returns:
      `{tag: [(step, value)]}`, in the order of writing.

    Raises:
      OSError: A file cannot be read.
    """
    event_class = protobuf.messages(_MESSAGES)["Event"]
    found: Scalars = {}
    directory = as_path(logdir, "read_scalars: logdir")
    for name in sorted(matching(directory, "events.out.tfevents.*")):
        path = directory / name
        for record in _records(path):
            try:
                event = protobuf.parsed(event_class, record)
            except protobuf.Malformed as error:
                logger.warning("%s: a record is no event (%s); it is left out", path, error)
                continue
            if event.session_log.status == _START:
                for tag, values in found.items():
                    found[tag] = [(step, value) for step, value in values if step < event.step]
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def _records(path: AnyPath) -> Iterator[bytes]:
    """The whole records of a file."""
    with open_regular(path) as file:
        left = size_of(file)
        while left >= _HEADER + _FOOTER:
            header = file.read(_HEADER)
            length, checksum = struct.unpack("<QI", header)
            is_right = mask(crc32c(header[:8])) == checksum
            left -= _HEADER + length + _FOOTER
            if is_right and left < 0:
                return  # it is being written
            data = file.read(length) if is_right else b""
            if not is_right or file.read(_FOOTER) != mask(crc32c(data)).to_bytes(4, "little"):
                logger.warning("%s is damaged; what follows is left out", path)
                return
            yield data
