"""What cannot be says what takes its place, and where to read more."""

import pathlib
import re

import pytest

from jslim.compat import tf
from jslim.compat.tf import _missing

GUIDE = (pathlib.Path(__file__).parents[2] / "docs" / "migration.md").read_text()


def asked_for(name):
    held = tf
    for part in name.split("."):
        held = getattr(held, part)
    # Only a call of these two is refused.
    assert name in ("train.Optimizer.minimize", "train.RMSPropOptimizer(centered=True)")
    raise _missing.refusal(f"tf.{name}")


@pytest.mark.parametrize("name", _missing.names())
def test_a_name_that_cannot_be(name):
    message = rf"tf\.{re.escape(name)}: .*; see docs/migration.md#([\w-]+)$"
    with pytest.raises(AttributeError, match=message) as refused:
        asked_for(name)
    heading = re.search(message, str(refused.value)).group(1)
    titles = re.findall(r"^## (.*)$", GUIDE, re.MULTILINE)
    assert heading in [title.lower().replace(" ", "-").replace(",", "") for title in titles]


SENTENCES = {
    "Session": "there is no session: a model function gives its results, by model.apply",
    "Graph": "there is no graph: write what is built as a function of arrays",
    "placeholder": "there are no placeholders: make what is fed an argument",
    "global_variables_initializer": "variables are made by model.init",
    "train.batch": "write what is done with one record as a function",
    "TextLineReader": "there are no queues and readers in a graph: use slim.data.batches",
    "image.encode_jpeg": "images are decoded on the host",
    "train.Saver": "train writes checkpoints, and slim.assign_from_checkpoint_fn reads them",
    "summary.FileWriter": "give slim.learning.train a logdir, or write by slim.summary.Summary",
    "gradients": "differentiate a function: jax.grad",
    "train.SyncReplicasOptimizer": "give the optimizer to slim.learning.create_train_op",
    "set_random_seed": "random numbers come from keys",
    "train.Supervisor": "slim.learning.train has the loop",
    "nn.dynamic_rnn": "TF-Slim has no recurrent cells",
    "keras": "Keras and estimators are other libraries than slim",
    "metrics": "slim.metrics has it, as functions of a state",
    "train.ClusterSpec": "devices and machines are a mesh",
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_sentence(name):
    with pytest.raises(_missing.NotInJslim, match=re.escape(SENTENCES[name])):
        raise _missing.refusal(f"tf.{name}")


def test_every_sentence_is_tested():
    assert {_missing._WHY[n][0].split(";")[0] for n in SENTENCES} >= {
        why.split(";")[0] for why, _ in _missing._WHY.values()
    }


def test_a_name_that_does_not_exist():
    message = (
        r"tf\.nn\.rellu is not among the names .*; did you mean 'relu' .*; docs/compat.md lists"
    )
    with pytest.raises(AttributeError, match=message):
        _ = tf.nn.rellu
    with pytest.raises(AttributeError, match=r"tf\.contrib\.sllim is not among the names"):
        _ = tf.contrib.sllim
