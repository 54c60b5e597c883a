"""Steps that jslim wrote before format 2: they restore, and a directory may hold both."""

import json
import pathlib
import shutil

import pytest
from checkpoint_states import assert_same, make_state, save_steps

from jslim.checkpoints import (
    CheckpointManager,
    all_checkpoints,
    list_steps,
    load_variables,
    restore,
    restore_latest,
)

OLD = pathlib.Path(__file__).parents[1] / "golden" / "checkpoints_format_1"


@pytest.fixture
def directory(tmp_path):
    return pathlib.Path(shutil.copytree(OLD, tmp_path / "run"))


def test_a_step_of_format_1_comes_back_bit_for_bit(directory):
    assert json.loads((directory / "6" / "meta.json").read_text())["body"]["format"] == 1
    restored = restore(directory, make_state(0))
    assert_same(restored.state, make_state(6))
    assert (restored.step, restored.data_state) == (6, {"position": 6})
    assert restored.contract == {"network": "lenet", "step": 6}
    assert list(load_variables(directory, ["lenet/fc2/b"])) == ["lenet/fc2/biases"]


@pytest.mark.parametrize("name", ["6", "9"])
def test_a_run_goes_on_from_the_newest_whole_step_of_either_format(directory, name, caplog):
    save_steps(directory, 9, 12)
    assert [info.step for info in list_steps(directory)] == [3, 6, 9, 12]
    for step_dir in (directory / "12", directory / "9")[: 1 if name == "9" else 2]:
        (step_dir / "meta.json").write_bytes(b"{}")
    assert_same(restore_latest(directory, make_state(0)).state, make_state(int(name)))
    assert caplog.records[0].getMessage().endswith(f"using {directory / name} instead")


def test_a_flipped_byte_in_format_1_is_noticed(directory, caplog):
    for path in sorted((directory / "6").rglob("*")):
        if path.is_file():
            intact = path.read_bytes()
            path.write_bytes(intact[:-1] + bytes([intact[-1] ^ 0x10]))
            caplog.clear()
            assert_same(restore_latest(directory, make_state(0)).state, make_state(3))
            assert path.relative_to(directory / "6").as_posix() in caplog.text
            path.write_bytes(intact)


def test_steps_of_both_formats_are_kept_and_deleted_alike(directory):
    with CheckpointManager(directory, keep=2) as checkpoints:
        checkpoints.save(6, make_state(6), data_state={"position": 6}, contract={"step": 6})
        checkpoints.save(9, make_state(9))
    assert [pathlib.Path(path).name for path in all_checkpoints(directory)] == ["6", "9"]
    assert_same(restore(directory / "6", make_state(0)).state, make_state(6))
