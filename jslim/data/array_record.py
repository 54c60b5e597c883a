"""ArrayRecord files: records of bytes for random access, through the package array_record.

It comes with Grain. Of files with compressed groups of records, reading at random is slow; those
that `jslim-convert` writes have one record a group.
"""

import os
from collections.abc import Sequence
from typing import Any

from jslim.core.errors import DataError
from jslim.data.tfrecord import DataSources, get_data_files
from jslim.host.files import UnfinishedFile
from jslim.host.paths import output_file

EXTENSIONS = (".array_record", ".arrayrecord")


def _array_record(what: str) -> Any:
    try:
        from array_record.python import array_record_data_source, array_record_module
    except ImportError as error:
        raise ImportError(
            f"{what} ArrayRecord files needs the package array_record, which is not installed; "
            "run: pip install 'jslim[cli]'"
        ) from error
    return array_record_module if what == "writing" else array_record_data_source


class ArrayRecordFiles(Sequence[bytes]):
    """The records of several files, one file after the other; picklable.

    Args:
      data_sources: As `get_data_files` takes them.

    Raises:
      DataError: A file cannot be read, or there is no record at all. From indexing: a record is
        damaged.
      ImportError: The package array_record is not installed.
    """

    def __init__(self, data_sources: DataSources):
        source = _array_record("reading")
        self.paths = get_data_files(data_sources)
        for path in self.paths:
            if not os.access(path, os.R_OK):
                raise DataError(f"{path!r} cannot be read; check the path and its permissions.")
        try:
            self._records = source.ArrayRecordDataSource(self.paths)
            self._num_records = len(self._records)
        except (ValueError, RuntimeError, OSError) as error:
            raise DataError(
                f"one of {self.paths} is no whole ArrayRecord file ({error}); copy or convert it "
                "again."
            ) from error
        if not self._num_records:
            raise DataError(f"there is no record in {self.paths}.")

    def __len__(self) -> int:
        return self._num_records

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]  # numbers, no slices
        try:
            return self._records[index]
        except (ValueError, RuntimeError, OSError) as error:
            raise DataError(
                f"record {self.record_key(index)} is damaged ({error}); copy or convert the file "
                "again."
            ) from error

    def record_key(self, index: int) -> str:
        """`FILE:NUMBER`, the number counted over all files."""
        name = os.path.basename(self.paths[0]) if len(self.paths) == 1 else "array_record"
        return f"{name}:{index}"


class ArrayRecordWriter:
    """Writes an ArrayRecord file, which has its name only when it is whole.

    Its interface is that of `TFRecordWriter`.

    Args:
      path: The file; its directory is made.

    Raises:
      ImportError: The package array_record is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]):
        path = output_file(path, "ArrayRecordWriter: path")
        module = _array_record("writing")
        self._unfinished = UnfinishedFile(path)
        self._writer = module.ArrayRecordWriter(str(self._unfinished.path), "group_size:1")

    def write(self, record: bytes) -> None:
        """Appends a record."""
        self._writer.write(record)

    def __enter__(self) -> "ArrayRecordWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.close()
        self._unfinished.__exit__(kind)
