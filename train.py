"""Trains an image classifier: `python train.py --help`."""

import sys

from jslim.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
