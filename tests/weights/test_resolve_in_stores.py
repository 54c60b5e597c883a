"""Files of other frameworks in buckets become checkpoints in the cache of this machine."""

import jax
import numpy as np
import pytest

import jslim as slim
from jslim import tf_checkpoint, weights
from jslim.checkpoints import save_safetensors
from jslim.core.errors import RestoreError
from jslim.host import files
from tests.weights.test_resolve import TIMM, write_archive
from tests.weights.test_translation import arrays_of


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_file_of_timm(store, caplog):
    save_safetensors(store("model.safetensors"), arrays_of(TIMM))
    with caplog.at_level("INFO", "jslim"):
        path = weights.resolve(store("model.safetensors"))
    assert f"{store('model.safetensors')} is copied to this machine: " in caplog.text
    assert path.endswith(".safetensors")
    classifier = slim.load(store("model.safetensors"))
    assert classifier.contract["model_name"] == "mobilenet_v3_small_minimalistic"
    assert weights.resolve(store("model.safetensors")) == path
    save_safetensors(store("model.safetensors"), arrays_of(TIMM))
    files.write_bytes(store("m.pth"), b"")
    with pytest.raises(RestoreError, match=r"m\.pth holds pickled weights"):
        weights.resolve(store("m.pth"))


def test_an_archive_of_tensorflow(store, tmp_path):
    model = slim.Model(slim.nets.nets_factory.get_network_fn("lenet", 10))
    shapes = jax.eval_shape(
        model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 28, 28, 1), np.float32)
    )
    random = np.random.default_rng(0)
    held = {
        name: random.normal(size=leaf.shape).astype(np.float32)
        for name, leaf in slim.get_variables(shapes).items()
    }
    files.write_bytes(store("a.tar.gz"), write_archive(tmp_path / "a.tar.gz", held).read_bytes())
    found = slim.checkpoints.load_variables(weights.resolve(store("a.tar.gz"), "lenet"))
    assert found.keys() == held.keys()
    for name, array in held.items():
        np.testing.assert_array_equal(found[name], array)
    prefix = tf_checkpoint.save_checkpoint(store("m.ckpt-5"), held)
    assert weights.resolve(prefix) == prefix
    np.testing.assert_array_equal(
        slim.checkpoints.load_variables(prefix)["LeNet/conv1/weights"], held["LeNet/conv1/weights"]
    )


def test_a_name_that_is_nearly_there(store):
    files.write_bytes(store("photos.ckpt.index"), b"")
    with pytest.raises(weights.UnknownWeights, match=f"there is no checkpoint at {store('foto')}"):
        weights.resolve(store("foto"))
