"""TensorFlow's checkpoints, read without TensorFlow, against what TensorFlow wrote into them."""

import logging
import pathlib
import shutil
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from jslim import tf_checkpoint
from jslim.core.errors import RestoreError

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "tf_checkpoints"
V2 = GOLDEN / "v2" / "model.ckpt-7"
V1 = GOLDEN / "v1" / "model.ckpt"


def values():
    with np.load(GOLDEN / "values.npz") as stored:
        every = dict(stored)
    every["bfloat16"] = every["bfloat16"].view(ml_dtypes.bfloat16)
    every["string"] = every["string"].astype(object)
    return every


VALUES = values()
ONLY_V2 = {"bfloat16", "uint16", "uint32", "uint64", "complex128"}
HELD = {
    V2: set(VALUES),
    GOLDEN / "v2_snappy" / "model.ckpt-7": set(VALUES),
    V1: set(VALUES) - ONLY_V2,
    GOLDEN / "v2_shards" / "model.ckpt": {"double", "int32", "uint8", "half"},
    GOLDEN / "v1_shards" / "model.ckpt": {"double", "int32", "uint8", "half"},
}


@pytest.mark.parametrize("path", HELD, ids=lambda path: path.parent.name)
def test_every_tensor_is_what_tensorflow_wrote(path):
    reader = tf_checkpoint.load_checkpoint(path)
    assert list(reader.get_variable_to_shape_map()) == sorted(HELD[path])
    for name, shape in reader.get_variable_to_shape_map().items():
        wanted = VALUES[name]
        found = reader.get_tensor(name)
        assert found.shape == wanted.shape == shape
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted)
        dtype = "string" if name == "string" else wanted.dtype.name
        assert reader.get_variable_to_dtype_map()[name] == dtype
    assert reader.version == ("V1" if "v1" in path.parent.name else "V2")
    assert reader.path == str(path)


def test_reader_has_the_methods_of_tensorflows():
    reader = tf_checkpoint.load_checkpoint(V2)
    assert reader.has_tensor("global_step")
    assert not reader.has_tensor("globalstep")
    assert "LeNet/conv1/weights (float32) [5, 5, 1, 4]" in reader.debug_string().splitlines()
    assert tf_checkpoint.load_variable(V2, "global_step:0") == 1234567890123
    assert ("LeNet/conv1/biases", (4,)) in tf_checkpoint.list_variables(V2)
    assert set(reader.get_tensors(["int8", "half"])) == {"int8", "half"}


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("v2", "v2/model.ckpt-7"),
        ("v2/model.ckpt-7.index", "v2/model.ckpt-7"),
        ("v2/model.ckpt-7.data-00000-of-00001", "v2/model.ckpt-7"),
        ("v2_shards/model.ckpt.data-00001-of-00002", "v2_shards/model.ckpt"),
        ("v1", "v1/model.ckpt"),
        ("v1_shards", "v1_shards/model.ckpt"),
        ("v1_shards/model.ckpt-00001-of-00002", "v1_shards/model.ckpt"),
    ],
)
def test_any_file_and_the_directory_will_do_and_the_log_says_which(given, taken, caplog):
    caplog.set_level(logging.INFO, logger="jslim")
    reader = tf_checkpoint.load_checkpoint(GOLDEN / given)
    assert reader.path == str(GOLDEN / taken)
    assert f"{GOLDEN / given}: reading the TensorFlow checkpoint {GOLDEN / taken}" in caplog.text
    assert tf_checkpoint.is_checkpoint(GOLDEN / given)
    assert reader.get_tensor("half")[0] == 1.5


def test_directory_that_was_moved_is_read_by_the_name_of_its_latest(tmp_path):
    for file in V2.parent.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/train/model.ckpt-7"\n')
    assert tf_checkpoint.load_checkpoint(tmp_path).path == str(tmp_path / "model.ckpt-7")


def test_directory_without_a_state_file_needs_one_checkpoint(tmp_path):
    for file in V2.parent.glob("model*"):
        shutil.copy(file, tmp_path)
    assert tf_checkpoint.load_checkpoint(tmp_path).path == str(tmp_path / "model.ckpt-7")
    shutil.copy(V1, tmp_path / "other.ckpt")
    with pytest.raises(RestoreError) as error:
        tf_checkpoint.load_checkpoint(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} holds several TensorFlow checkpoints; give one of them: model.ckpt-7, "
        "other.ckpt"
    )


def test_a_name_is_no_pattern(tmp_path):
    for file in V2.parent.glob("model*"):
        shutil.copy(file, tmp_path / file.name.replace("model", "model[1]*"))
    prefix = str(tmp_path / "model[1]*.ckpt-7")
    assert tf_checkpoint.load_checkpoint(tmp_path).path == prefix
    assert tf_checkpoint.load_checkpoint(f"{prefix}.index").path == prefix


