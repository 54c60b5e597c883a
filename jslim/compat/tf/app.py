"""`tf.app`: starts a program."""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from jslim.compat.tf import flags as flags


def run(
    main: Callable[[Sequence[str]], Any] | None = None, argv: Sequence[str] | None = None
) -> NoReturn:
    """Reads the flags, calls `main(words)`, and ends the program with its result.

    Args:
      main: Default: the function of this name in the program.
      argv: The command line; default `sys.argv`.
    """
    words = flags.parsed(list(sys.argv if argv is None else argv))
    start = main or vars(sys.modules["__main__"])["main"]
    sys.exit(start(words))
