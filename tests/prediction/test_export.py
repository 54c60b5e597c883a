"""Exported models in processes without jslim, and variables for other programs."""

import json
import subprocess
import sys
import zipfile

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import jslim as slim
from jslim import checkpoints, data, export, tf_checkpoint
from jslim.cli import export as export_program
from jslim.cli import train
from jslim.core.errors import RestoreError
from jslim.preprocessing import on_device, preprocessing_factory


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained")
    flags = [
        "train.py", "--dataset_name=digits", "--model_name=lenet", "--train_image_size=8",
        "--batch_size=32", "--optimizer=momentum", "--save_summaries_secs=0",
        f"--train_dir={directory}", "--max_number_of_steps=60", "--moving_average_decay=0.9",
    ]  # fmt: skip
    assert train.main(flags) == 0
    return directory


@pytest.fixture(scope="module")
def images():
    digits = data.get_dataset("digits", "test")
    return np.stack([digits[i]["image"] for i in range(13)])


READER = """
import json, sys, zipfile
import jax, jax.export, numpy as np
with zipfile.ZipFile(sys.argv[1]) as file:
    exported = jax.export.deserialize(bytearray(file.read("model.jaxexport")))
    names = json.loads(file.read("contract.json"))["class_names"]
for count in (1, 5, 13):
    logits = np.asarray(exported.call(np.load(sys.argv[2])[:count]))
    np.save(f"{sys.argv[2]}.{count}.npy", logits)
print([names[i] for i in logits.argmax(1)])
assert not {"jslim", "flax", "optax", "orbax"} & set(sys.modules)
"""


@pytest.mark.long
@pytest.mark.parametrize("use_moving_averages", [False, True])
def test_process_with_jax_alone_gives_the_same_bits(trained, images, tmp_path, use_moving_averages):
    path = export.export_inference_graph(
        trained, tmp_path / "lenet.zip", use_moving_averages=use_moving_averages
    )
    np.save(tmp_path / "images.npy", images)
    done = subprocess.run(
        [sys.executable, "-c", READER, path, tmp_path / "images.npy"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    classifier = slim.load(trained, use_moving_averages=use_moving_averages)
    function = jax.jit(export.inference_fn(classifier))
    for count in (1, 5, 13):
        found = np.load(tmp_path / f"images.npy.{count}.npy")
        np.testing.assert_array_equal(found, function(images[:count]), strict=True)
    assert done.stdout.strip() == str(classifier.predict(images).class_names), done.stderr


@pytest.mark.long
def test_contract_says_what_goes_in_and_comes_out(trained, images, tmp_path):
    path = export.export_inference_graph(trained, tmp_path / "x.zip", platforms=["cpu"])
    with zipfile.ZipFile(path) as file:
        contract = json.loads(file.read("contract.json"))
    assert contract["inputs"] == "uint8 [batch, 8, 8, 1], values 0 to 255"
    assert contract["outputs"] == "float32 [batch, 10], logits"
    assert contract["class_names"] == [str(i) for i in range(10)]
    assert (contract["step"], contract["platforms"]) == (60, ["cpu"])
    loaded = export.load_inference_graph(path)
    found = loaded.predict(images)
    wanted = slim.load(trained).predict(images)
    assert found.class_names == wanted.class_names
    np.testing.assert_allclose(found.probabilities, wanted.probabilities, rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError) as error:
        loaded.predict(images.astype(np.float32))
    assert str(error.value) == (
        "predict: images must be uint8 [batch, 8, 8, 1], got float32 (13, 8, 8, 1); resize them, "
        "as slim.load(...).predict does"
    )


def test_all_platforms_are_in_it_and_one_has_its_own_lowering(trained, tmp_path):
    path = export.export_inference_graph(trained, tmp_path / "x.zip")
    with zipfile.ZipFile(path) as file:
        exported = jax.export.deserialize(bytearray(file.read("model.jaxexport")))
    assert exported.platforms == ("cpu", "cuda", "tpu")

    def program(platform):
        def net(images):
            return slim.separable_conv2d(images, None, [3, 3], 1)

        model = slim.Model(net)
        shape = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)
        variables = jax.eval_shape(model.init, jax.random.key(0), shape)
        from jslim.layers._lowering import lowered_for

        with lowered_for(platform):
            return str(jax.make_jaxpr(lambda v, x: model.apply(v, x))(variables, shape))

    assert "conv_general_dilated" in program("gpu")
    assert "conv_general_dilated" not in program("cpu")


def test_batch_size_can_be_fixed(trained, images, tmp_path):
    path = export.export_inference_graph(trained, tmp_path / "x.zip", batch_size=4)
    loaded = export.load_inference_graph(path)
    assert loaded.predict(images[:4]).probabilities.shape == (4, 10)
    with pytest.raises(ValueError, match="4"):
        loaded.logits(images)


def test_a_network_that_asks_for_its_batch_size_is_exported_for_one(trained, tmp_path):
    classifier = slim.load(trained)
    classifier.model = slim.Model(lambda images: (jnp.zeros([int(images.shape[0]), 10]), {}))
    with pytest.raises(ValueError, match=r"give batch_size=N \(jslim export: --batch_size=N\)"):
        export.export_inference_graph(classifier, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()
    export.export_inference_graph(classifier, tmp_path / "x.zip", batch_size=4)


@pytest.mark.parametrize("name", ["lenet", "cifarnet", "vgg"])
def test_the_half_on_the_device_is_the_end_of_preprocessing(name):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 12, 10, 3), dtype=np.uint8)
    images[2] = 7  # of deviation 0
    options = {"resize_side_min": 10} if name == "vgg" else {}
    preprocess = preprocessing_factory.get_preprocessing(name)
    size = (10, 10) if name == "vgg" else (12, 10)
    cropped = images[:, 1:11] if name == "vgg" else images
    wanted = [preprocess(image, *size, **options) for image in images]
    found = on_device.get_device_preprocessing(name)(jnp.asarray(cropped))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert found.dtype == jnp.float32


