"""Makes `checkpoints_format_1`: two steps as jslim wrote them before format 2.

    PYTHONPATH=tests/checkpoints python tests/golden/make_checkpoints_format_1.py

It needs a jslim of that time (commit 7c4cf95), and refuses a newer one.
"""

import pathlib

from checkpoint_states import save_steps

from jslim.checkpoints import _format

if __name__ == "__main__":
    if _format.FORMAT != 1:
        raise SystemExit(f"this jslim writes format {_format.FORMAT}; check out commit 7c4cf95")
    save_steps(pathlib.Path(__file__).with_name("checkpoints_format_1"), 3, 6)
