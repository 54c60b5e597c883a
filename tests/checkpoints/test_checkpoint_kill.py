"""kill -9 at random moments of a process that saves all the time, on a disk or in a bucket.

python tests/checkpoints/test_checkpoint_kill.py --store=gs --kills=200
"""

import argparse
import multiprocessing
import pathlib
import random
import sys
import time

import numpy as np
import pytest
from checkpoint_writer import save_until_killed, state_after

from jslim.checkpoints import all_checkpoints, restore_latest
from jslim.host.paths import as_path, is_remote


def kill_at_random(directory: str, num_kills: int, longest: float = 0.25) -> int:
    """Kills, restores and compares that often; returns how many kills fell into a save."""
    # A forkserver imports once; every process that it forks is a real one and is really killed.
    # It has the environment of its own start, which does not say where a store is.
    processes = multiprocessing.get_context("spawn" if is_remote(directory) else "forkserver")
    if not is_remote(directory):
        processes.set_forkserver_preload(["jslim.checkpoints", "orbax.checkpoint"])
    moments = random.Random(0)
    acknowledged, found, killed_while_saving = 0, 0, 0
    for _ in range(num_kills):
        receiver, sender = processes.Pipe(duplex=False)
        writer = processes.Process(target=save_until_killed, args=(str(directory), sender))
        writer.start()
        sender.close()
        assert receiver.poll(60)  # At work; the kill falls within some of the next saves.
        time.sleep(moments.uniform(0, longest))
        writer.kill()
        writer.join()
        assert writer.exitcode == -9
        while receiver.poll():
            try:
                acknowledged = receiver.recv()
            except EOFError:
                break
        killed_while_saving += has_unfinished(as_path(directory, "test"))
        restored = restore_latest(directory, state_after(0))
        # A checkpoint may have been complete just before its step could be sent.
        assert restored.step in (acknowledged, acknowledged + 1)
        assert restored.step > found
        found = restored.step
        for name, expected in state_after(found).items():
            np.testing.assert_array_equal(restored.state[name], expected)
        assert restored.data_state == {"position": 10 * found}
    return killed_while_saving


def has_unfinished(directory) -> bool:
    """Whether there is more than whole steps, and the lease of the killed process."""
    names = {path.name for path in directory.iterdir()} - {".jslim-lease", ".jslim-lock"}
    return names != {pathlib.PurePath(path).name for path in all_checkpoints(directory)}


@pytest.mark.long
def test_newest_acknowledged_checkpoint_survives_every_kill(tmp_path, caplog):
    assert kill_at_random(str(tmp_path), 20) > 10
    assert caplog.records == []


@pytest.mark.long
def test_newest_acknowledged_checkpoint_in_a_bucket_survives_every_kill(store, caplog):
    assert kill_at_random(store("run"), 10, longest=1.5) > 2
    assert caplog.records == []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", choices=["gs", "s3"], required=True)
    parser.add_argument("--kills", type=int, default=200)
    given = parser.parse_args()
    servers = stores.Stores()
    servers.folder = "kills"
    try:
        inside = kill_at_random(servers.url(given.store, "run"), given.kills, longest=1.5)
        print(f"{given.kills} kills, {inside} of them within a save: all resumed exactly")
    finally:
        servers.stop()


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
    import stores

    main()
