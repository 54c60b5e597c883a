"""Packages that a machine may lack."""

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def needed(
    package: str, what: str, install: str = "'jslim[cli]'", instead: str = ""
) -> Iterator[None]:
    """Says what to install where the body cannot import a package.

        with needed("Grain", "reading ahead in threads"):
            import grain

    Args:
      package: The package, as errors call it.
      what: What needs it.
      install: What `pip install` is given.
      instead: How to do without it: `', or pass num_threads=0'`.

    Raises:
      ImportError: The body could not import it.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"{what} needs {package}, which is not installed; run: pip install {install}{instead}"
        ) from error
