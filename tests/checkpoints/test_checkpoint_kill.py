"""kill -9 at random moments of a process that saves all the time."""

import multiprocessing
import pathlib
import random
import time

import numpy as np
import pytest
from checkpoint_writer import save_until_killed, state_after

from jslim.checkpoints import restore_latest

NUM_KILLS = 20


@pytest.mark.long
def test_newest_acknowledged_checkpoint_survives_every_kill(tmp_path, caplog):
    processes = multiprocessing.get_context("forkserver")
    # The server imports once; every process that it forks is a real one and is really killed.
    processes.set_forkserver_preload(["jslim.checkpoints", "orbax.checkpoint"])
    moments = random.Random(0)
    acknowledged, found, killed_while_saving = 0, 0, 0
    for _ in range(NUM_KILLS):
        receiver, sender = processes.Pipe(duplex=False)
        writer = processes.Process(target=save_until_killed, args=(str(tmp_path), sender))
        writer.start()
        sender.close()
        assert receiver.poll(60)  # At work; the kill falls within some of the next saves.
        time.sleep(moments.uniform(0, 0.25))
        writer.kill()
        writer.join()
        assert writer.exitcode == -9
        while receiver.poll():
            try:
                acknowledged = receiver.recv()
            except EOFError:
                break
        killed_while_saving += any(path.suffix for path in pathlib.Path(tmp_path).iterdir())
        restored = restore_latest(tmp_path, state_after(0))
        # A checkpoint may have been complete just before its step could be sent.
        assert restored.step in (acknowledged, acknowledged + 1)
        assert restored.step > found
        found = restored.step
        for name, expected in state_after(found).items():
            np.testing.assert_array_equal(restored.state[name], expected)
        assert restored.data_state == {"position": 10 * found}
    assert killed_while_saving > NUM_KILLS // 2
    assert caplog.records == []
