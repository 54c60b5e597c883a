"""Evaluates an image classifier's checkpoints: `python eval.py --help`."""

import sys

from jslim.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
