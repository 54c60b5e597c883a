"""A meta.json that is altered under a right checksum, and contracts that are not what they say."""

import json
import os
import zlib

import jax
import pytest
from checkpoint_states import make_state, save_steps

from jslim import RestoreError
from jslim.checkpoints import CheckpointManager, latest_checkpoint, list_variables, restore


def alter(step_dir, change):
    path = step_dir / "meta.json"
    body = json.loads(path.read_bytes())["body"]
    body = change(body) or body
    crc32 = zlib.crc32(json.dumps(body, sort_keys=True).encode())
    path.write_text(json.dumps({"crc32": crc32, "body": body}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda body: body.update(step="3"), "step must be a whole number, got '3'"),
        (lambda body: body.update(step=-3), "step must be from 0 to 9223372036854775807, got -3"),
        (lambda body: body.pop("leaves") and None, "leaves is missing"),
        (lambda body: [1], "body must be an object, got [1]"),
        (
            lambda body: body["leaves"][0].update(shape=[1, None]),
            "leaves[0].shape[1] must be",
        ),
        (lambda body: body["leaves"][0].update(dtype="object"), "cannot be object ("),
        (lambda body: body["leaves"].append(body["leaves"][0]), "must have a name of its own"),
        (lambda body: body.update(contract=[]), "contract must be an object, got []"),
        (lambda body: body.update(files={"../x": {"size": 0, "crc32": 0}}), "must be below state"),
        (lambda body: body.update(saved_at=None), "saved_at must be a number, got None"),
    ],
)
def test_an_altered_meta_file_is_broken_and_the_step_before_is_used(tmp_path, change, message):
    save_steps(tmp_path, 3, 6)
    alter(tmp_path / "6", change)
    assert latest_checkpoint(tmp_path) == str(tmp_path / "3")
    with pytest.raises(RestoreError) as error:
        list_variables(tmp_path / "6")
    assert str(error.value).startswith(f"checkpoint {tmp_path / '6'} is broken: meta.json cannot b")
    assert message in str(error.value)


def test_a_newer_format_says_so_whatever_else_it_has(tmp_path):
    save_steps(tmp_path, 3)
    alter(tmp_path / "3", lambda body: {"format": 9, "jslim_version": "7.0"})
    with pytest.raises(RestoreError, match=r"has format 9, written by jslim 7.0; this jslim reads"):
        list_variables(tmp_path / "3")


def test_a_pipe_among_the_data_is_not_waited_for(tmp_path):
    save_steps(tmp_path, 3)
    os.mkfifo(tmp_path / "3" / "state" / "pipe")
    with pytest.raises(RestoreError, match=r"is broken: state/pipe is no file"):
        restore(tmp_path / "3", jax.eval_shape(lambda: make_state(0)))


def test_a_contract_that_could_not_be_read_is_not_written(tmp_path):
    with (
        CheckpointManager(tmp_path) as manager,
        pytest.raises(
            ValueError, match=r"save: contract.num_classes must be a whole number, got '3'"
        ),
    ):
        manager.save(0, make_state(0), contract={"num_classes": "3"})
    assert latest_checkpoint(tmp_path) is None
