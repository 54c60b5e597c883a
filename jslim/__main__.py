"""`python -m jslim`: the command `jslim`."""

import sys

from jslim.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