@pytest.mark.parametrize("name", ["model.ckpt", "model [v2]*.ckpt", "modèle", 'it\'s "a"\\n'])
def test_directory_without_a_state_file_is_read_by_number(tmp_path, name):
    for step in (9, 100, 20):
        path = tf_checkpoint.save_checkpoint(tmp_path / f"{name}-{step}", {"w": np.float32(step)})
        assert tf_checkpoint.latest_checkpoint(tmp_path) == path
    (tmp_path / "checkpoint").unlink(missing_ok=True)
    assert tf_checkpoint.load_checkpoint(tmp_path).get_tensor("w") == 100
    names = [pathlib.Path(path).name for path in tf_checkpoint.all_checkpoints(tmp_path)]
    assert names == [f"{name}-{step}" for step in (9, 20, 100)]
    assert tf_checkpoint.latest_checkpoint(tmp_path) is None
    tf_checkpoint.save_checkpoint(tmp_path / "other.ckpt-5", {"w": np.float32(5)}, is_latest=False)
    with pytest.raises(RestoreError, match="holds several TensorFlow checkpoints; give one of"):
        tf_checkpoint.load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (r'model_checkpoint_path: "m-7"', "m-7"),
        (r"model_checkpoint_path:'m-7'", "m-7"),
        (r'  model_checkpoint_path : "a/b/m-7"', "m-7"),
        (r'model_checkpoint_path: "/gone/mod\303\250le \"7\"-7"', 'modèle "7"-7'),
        (r'model_checkpoint_path: "m\\\\-7"', r"m\\-7"),
        (r'model_checkpoint_path: "m\xe8-7"', "m\udce8-7"),
        (r'model_checkpoint_path: "mod\u00e8le-7"', "modèle-7"),
    ],
)
def test_state_file_is_a_text_of_a_protocol_buffer(tmp_path, line, name):
    for file in V2.parent.glob("model*"):
        shutil.copy(file, tmp_path / file.name.replace("model.ckpt-7", name))
    (tmp_path / "checkpoint").write_text(f'{line}\nall_model_checkpoint_paths: "x"\n')
    assert tf_checkpoint.latest_checkpoint(tmp_path) == str(tmp_path / name)


def test_checkpoint_in_a_copied_directory_is_its_own(tmp_path):
    for copy, value in (("first", 1), ("second", 2)):
        tf_checkpoint.save_checkpoint(tmp_path / copy / "m-7", {"w": np.float32(value)})
        state = f'model_checkpoint_path: "{tmp_path}/first/m-7"\n'
        (tmp_path / copy / "checkpoint").write_text(state)
    assert tf_checkpoint.load_checkpoint(tmp_path / "second").get_tensor("w") == 2


