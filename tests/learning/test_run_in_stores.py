"""`train` with a bucket as its directory: what it leaves there, and that it goes on."""

import numpy as np
import pytest
import small_training

from jslim import checkpoints
from jslim.host import files
from jslim.summaries import read_rows


@pytest.mark.long
def test_a_run_goes_on_and_has_all_rows(store, tmp_path):
    options = {"save_interval_secs": 1e9, "log_every_n_steps": 1}
    small_training.run(store("run"), 3, **options)
    resumed = small_training.run(store("run"), 5, profile_steps=(4, 5), **options)
    unbroken = small_training.run(tmp_path / "run", 5, **options)
    expected = small_training.leaves(unbroken)
    for name, leaf in small_training.leaves(resumed).items():
        np.testing.assert_array_equal(leaf, expected[name], err_msg=name)
    rows = [
        [(row["step"], row["total_loss"]) for row in read_rows(f"{run}/metrics.jsonl")]
        for run in (store("run"), tmp_path / "run")
    ]
    assert rows[0] == rows[1]
    assert [step for step, _ in rows[0]] == [1, 2, 3, 4, 5]
    assert checkpoints.is_done(store("run"))
    assert checkpoints.latest_checkpoint(store("run")) == store("run/5")
    (profile,) = files.names_in(store("run/plugins/profile"))
    assert "perfetto_trace.json.gz" in files.names_in(store(f"run/plugins/profile/{profile}"))
