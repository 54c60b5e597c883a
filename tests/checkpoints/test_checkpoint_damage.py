"""Every file of a checkpoint damaged in turn: the one before it is used, never a wrong number."""

import pathlib

import jax
import pytest
from checkpoint_states import assert_same, make_state, save_steps

from jslim.checkpoints import restore_latest


def flip_at(share: float):
    def flip(path: pathlib.Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(share * (len(data) - 1))] ^= 0x10
        path.write_bytes(data)

    return flip


def truncate(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: pathlib.Path) -> None:
    path.write_bytes(b"")


def zero_out(path: pathlib.Path) -> None:
    """What a disk gives back for blocks that were never written."""
    path.write_bytes(bytes(path.stat().st_size))


DAMAGES = {
    "first byte flipped": flip_at(0),
    "middle byte flipped": flip_at(0.5),
    "another byte flipped": flip_at(0.8),
    "last byte flipped": flip_at(1),
    "truncated": truncate,
    "emptied": empty,
    "zeroed": zero_out,
    "deleted": pathlib.Path.unlink,
}


@pytest.mark.long
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_to_any_file_is_noticed(tmp_path, caplog, damage):
    save_steps(tmp_path, 3, 6)
    target = jax.eval_shape(lambda: make_state(0))
    files = [path for path in sorted((tmp_path / "6").rglob("*")) if path.is_file()]
    assert len(files) >= 8
    for path in files:
        intact = path.read_bytes()
        damage(path)
        caplog.clear()
        restored = restore_latest(tmp_path, target)
        (line,) = [record.getMessage() for record in caplog.records]
        assert line.startswith(f"checkpoint {tmp_path / '6'} is broken: ")
        assert line.endswith(f"; using {tmp_path / '3'} instead")
        assert path.relative_to(tmp_path / "6").as_posix() in line
        assert "\n" not in line
        assert_same(restored.state, make_state(3))
        assert restored.data_state == {"position": 3}
        assert restored.contract == {"network": "lenet", "step": 3}
        path.write_bytes(intact)
    caplog.clear()
    assert_same(restore_latest(tmp_path, target).state, make_state(6))
    assert caplog.records == []


@pytest.mark.long
def test_every_byte_of_the_meta_file_counts(tmp_path):
    save_steps(tmp_path, 3, 6)
    path = tmp_path / "6" / "meta.json"
    intact = path.read_bytes()
    target = jax.eval_shape(lambda: make_state(0))
    for position in range(0, len(intact), 97):
        data = bytearray(intact)
        data[position] ^= 0x02
        path.write_bytes(data)
        restored = restore_latest(tmp_path, target)
        # White space may change without changing what is read.
        assert restored.step == 3 or intact[position : position + 1].isspace()
        assert_same(restored.state, make_state(restored.step))
        assert restored.data_state == {"position": restored.step}
        assert restored.contract == {"network": "lenet", "step": restored.step}
