"""Steps that a run deletes while another program reads them."""

import pathlib
import shutil

import numpy as np
import pytest

from jslim.checkpoints import CheckpointManager, _format, latest_checkpoint, restore
from jslim.core.errors import RestoreError


@pytest.mark.parametrize("moment", ["before it is looked at", "after that"])
def test_a_step_that_is_deleted_while_its_files_are_listed(tmp_path, monkeypatch, moment):
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": np.ones(9)})
    shutil.copytree(tmp_path / "1", tmp_path / "copy")
    is_file = pathlib.Path.is_file

    def with_deletion(path):
        found = is_file(path)
        if path.parent != tmp_path / "1" / "state":
            return found
        shutil.rmtree(tmp_path / "1", ignore_errors=True)
        return is_file(path) if moment == "before it is looked at" else found

    monkeypatch.setattr(pathlib.Path, "is_file", with_deletion)
    with pytest.raises(RestoreError, match=f"{tmp_path} changed while they were read; try again"):
        restore(tmp_path, {"w": np.zeros(9)})
    shutil.copytree(tmp_path / "copy", tmp_path / "1")
    assert latest_checkpoint(tmp_path) is None
    shutil.copytree(tmp_path / "copy", tmp_path / "1")
    with pytest.raises(RestoreError, match="/1 was deleted while it was read"):
        restore(tmp_path / "1", {"w": np.zeros(9)})


def test_a_step_that_is_deleted_while_its_arrays_are_read(tmp_path, monkeypatch):
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": np.ones(9)})
    monkeypatch.setattr(_format, "verify_files", lambda *_: shutil.rmtree(tmp_path / "1"))
    message = r"checkpoint .*/1 was deleted while it was read: a run keeps .*\(max_to_keep\)\."
    with pytest.raises(RestoreError, match=message):
        restore(tmp_path, {"w": np.zeros(9)})