def test_unknown_preprocessing_of_the_device_offers_the_nearest():
    with pytest.raises(
        ValueError, match=r"was not recognized: known are cifarnet, .*; did you mean"
    ):
        on_device.get_device_preprocessing("vgg_18")


@pytest.mark.parametrize(
    ("platforms", "text"),
    [
        (["gpu"], "export: platforms must be of cpu, cuda, tpu, got 'gpu'"),
        ([], "export: platforms must name at least one of cpu, cuda, tpu"),
    ],
)
def test_unknown_platforms(trained, tmp_path, platforms, text):
    with pytest.raises(ValueError) as error:
        export.export_inference_graph(trained, tmp_path / "x.zip", platforms=platforms)
    assert str(error.value).startswith(text)
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_files_are_refused(trained, tmp_path):
    path = tmp_path / "x.zip"
    export.export_inference_graph(trained, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    for bad in (path, tmp_path / "none.zip"):
        with pytest.raises(RestoreError) as error:
            export.load_inference_graph(bad)
        assert str(error.value).startswith(f"{bad} is no exported model, or is damaged: ")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("contract.json", '{"jax_version": "99.0"}')
        file.writestr("model.jaxexport", b"newer")
    with pytest.raises(RestoreError, match=r"was exported by jax 99\.0, and jax .* cannot read it"):
        export.load_inference_graph(path)


def test_missing_packages_are_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    with pytest.raises(ImportError, match=r"flatbuffers, which is not installed; run: pip install"):
        export.export_inference_graph(trained, tmp_path / "x.zip")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"safetensors, which is not installed; run: pip install"):
        export.export_variables(trained, tmp_path / "x.safetensors")


