"""TensorFlow's checkpoints in buckets: all that is found and read here is found there."""

import pathlib

import numpy as np
import pytest

from jslim import tf_checkpoint
from jslim.core.errors import RestoreError
from jslim.host import files

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "tf_checkpoints"


def opened(path):
    """The reader, or else the error."""
    try:
        return tf_checkpoint.load_checkpoint(path), ""
    except RestoreError as error:
        return None, str(error)


def test_files_of_tensorflow_are_read_as_here(store):
    found = 0
    for path in sorted(path for path in GOLDEN.rglob("*") if path.is_file()):
        files.write_bytes(store(str(path.relative_to(GOLDEN))), path.read_bytes())
    for path in sorted(GOLDEN.rglob("*")):
        place = store(str(path.relative_to(GOLDEN)))
        local, refused = opened(path)
        remote, refused_there = opened(place)
        assert refused == refused_there.replace(store(), str(GOLDEN))
        if local is None:
            continue
        found += 1
        assert remote.path == store(str(pathlib.Path(local.path).relative_to(GOLDEN)))
        assert remote.step == local.step
        shapes = local.get_variable_to_shape_map()
        assert shapes == remote.get_variable_to_shape_map()
        for name in list(shapes)[:5]:
            ours, theirs = local.get_tensor(name), remote.get_tensor(name)
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)
    assert found > 5


def test_what_is_written_is_the_latest(store):
    arrays = {"a": np.arange(5), "b": np.ones((2, 3), np.float32)}
    for step in (7, 8):
        path = tf_checkpoint.save_checkpoint(store(f"run/model.ckpt-{step}"), arrays)
        assert path == store(f"run/model.ckpt-{step}")
    assert tf_checkpoint.latest_checkpoint(store("run")) == path
    assert tf_checkpoint.all_checkpoints(store("run")) == [store("run/model.ckpt-7"), path]
    assert tf_checkpoint.is_checkpoint(store("run"))
    np.testing.assert_array_equal(tf_checkpoint.load_variable(store("run"), "a"), np.arange(5))
    files.write_text(store("run/checkpoint"), f'model_checkpoint_path: "{store("old/m-1")}"\n')
    with pytest.raises(RestoreError, match=r"names .*old/m-1, which is not there"):
        tf_checkpoint.load_checkpoint(store("run"))
    tf_checkpoint.save_checkpoint(store("old/m-1"), arrays)
    assert tf_checkpoint.latest_checkpoint(store("run")) == store("old/m-1")


def test_what_is_not_there_is_said(store):
    assert tf_checkpoint.all_checkpoints(store("none")) == []
    assert not tf_checkpoint.is_checkpoint(store("none"))
    with pytest.raises(RestoreError, match=f"there is no TensorFlow checkpoint at {store('none')}"):
        tf_checkpoint.load_checkpoint(store("none"))
    tf_checkpoint.save_checkpoint(store("m"), {"a": np.arange(1000)})
    place = store("m.data-00000-of-00001")
    content = bytearray(files.open_regular(place).read())
    content[100] ^= 1
    files.write_bytes(place, bytes(content))
    with pytest.raises(RestoreError, match="is broken, or is none: of a,"):
        tf_checkpoint.load_checkpoint(store("m")).get_tensor("a")
