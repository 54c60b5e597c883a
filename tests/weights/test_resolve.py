"""Names, archives and files of others become checkpoints that say all about themselves."""

import contextlib
import hashlib
import http.server
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import threading
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image

import jslim as slim
from jslim import tf_checkpoint, weights
from jslim.checkpoints import save_safetensors
from jslim.core.errors import RestoreError
from jslim.core.model import shapes_of
from jslim.nets import nets_factory
from jslim.weights import _translation
from jslim.weights._translation import Foreign
from tests.weights.test_translation import arrays_of, golden

# Of the extra [hub], which `make test` does not install.
h5py = pytest.importorskip("h5py")

TIMM = Foreign("timm", "tf_mobilenetv3_small_minimal_100")
KERAS = Foreign("keras", "MobileNetV2")
ARCHIVE = "mobilenet_v1_0.25_224.tgz"
ADDRESS = f"storage.googleapis.com/download.tensorflow.org/models/mobilenet_v1_2018_08_02/{ARCHIVE}"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and no network but loopback."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "cache"


def variables_of(network, num_classes):
    """Random variables by name."""
    model = slim.Model(nets_factory.get_network_fn(network, num_classes))
    side = nets_factory.get_network(network).image_size
    shapes = shapes_of(
        model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
    )
    rng = np.random.default_rng(5)
    return {
        name: rng.uniform(0.5, 1, leaf.shape).astype(np.float32)
        for name, leaf in slim.get_variables(shapes).items()
    }


def write_archive(path, variables):
    """An archive as TF-Slim published them: a checkpoint and files that are no part of it."""
    folder = path.parent / "unpacked"
    folder.mkdir(parents=True)
    tf_checkpoint.save_checkpoint(folder / "mobilenet_v1_0.25_224.ckpt", variables)
    (folder / "mobilenet_v1_0.25_224.ckpt.meta").write_bytes(b"a graph")
    (folder / "mobilenet_v1_0.25_224_frozen.pb").write_bytes(b"a graph")
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(folder.iterdir()):
            archive.add(file, f"./{file.name}")
    return path


class Store(http.server.BaseHTTPRequestHandler):
    """Files by path; it can break off, and it sends what it is told."""

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        self.server.requests.append((self.command, self.path, self.headers.get("Range")))
        content = self.server.files.get(self.path.lstrip("/"))
        if content is None:
            self.send_error(404)
            return
        start = 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        # What the hub adds, for its library.
        tag = self.server.tags.get(self.path.lstrip("/"), hashlib.sha256(content).hexdigest())
        self.send_header("ETag", f'"{tag}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        if with_body:
            end = len(content)
            if self.server.breaks:
                self.server.breaks -= 1
                end = start + (end - start) // 2
            self.wfile.write(content[start:end])
            if end < len(content):
                self.wfile.flush()
                self.connection.close()

    def log_message(self, *_):
        pass


@pytest.fixture
def store():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Store)
    server.files, server.tags, server.requests, server.breaks = {}, {}, [], 0
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_of_timm_is_loaded_and_knows_its_network():
    arrays = arrays_of(TIMM)
    save_safetensors("model.safetensors", {**arrays, "bn1.num_batches_tracked": np.int64(3)})
    classifier = slim.load("model.safetensors")
    assert classifier.contract["model_name"] == "mobilenet_v3_small_minimalistic"
    assert classifier.class_names[:2] == ["tench, Tinca tinca", "goldfish, Carassius auratus"]
    assert classifier.contract["labels_offset"] == 1
    assert classifier.contract["preprocessing_name"] == "inception"
    kernel = classifier.variables["params"]["MobilenetV3"]["Conv"]["weights"]
    assert np.array_equal(kernel, arrays["conv_stem.weight"].transpose(2, 3, 1, 0))


