"""`tf.contrib.training` and `tf.contrib.metrics`."""

import copy

import jax.numpy as jnp
import pytest

import jslim as slim
from jslim.compat import tf

HParams = tf.contrib.training.HParams


def made():
    return HParams(rate=0.1, steps=10, name="a", sizes=[1, 2], is_fast=False, path=None)


def test_hparams_are_attributes():
    hparams = made()
    assert (hparams.rate, hparams.sizes, hparams.get("rate"), hparams.get("no", 3)) == (
        *(0.1, [1, 2], 0.1, 3),
    )
    assert "rate" in hparams
    assert list(hparams.values()) == ["rate", "steps", "name", "sizes", "is_fast", "path"]
    assert copy.deepcopy(hparams).values() == hparams.values()
    assert repr(HParams(a=1)) == "HParams(a=1)"
    hparams.del_hparam("rate")
    hparams.add_hparam("momentum", 0.9)
    assert hparams.to_json(sort_keys=True).startswith('{"is_fast": false, "momentum": 0.9, "name"')
    hparams.set_model_structure("graph")
    assert hparams.get_model_structure() == "graph"


def test_hparams_are_set_from_texts_and_dicts():
    hparams = made().parse("rate=1,steps=3,name=b c,sizes=[3, 4,5],is_fast=True, sizes[1]=7")
    assert hparams.values() == {
        **{"rate": 1.0, "steps": 3, "name": "b c", "sizes": [3, 7, 5], "is_fast": True},
        "path": None,
    }
    hparams.override_from_dict({"path": "x", "rate": 2, "name": b"d"})
    hparams.parse_json('{"steps": 5}')
    hparams.set_hparam("sizes", (8, 9))
    assert hparams.values() == {
        **{"rate": 2.0, "steps": 5, "name": "d", "sizes": [8, 9], "is_fast": True},
        "path": "x",
    }
    assert isinstance(hparams.rate, float)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: made().no, "HParams has no 'no'; it has rate, steps, name, sizes"),
        (lambda: made().set_hparam("stepz", 1), "there is no 'stepz'; did you mean 'steps'"),
        (lambda: made().set_hparam("steps", 1.5), "HParams: steps must be of type int, got 1.5"),
        (lambda: made().set_hparam("is_fast", 1), "HParams: is_fast must be of type bool, got 1"),
        (lambda: made().set_hparam("steps", True), "HParams: steps must be of type int, got True"),
        (lambda: made().set_hparam("name", 3), "HParams: name must be of type str, got 3"),
        (lambda: made().set_hparam("sizes", 3), "HParams: sizes must be a list, got 3"),
        (lambda: made().set_hparam("steps", [3]), r"HParams: steps must be a single value, got \["),
        (lambda: made().parse("steps=x"), "HParams: steps must be of type int, got 'x'"),
        (lambda: made().parse("is_fast=maybe"), "is_fast must be of type bool, got 'maybe'"),
        (lambda: made().parse("steps=3,="), "values must be name=value pairs .*, got '='"),
        (lambda: made().add_hparam("rate", 1), "'rate' is there already, or the name of a method"),
        (lambda: HParams(parse=1), "'parse' is there already, or the name of a method"),
        (lambda: HParams(a=[]), "HParams: the list 'a' is empty"),
    ],
)
def test_what_hparams_refuse(act, message):
    with pytest.raises((ValueError, AttributeError), match=message):
        act()


def test_metrics_of_a_batch():
    predictions, labels = jnp.array([1, 0, 2, 2]), jnp.array([1, 1, 2, 0])
    metrics = tf.contrib.metrics
    assert float(metrics.accuracy(predictions, labels)) == 0.5
    assert float(metrics.accuracy(predictions, labels, weights=[3.0, 1.0, 0.0, 0.0])) == 0.75
    assert metrics.confusion_matrix(labels, predictions, 3).tolist() == (
        [[0, 0, 1], [1, 1, 0], [0, 0, 1]]
    )
    assert metrics.streaming_auc is slim.metrics.streaming_auc
    assert tf.contrib.losses.add_loss is slim.losses.add_loss
