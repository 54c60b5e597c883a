"""A program that shows tasks by `jslim.host.display`; `test_display` looks at what it shows.

`python showing.py FILE` runs it in several terminals, with the standard output in FILE in one of
them, and prints what they got. Without FILE it runs where it is.
"""

import json
import logging
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from terminal import call_in_terminal

from jslim.host.display import Display, Field

now = 0.0
display = Display(clock=lambda: now, tick_secs=None)
own = logging.getLogger("own")


def wait(seconds):
    global now
    for _ in range(10 * seconds):
        now += 0.1
        display.tick()


FIELDS = [
    Field("epoch 2.5", 5),
    Field("loss 0.1234"),
    Field("Genauigkeit 精度 0.9876", 2),  # two of its letters are two columns wide
    Field("5432 images/s", 4),
    Field("waiting for data 12%", 6),
]
DONE = (
    "done at step 200: loss 0.1234, saved in runs/of-a-person-who-writes-long-names/flowers-again"
)
LONG = "a line of a log that is longer than eighty columns and stays as it is, however narrow it is"


def run():
    # Handlers that a program made before, and that hold the streams themselves.
    own.addHandler(logging.StreamHandler(sys.stderr))
    own.propagate = False
    logging.root.addHandler(logging.StreamHandler(sys.stdout))
    with display.task("step", 600, is_log=True) as task:
        with display.status("compiling the step", done="compiled the step"):
            wait(38)
        for step in (100, 200):
            wait(1)
            task.update(step, FIELDS, seconds_left=75.0 - step / 10)
            display.tick()
            own.warning("%d: %s", step, LONG)
            print("printed", step)
            print("in two", end=" ")
            display.tick()
            print("parts", step)
        with display.task("evaluating", 4, "batches") as inner:
            for _ in range(4):
                wait(1)
                inner.advance()
        logging.getLogger("new").error("an error")
        wait(1)
    print("after it", file=sys.stderr)
    display.message(DONE)


# The columns of each terminal, and variables of the environment.
TERMINALS = {
    "wide": (120, {}),
    "80": (80, {}),
    "40": (40, {}),
    "10": (10, {}),
    "no colour": (80, {"NO_COLOR": "1"}),
    "other columns": (40, {"COLUMNS": "500"}),
    "dumb": (80, {"TERM": "dumb"}),
    "file": (80, {}),
    "notebook": (80, {"JPY_PARENT_PID": "1"}),
}

if __name__ == "__main__":
    if len(sys.argv) > 1:
        found = {
            name: call_in_terminal(run, *terminal, sys.argv[1] if name == "file" else None)
            for name, terminal in TERMINALS.items()
        }
        print(json.dumps(found))
    else:
        run()