def write_h5(path, arrays, *, is_old):
    """A file as Keras 2 (or before) writes it, or as Keras 3 writes the same format."""
    with h5py.File(path, "w") as file:
        root = file if is_old else file.create_group("model_weights")
        layers = list(dict.fromkeys(name.split("/")[0] for name in arrays))
        root.attrs["layer_names"] = [layer.encode() for layer in layers] if is_old else layers
        for layer in layers:
            group = root.create_group(layer)
            names = [name for name in arrays if name.split("/")[0] == layer]
            written = {}
            for name in names:
                as_was = name.replace("depthwise/kernel", "depthwise/depthwise_kernel")
                written[f"{as_was}:0" if is_old else name] = arrays[name]
            group.attrs["weight_names"] = [n.encode() if is_old else n for n in written]
            for name, array in written.items():
                group[name] = array


def write_keras(path, arrays):
    """A `.keras` file: a configuration, and arrays by the number of the layer within its kind."""
    kinds = {"depthwise": "DepthwiseConv2D", "predictions": "Dense"}
    groups = {"DepthwiseConv2D": "depthwise_conv2d", "Dense": "dense", "Conv2D": "conv2d"}
    groups["BatchNormalization"] = "batch_normalization"
    layers, counts, content = [], {}, io.BytesIO()
    with h5py.File(content, "w") as file:
        for layer in dict.fromkeys(name.split("/")[0] for name in arrays):
            held = [array for name, array in arrays.items() if name.split("/")[0] == layer]
            kind = kinds.get(layer.rsplit("_", 1)[-1], "Conv2D")
            if any(name == f"{layer}/gamma" for name in arrays):
                kind = "BatchNormalization"
            number = counts[kind] = counts.get(kind, -1) + 1
            config = {"name": layer, "use_bias": f"{layer}/bias" in arrays}
            layers.append({"class_name": kind, "config": config})
            group = f"{groups[kind]}_{number}" if number else groups[kind]
            for index, array in enumerate(held):
                file[f"layers/{group}/vars/{index}"] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"config": {"layers": layers}}))
        archive.writestr("model.weights.h5", content.getvalue())


@pytest.mark.parametrize("kind", ["keras", "keras2", "h5"])
def test_a_file_of_keras_is_loaded(kind):
    arrays = arrays_of(KERAS)
    if kind == "keras":
        write_keras("mine.keras", arrays)
    else:
        write_h5("mine.h5", arrays, is_old=kind == "keras2")
    path = weights.resolve("mine.keras" if kind == "keras" else "mine.h5")
    found = slim.checkpoints.load_variables(path)
    expected = _translation.to_tf_slim(KERAS, arrays, "here")
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_an_archive_as_published_is_read_without_unpacking(tmp_path):
    variables = variables_of("mobilenet_v1_025", 1001)
    averages = {f"{n}/ExponentialMovingAverage": a + 1 for n, a in variables.items()}
    held = {**variables, **averages, "global_step": np.int64(9)}
    path = write_archive(tmp_path / "my.tar.gz", held)
    with pytest.raises(RestoreError, match=r"my.tar.gz does not say which network it is of"):
        weights.resolve(path)
    classifier = slim.load(path, model_name="mobilenet_v1_025")
    assert classifier.class_names[:2] == ["background", "tench, Tinca tinca"]
    assert classifier.contract["labels_offset"] == 0
    found = slim.get_variables(classifier.variables)
    # Published accuracies are those of the averages.
    assert all(np.array_equal(found[name], variables[name] + 1) for name in variables)
    # The name that it was published with says the rest.
    published = path.rename(tmp_path / ARCHIVE)
    assert slim.load(published).contract["weights"] == "tf-slim/mobilenet_v1_0.25_224"


