"""Exported models and contracts that are not what they say."""

import json
import zipfile

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

import jslim as slim
from jslim import RestoreError, checkpoints, export

CONTRACT = {"class_names": ["a", "b"], "image_size": 4, "num_channels": 1, "jax_version": "1.0"}


def write(path, function, contract, **options):
    shape = jax.ShapeDtypeStruct((2, 4, 4, 1), jnp.uint8)
    program = jax.export.export(jax.jit(function), platforms=["cpu"], **options)(shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("contract.json", json.dumps(contract))
        archive.writestr("model.jaxexport", bytes(program.serialize()))


def mean(images):
    return images.astype(jnp.float32).mean((1, 2, 3), keepdims=True)[..., 0, 0] * jnp.ones((1, 2))


def foreign(images):
    call = jax.ffi.ffi_call("somebodys_code", jax.ShapeDtypeStruct((2, 2), jnp.float32))
    return call(mean(images))


def test_a_program_that_calls_code_outside_of_it_is_not_run(tmp_path):
    check = jax.export.DisabledSafetyCheck.custom_call("somebodys_code")
    write(tmp_path / "m.zip", foreign, CONTRACT, disabled_checks=[check])
    with pytest.raises(RestoreError) as error:
        export.load_inference_graph(tmp_path / "m.zip")
    assert str(error.value) == (
        f"{tmp_path / 'm.zip'} cannot be used: its program calls 'somebodys_code', which is code "
        "outside it; export it again"
    )


def test_a_program_that_ends_the_process_that_reads_it(tmp_path, monkeypatch):
    write(tmp_path / "m.zip", mean, CONTRACT)
    monkeypatch.setattr(export, "_LIST_CALLS", "import os; os.abort()")  # as MLIR does for some
    with pytest.raises(RestoreError, match="cannot be used: its program is damaged; export it"):
        export.load_inference_graph(tmp_path / "m.zip")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": None}, "m.zip does not say image_size, which is needed here; give a file"),
        ({"image_size": "4"}, "damaged: contract.image_size must be a whole number, got '4'; expo"),
        ({"class_names": ["a"]}, "its program is not of 4x4x1 images and class_names; export it"),
        ({"num_classes": 3}, "damaged: contract has 2 class_names for num_classes 3; export it ag"),
    ],
)
def test_a_contract_that_does_not_fit_its_program(tmp_path, changes, message):
    held = {key: value for key, value in {**CONTRACT, **changes}.items() if value is not None}
    write(tmp_path / "m.zip", mean, held)
    with pytest.raises(RestoreError) as error:
        export.load_inference_graph(tmp_path / "m.zip")
    assert message in str(error.value)


def test_a_program_that_does_not_run_is_named(tmp_path):
    write(tmp_path / "m.zip", mean, CONTRACT)
    loaded = export.load_inference_graph(tmp_path / "m.zip")
    assert loaded.predict(np.zeros((2, 4, 4, 1), np.uint8)).class_names == ["a", "a"]
    with pytest.raises(ValueError, match=r"predict: the program of .*m.zip does not run on images"):
        loaded.predict(np.zeros((3, 4, 4, 1), np.uint8))


@pytest.mark.parametrize(
    ("contract", "message"),
    [
        ({"model_name": "lenot"}, "cannot be used: there is no"),
        (
            {"model_name": "lenet", "num_classes": 7},
            "has a head of 3 classes, and says that",
        ),
        ({"model_name": "lenet", "preprocessing_name": "x"}, "cannot be used: Preprocessing name"),
        ({"model_name": "lenet", "class_names": "abc"}, "contract.class_names must be a list, got"),
    ],
)
def test_a_checkpoint_whose_contract_does_not_fit_it(tmp_path, contract, message):
    path = tmp_path / "m.safetensors"
    arrays = {"LeNet/fc4/weights": np.zeros((4, 3), "f4"), "LeNet/fc4/biases": np.zeros(3, "f4")}
    checkpoints.save_safetensors(path, arrays, {"contract": json.dumps(contract)})
    with pytest.raises(RestoreError) as error:
        slim.load(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_types_that_numpy_lacks_are_listed_and_not_read(tmp_path):
    header = json.dumps({"a": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}).encode()
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"ab")
    reader = checkpoints.open_checkpoint(path)
    assert reader.get_variable_to_dtype_map() == {"a": "F4"}
    with pytest.raises(RestoreError, match=r"a in .* is of type F4, which NumPy does not have"):
        reader.get_tensor("a")
