"""ArrayRecord files: records of bytes for random access, through the package array_record.

The package comes with Grain. Random reads are slow in files with compressed groups of records; the
files that `jslim-convert` writes have one record in each group.
"""

import os
from collections.abc import Sequence

from jslim.core import reprs
from jslim.core.errors import DataError
from jslim.data._errors import reading
from jslim.data.tfrecord import DataSources, get_data_files
from jslim.host.files import UnfinishedFile
from jslim.host.packages import needed
from jslim.host.paths import Path, is_remote, output_file

EXTENSIONS = (".array_record", ".arrayrecord")


_BROKEN = (ValueError, RuntimeError, OSError)  # what reading a broken file raises


class ArrayRecordFiles(Sequence[bytes]):
    """The records of several files, one file after the other; picklable.

    Args:
      data_sources: The files; see `get_data_files`. Those of gs:// are read in place, those of
        other object stores are copied to `$TMPDIR` until the process ends.

    Raises:
      DataError: A file cannot be read, or there is no record at all. From indexing: a record is
        damaged.
      ImportError: The package array_record is not installed.
    """

    def __init__(self, data_sources: DataSources):
        with needed("the package array_record", "reading ArrayRecord files"):
            from array_record.python.array_record_data_source import ArrayRecordDataSource
        self.paths = get_data_files(data_sources)
        for path in self.paths:
            if not is_remote(path) and not os.access(path, os.R_OK):
                raise DataError(f"{path!r} cannot be read; check the path and its permissions")
        try:
            self._records = ArrayRecordDataSource([*map(_as_readable, self.paths)])
            self._num_records = len(self._records)
        except _BROKEN as error:
            raise DataError(
                f"one of {self.paths} is no whole ArrayRecord file ({error}); copy or convert it "
                "again"
            ) from error
        if not self._num_records:
            raise DataError(f"there is no record in {self.paths}")

    def __repr__(self) -> str:
        records = reprs.counted(len(self), "record")
        return f"<ArrayRecordFiles: {records} in {reprs.counted(len(self.paths), 'file')}>"

    def __len__(self) -> int:
        return self._num_records

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]  # numbers, no slices
        try:
            return self._records[index]
        except _BROKEN as error:
            raise DataError(
                f"record {self.record_key(index)} is damaged ({error}); copy or convert the file "
                "again"
            ) from error

    def record_key(self, index: int) -> str:
        """`FILE:NUMBER` of a single file; `array_record:NUMBER` of several, counted over all."""
        name = os.path.basename(self.paths[0]) if len(self.paths) == 1 else "array_record"
        return f"{name}:{index}"


def _as_readable(path: str) -> str:
    """The path that the package opens: it knows files and gs://; others are copied, and logged."""
    if not is_remote(path) or path.startswith("gs://"):
        return path
    from jslim.host.stores import local_copy

    with reading(repr(path), "; check the path and its permissions"):
        return os.fspath(local_copy(path))


class ArrayRecordWriter:
    """Writes an ArrayRecord file, which gets its name only when it is whole.

    Used like `TFRecordWriter`, in a `with` statement.

    Args:
      path: The file; its directory is made.

    Raises:
      ImportError: The package array_record is not installed.
    """

    def __init__(self, path: Path):
        path = output_file(path, "ArrayRecordWriter: path")
        with needed("the package array_record", "writing ArrayRecord files"):
            from array_record.python import array_record_module
        self._unfinished = UnfinishedFile(path)
        name = str(self._unfinished.path)
        self._writer = array_record_module.ArrayRecordWriter(name, "group_size:1")

    def write(self, record: bytes) -> None:
        """Appends a record."""
        self._writer.write(record)

    def __enter__(self) -> "ArrayRecordWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        self._unfinished.__exit__(kind)