def test_weights_are_downloaded_once_and_after_a_break_go_on(store, tmp_path, monkeypatch):
    monkeypatch.setenv("JSLIM_WEIGHTS_MIRROR", store.url)
    variables = variables_of("mobilenet_v1_025", 1001)
    content = write_archive(tmp_path / "a.tgz", variables).read_bytes()
    store.files[ADDRESS] = content
    store.breaks = 2
    path = weights.resolve("mobilenet_v1_025")
    assert np.array_equal(
        slim.checkpoints.load_variables(path)["MobilenetV1/Conv2d_0/weights"],
        variables["MobilenetV1/Conv2d_0/weights"],
    )
    starts = [wanted for _, _, wanted in store.requests]
    assert starts[0] is None
    assert len(starts) == 3
    assert all(int(s.removeprefix("bytes=").rstrip("-")) > 0 for s in starts[1:])
    assert weights.resolve("mobilenet_v1_0.25_224") == path
    assert weights.resolve("pretrained", "mobilenet_v1_025") == path
    assert len(store.requests) == 3
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert weights.resolve("tf-slim/mobilenet_v1_0.25_224") == path


def test_other_bytes_than_at_the_first_download_are_refused(store, tmp_path, monkeypatch, cache):
    monkeypatch.setenv("JSLIM_WEIGHTS_MIRROR", store.url)
    variables = variables_of("mobilenet_v1_025", 1001)
    store.files[ADDRESS] = write_archive(tmp_path / "a.tgz", variables).read_bytes()
    weights.resolve("mobilenet_v1_025")
    (kept,) = cache.glob(f"jslim/weights/files/**/{ARCHIVE}")
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    with pytest.raises(RestoreError, match="does not have the hash that it had at its first down"):
        weights.resolve("mobilenet_v1_025")
    assert not kept.exists()
    weights.resolve("mobilenet_v1_025")


def test_another_hash_than_keras_says_is_refused(store, monkeypatch, cache):
    monkeypatch.setenv("JSLIM_WEIGHTS_MIRROR", store.url)
    row = weights.find("keras/MobileNetV3Small")
    store.files[row.address.removeprefix("https://")] = b"not this file"
    with pytest.raises(RestoreError, match="does not have the hash that the table of jslim says"):
        weights.resolve("keras/MobileNetV3Small")
    assert not list(cache.glob("jslim/weights/files/**/*.h5"))


def test_what_cannot_be_downloaded_is_said(store, monkeypatch):
    monkeypatch.setenv("JSLIM_WEIGHTS_MIRROR", store.url)
    with pytest.raises(
        RestoreError, match=r"vgg_16\S* cannot be downloaded: 127.* answers 404 Not Found; "
    ):
        weights.resolve("vgg_16")
    monkeypatch.setenv("JSLIM_WEIGHTS_MIRROR", "http://127.0.0.1:1")
    with pytest.raises(RestoreError, match=r"there is no connection to 127.*, or take keras/VGG16"):
        weights.resolve("vgg_16")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(RestoreError, match="HF_HUB_OFFLINE is set, and it is not in the cache"):
        weights.resolve("vgg_16")


def test_a_path_wins_over_a_name(tmp_path):
    save_safetensors(tmp_path / "a.safetensors", {"w": np.zeros(2)})
    pathlib.Path("inception_v3").mkdir()
    assert weights.resolve("inception_v3") == "inception_v3"
    assert weights.resolve(tmp_path / "a.safetensors") == str(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("inception_v33", "did you mean 'inception_v3'"),
        ("timm/inception_v3.tf_in1", "did you mean 'timm/inception_v3.tf_in1k'"),
        ("lenet", "there are none of lenet that jslim knows"),
        ("runs/mode.safetensors", "did you mean the path 'runs/model.safetensors'"),
        ("pretrained", "say which, by model_name"),
    ],
)
def test_neither_a_path_nor_a_name(given, message):
    pathlib.Path("runs").mkdir()
    pathlib.Path("runs/model.safetensors").touch()
    with pytest.raises(RestoreError, match=message):
        weights.resolve(given)