@pytest.mark.long
@pytest.mark.parametrize("file", ["x.safetensors", "model.ckpt-60"])
@pytest.mark.parametrize("use_ema", [False, True])
def test_variables_for_other_programs_are_read_back_equal(trained, tmp_path, file, use_ema):
    path = export.export_variables(trained, tmp_path / file, use_moving_averages=use_ema)
    held = checkpoints.restore_variables(trained, use_ema=use_ema)
    wanted = slim.get_variables(held)
    found = checkpoints.load_variables(path)
    if "ckpt" in file:
        assert found.pop("global_step") == 60
        assert tf_checkpoint.load_variable(path, "global_step").dtype == np.int64
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
    start = jax.tree.map(np.zeros_like, held)
    restored = slim.assign_from_checkpoint_fn(path, start)(start)
    jax.tree.map(np.testing.assert_array_equal, restored, held)
    known = {} if "safetensors" in file else {"model_name": "lenet", "image_size": 8}
    loaded = slim.load(path, **known)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables["params"], held["params"])


def test_safetensors_of_all_kinds(tmp_path):
    arrays = {
        "scalar": np.float32(2.5),
        "half": np.array([1, 2], np.float16),
        "brain": np.array([1, 2], ml_dtypes.bfloat16),
        "integers": np.arange(6, dtype=np.int64).reshape(2, 3).T,
        "bytes": np.arange(4, dtype=np.uint8),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float64),
    }
    path = checkpoints.save_safetensors(tmp_path / "new" / "a.safetensors", arrays)
    reader = checkpoints.open_checkpoint(path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(reader.get_tensor(name), array, strict=True)
        assert reader.get_variable_to_dtype_map()[name] == array.dtype.name
        assert reader.get_variable_to_shape_map()[name] == array.shape
    assert reader.has_tensor("half")
    with pytest.raises(RestoreError, match="has no variable 'halve'; did you mean 'half'"):
        reader.get_tensor("halve")
    with pytest.raises(ValueError, match="save_safetensors: there are no arrays"):
        checkpoints.save_safetensors(tmp_path / "b.safetensors", {})
    (tmp_path / "bad.safetensors").write_bytes(b"12345678{")
    with pytest.raises(RestoreError, match=r"bad.safetensors is no safetensors file, or is dam"):
        checkpoints.open_checkpoint(tmp_path / "bad.safetensors")
    with pytest.raises(RestoreError, match=r"there is no checkpoint at .*none.safetensors"):
        checkpoints.open_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.long
def test_program_writes_each_kind(trained, tmp_path, capfd):
    for name in ("x.zip", "my.ckpts/x.zip", "x.safetensors", "model.ckpt", "model.ckpt-7"):
        flags = [f"--checkpoint_path={trained}", f"--output_file={tmp_path / name}"]
        assert export_program.main(["jslim-export", *flags, "--use_moving_averages"]) == 0
        assert f"wrote {tmp_path / name}" in capfd.readouterr().err
    for name in ("x.zip", "my.ckpts/x.zip"):
        assert export.load_inference_graph(tmp_path / name).contract["use_moving_averages"]
    assert checkpoints.open_checkpoint(tmp_path / "model.ckpt").has_tensor("LeNet/fc4/biases")
    assert export_program.main(["jslim-export", f"--checkpoint_path={trained}"]) == 2
    assert "--output_file is missing; give the file to write" in capfd.readouterr().err


def test_the_name_of_the_file_says_what_is_written(tmp_path):
    for name in ("lenet.onnx", "lenet", "lenet.safetensors"):
        with pytest.raises(
            ValueError, match=r"export: output_file must end in .zip \(an inf.*, got"
        ):
            export.export_inference_graph("not read", tmp_path / name)
    for name in ("lenet.zip", "lenet.h5", "lenet.ckpt.index"):
        with pytest.raises(
            ValueError, match=r"must end in .safetensors \(the variables\) or .ckpt"
        ):
            export.export_variables("not read", tmp_path / name)
    with pytest.raises(ValueError, match=r"save_safetensors: path must end in .safetensors"):
        checkpoints.save_safetensors(tmp_path / "lenet.npz", {"a": np.ones(1)})
    for call in (export.export_inference_graph, export.export_variables):
        with pytest.raises(ValueError, match="export: output_file must be a path on this machine"):
            call("not read", "http://bucket/lenet.zip")
    assert list(tmp_path.iterdir()) == []