def broken(tmp_path, change):
    for file in V2.parent.iterdir():
        shutil.copy(file, tmp_path)
    change(tmp_path)
    return tmp_path / "model.ckpt-7"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: (d / "model.ckpt-7.index").write_bytes(b""), "model.ckpt-7.index is too short "
         "for a table; copy it again"),
        (lambda d: (d / "model.ckpt-7.index").write_bytes(bytes(100)), "model.ckpt-7.index does "
         "not end like a table"),
        (lambda d: (d / "model.ckpt-7.data-00000-of-00001").unlink(), "of LeNet/conv1/biases, "
         "model.ckpt-7.data-00000-of-00001 cannot be read: No such file or directory"),
        (lambda d: (d / "model.ckpt-7.data-00000-of-00001").write_bytes(b"1"), "of "
         "LeNet/conv1/biases, model.ckpt-7.data-00000-of-00001 is too short"),
        (lambda d: (d / "model.ckpt-7.data-00000-of-00001").write_bytes(bytes(4000)), "of "
         "LeNet/conv1/biases, its bytes do not match their checksum"),
    ],
)  # fmt: skip
def test_damage_is_named(tmp_path, change, text):
    path = broken(tmp_path, change)
    with pytest.raises(RestoreError) as error:
        tf_checkpoint.load_checkpoint(path).get_tensor("LeNet/conv1/biases")
    prefix = f"TensorFlow checkpoint {path} is broken, or is none: "
    assert str(error.value).startswith(prefix + text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda d: (d / "nothing").mkdir(), "{}/nothing is no TensorFlow checkpoint; give the "
         "prefix of one (model.ckpt-1000), one of its files, or their directory"),
        (lambda d: None, "there is no TensorFlow checkpoint at {}/nothing: no such file, and no "
         "{}/nothing.index"),
        (lambda d: (d / "nothing").write_bytes(bytes(99)), "{}/nothing is no TensorFlow"),
        (lambda d: ((d / "nothing").mkdir(), (d / "nothing/checkpoint").write_text("?")),
         "{}/nothing/checkpoint does not say which checkpoint is the latest; give the checkpoint "
         "itself"),
        (lambda d: ((d / "nothing").mkdir(), (d / "nothing/checkpoint").write_text(
            'model_checkpoint_path: "gone"')), "{}/nothing/checkpoint names gone, which is not "
         "there; give the checkpoint itself"),
        (lambda d: (d / "nothing-00000-of-00003").touch(), "{}/nothing is a TensorFlow checkpoint "
         "of 3 files, of which 1 are there; get the others too"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(tmp_path, change, text):
    change(tmp_path)
    with pytest.raises(RestoreError) as error:
        tf_checkpoint.load_checkpoint(tmp_path / "nothing")
    assert str(error.value).startswith(text.replace("{}", str(tmp_path)))


def test_data_without_its_index(tmp_path):
    shutil.copy(f"{V2}.data-00000-of-00001", tmp_path)
    path = tmp_path / "model.ckpt-7.data-00000-of-00001"
    with pytest.raises(RestoreError) as error:
        tf_checkpoint.load_checkpoint(path)
    assert str(error.value) == (
        f"{path} is the data of a TensorFlow checkpoint whose index, model.ckpt-7.index, is not "
        "beside it; get that file too"
    )


def test_unknown_tensor_offers_the_nearest():
    with pytest.raises(RestoreError) as error:
        tf_checkpoint.load_variable(V2, "LeNet/conv1/weight")
    assert str(error.value).startswith(
        f"TensorFlow checkpoint {V2} has no tensor 'LeNet/conv1/weight'; did you mean "
        "'LeNet/conv1/weights'"
    )


def test_only_what_is_asked_for_is_read(tmp_path):
    path = broken(tmp_path, lambda d: None)
    data = tmp_path / "model.ckpt-7.data-00000-of-00001"
    good = data.read_bytes()
    reader = tf_checkpoint.load_checkpoint(path)
    uint8 = reader.get_tensor("uint8").tobytes()
    at = good.index(uint8)
    # All other bytes are wrong.
    data.write_bytes(bytes(at) + uint8 + bytes(len(good) - at - len(uint8)))
    assert reader.get_tensor("uint8").tobytes() == uint8
    with pytest.raises(RestoreError, match="of sliced, its bytes do not match"):
        reader.get_tensor("sliced")


@pytest.mark.long
def test_reading_needs_neither_tensorflow_nor_jax():
    program = f"""
import sys, types
sys.modules["jslim"] = types.ModuleType("jslim")
sys.modules["jslim"].__path__ = [{str(pathlib.Path(tf_checkpoint.__file__).parents[1])!r}]
from jslim import tf_checkpoint
print(tf_checkpoint.load_checkpoint({str(V2)!r}).get_tensor("int8"))
assert not {{"jax", "tensorflow"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[-128  127]\n", done.stderr


MUTATIONS = 400


def mutated(content, rng):
    """A bit flipped, bytes overwritten, a part left out or put in, or the end cut off."""
    content = bytearray(content)
    at = int(rng.integers(len(content)))
    kind = rng.integers(5)
    if kind == 0:
        content[at] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        size = int(rng.integers(1, 9))
        content[at : at + size] = rng.bytes(size)
    elif kind == 2:
        del content[at : at + int(rng.integers(1, 20))]
    elif kind == 3:
        content[at:at] = rng.bytes(int(rng.integers(1, 20)))
    else:
        del content[at:]
    return bytes(content)


def check_mutations(tmp_path, prefix, count, seed=0):
    """Each mutation of a file gives an error, or the numbers that were written."""
    rng = np.random.default_rng(seed)
    for file in prefix.parent.iterdir():
        shutil.copy(file, tmp_path)
    files = sorted(tmp_path.glob("model*"))
    errors = 0
    for _ in range(count):
        file = files[int(rng.integers(len(files)))]
        good = file.read_bytes()
        file.write_bytes(mutated(good, rng))
        try:
            reader = tf_checkpoint.load_checkpoint(tmp_path / prefix.name)
            for name in reader.get_variable_to_shape_map():
                np.testing.assert_array_equal(reader.get_tensor(name), VALUES[name])
            assert set(reader.get_variable_to_shape_map()) == HELD[prefix]
        except RestoreError:
            errors += 1
        file.write_bytes(good)
    return errors


@pytest.mark.long
@pytest.mark.parametrize("prefix", [V2, V1, GOLDEN / "v2_snappy" / "model.ckpt-7"],
                         ids=lambda path: path.parent.name)  # fmt: skip
def test_damaged_files_give_an_error_and_never_a_wrong_number(tmp_path, prefix):
    errors = check_mutations(tmp_path, prefix, MUTATIONS)
    assert errors > 0.9 * MUTATIONS


if __name__ == "__main__":  # python tests/tf_checkpoint/test_tf_checkpoint_reading.py 20000
    import tempfile

    for prefix in HELD:
        with tempfile.TemporaryDirectory() as folder:
            number = int(sys.argv[1])
            found = check_mutations(pathlib.Path(folder), prefix, number, seed=1)
            print(f"{prefix.parent.name}: {number} mutations, {found} errors, no wrong number")