def test_pickles_are_refused():
    pathlib.Path("pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(RestoreError, match="pickled weights, which are code that runs when"):
        slim.load("pytorch_model.bin")


def test_files_that_fit_no_network():
    arrays = arrays_of(TIMM)
    save_safetensors("other.safetensors", {**arrays, "more.running_mean": np.zeros(3)})
    with pytest.raises(RestoreError, match=r"holds more\.running_mean, which tf_mobilenetv3_small"):
        weights.resolve("other.safetensors", "mobilenet_v3_small_minimalistic")
    del arrays["bn1.bias"]
    save_safetensors("less.safetensors", arrays)
    with pytest.raises(RestoreError, match=r"lacks bn1\.bias of tf_mobilenetv3_small_minimal_100"):
        weights.resolve("less.safetensors", "mobilenet_v3_small_minimalistic")
    with pytest.raises(RestoreError, match=r"is of no network of timm that jslim translates"):
        weights.resolve("less.safetensors")
    pathlib.Path("broken.h5").write_bytes(b"no file of Keras")
    with pytest.raises(RestoreError, match=r"broken.h5 is no file of Keras, or is damaged"):
        weights.resolve("broken.h5")
    with h5py.File("only.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros(3)
    with pytest.raises(RestoreError, match=r"save the whole model as \.keras or \.h5"):
        weights.resolve("only.weights.h5")
    pathlib.Path("broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(RestoreError, match=r"broken.tar.gz cannot be unpacked"):
        weights.resolve("broken.tar.gz", "vgg_16")


def test_scales_that_the_network_lacks_are_said(caplog):
    arrays = arrays_of(Foreign("timm", "inception_v3"))
    _translation.to_tf_slim(Foreign("timm", "inception_v3"), arrays, "here")
    assert "here has scales of batch normalizations that inception_v3 lacks" in caplog.text


def test_every_row_of_the_table_is_of_a_network():
    names = [row.name for row in weights.WEIGHTS]
    assert len(set(names)) == len(names)
    for row in weights.WEIGHTS:
        assert row.network in nets_factory.NETWORKS
        assert weights.find(row.name) == row
        assert row.num_classes in (1000, 1001)
        if row.source != "tf-slim":
            assert Foreign(row.source, row.model).network == row.network
            assert str(Foreign(row.source, row.model)) in golden()


def test_the_reverse_refuses_what_is_not_there():
    with pytest.raises(ValueError, match="there is no timm/inception_v33; did you mean"):
        weights.from_tf_slim("timm", "inception_v33", {})
    with pytest.raises(RestoreError, match="the variables have no head MobilenetV3/Logits"):
        weights.from_tf_slim(*TIMM, {})


@pytest.mark.long
def test_predict_by_the_name_on_the_hub(store, tmp_path):
    name = "timm/tf_mobilenetv3_small_minimal_100.in1k"
    save_safetensors(tmp_path / "m.safetensors", arrays_of(TIMM))
    content = (tmp_path / "m.safetensors").read_bytes()
    store.files[f"{name}/resolve/main/model.safetensors"] = content
    Image.new("RGB", (300, 200), (200, 30, 30)).save(tmp_path / "photo.jpg")
    env = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    env |= {"HF_ENDPOINT": store.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"}

    def predict():
        command = [sys.executable, "-m", "jslim", "predict", f"--weights={name}", "photo.jpg"]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)

    done = predict()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].startswith("photo.jpg,")
    with contextlib.suppress(FileNotFoundError):
        (tmp_path / "hf" / "hub" / "version.txt").unlink()
    # A file of another content than the hub says.
    store.files[f"{name}/resolve/main/model.safetensors"] = content[:-1] + b"x"
    store.tags[f"{name}/resolve/main/model.safetensors"] = hashlib.sha256(b"other").hexdigest()
    env["HF_HOME"] = str(tmp_path / "hf2")
    done = predict()
    assert done.returncode != 0
    assert "does not have the hash that the hub says" in done.stderr
