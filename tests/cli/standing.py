"""A command of jslim that stands still before a save of step 12 or later, for tests that kill it.

`standing.py train FLAG...`
"""

import sys
import time

from jslim.checkpoints import CheckpointManager
from jslim.cli import main

SAVED, STANDS = 4, 12

save = CheckpointManager.save


def save_or_stand(self, step, *arguments, **options):
    while step >= STANDS:
        time.sleep(1)
    save(self, step, *arguments, **options)
    if step <= SAVED:  # in a bucket no save begins while one is under way
        self.wait()


if __name__ == "__main__":
    CheckpointManager.save = save_or_stand
    sys.exit(main.main(["jslim", *sys.argv[1:]]))
