"""Errors that several files of this room raise, in one wording."""

from collections.abc import Collection

from jslim.core.errors import DataError, did_you_mean
from jslim.core.text import some_of


def unreadable(what: str, error: BaseException, advice: str = "") -> DataError:
    """The error `WHAT cannot be read (REASON)ADVICE`.

    Args:
      what: What is read: `repr(path)`.
      error: The error of reading it.
      advice: What to do: `'; unpack it'`.

    >>> unreadable("'x.jpg'", OSError("no such file"), "; check the path")
    DataError("'x.jpg' cannot be read (no such file); check the path")
    """
    return DataError(f"{what} cannot be read ({getattr(error, 'strerror', None) or error}){advice}")


class reading:  # used as `with reading(path):`
    """Turns errors of the body into `unreadable`; a DataError passes.

    A class, since a generator takes a tenth of the time of reading a record.

    Args:
      what, advice: As of `unreadable`.
      kinds: The errors of reading.

    Raises:
      DataError: The body raised one of these errors.
    """

    def __init__(
        self, what: str, advice: str = "", kinds: tuple[type[Exception], ...] = (OSError,)
    ):
        self._what, self._advice, self._kinds = what, advice, kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, self._kinds) and not isinstance(error, DataError):
            raise unreadable(self._what, error, self._advice) from error


def check_split(
    split_name: str, splits: Collection[str], where: str, kind: type[ValueError] = ValueError
) -> None:
    """Refuses a split that a data set does not have; the error has the nearest ones.

    Args:
      split_name: The split.
      splits: The splits that there are.
      where: What has them, for the error: `"'digits' has the splits"`.
      kind: The class of the error.

    Raises:
      ValueError: There is no such split.
    """
    if split_name not in splits:
        raise kind(
            f"split name {split_name} was not recognized: {where} "
            f"{some_of([*map(repr, splits)], 5)}{did_you_mean(split_name, splits)}"
        )
