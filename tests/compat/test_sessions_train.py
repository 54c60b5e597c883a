"""`sessions.train`, and an `init_fn` that is made when there is a state."""

import numpy as np
import pytest

import jslim as slim
from jslim.compat import sessions


def total_loss(batch):
    net = slim.fully_connected(batch["x"], 2, activation_fn=None, scope="first")
    return (slim.fully_connected(net, 1, activation_fn=None, scope="second") ** 2).mean()


def batches():
    while True:
        yield {"x": np.ones([4, 3], np.float32)}


def made():
    return slim.learning.create_train_op(total_loss, slim.optimizers.sgd(0.01))


def test_the_loss_is_that_of_the_last_step(tmp_path):
    loss = sessions.train(
        made(), batches(), str(tmp_path), number_of_steps=3, saver=sessions.Saver(max_to_keep=1)
    )
    op = made()
    state = op.init(0, next(batches()))
    for _ in range(3):
        state, outputs = op(state, next(batches()))
    assert loss == float(outputs["loss"])
    assert [info.step for info in slim.checkpoints.list_steps(str(tmp_path))] == [3]
    assert sessions.train(made(), batches(), str(tmp_path), number_of_steps=3) is None


def test_variables_that_a_function_chooses(tmp_path):
    path = str(tmp_path / "model.ckpt")
    stored = {"first/weights": np.full([3, 2], 0.5, np.float32)}
    slim.tf_checkpoint.save_checkpoint(path, stored)
    seen = {}

    def get_init_fn(suffix, scope):
        seen["model"] = sessions.get_model_variables(scope)
        seen["restored"] = sessions.get_variables_to_restore(exclude=["second"])
        seen["trained"] = sessions.get_trainable_variables()
        chosen = [var for var in seen["model"] if var.op.name.endswith(suffix)]
        return sessions.assign_from_checkpoint_fn(path, chosen)

    states = []

    def init_fn(session):
        sessions.init_later(get_init_fn, "weights", scope="first")(session)
        states.append(np.asarray(session.state.params["first"]["weights"]))

    sessions.train(made(), batches(), number_of_steps=1, init_fn=init_fn)
    np.testing.assert_array_equal(states[0], stored["first/weights"])
    assert sorted(seen["model"]) == ["first/biases", "first/weights"]
    assert sorted(seen["restored"]) == ["first/biases", "first/weights"]
    assert len(seen["trained"]) == 4
    assert seen["model"][0].name == f"{seen['model'][0]}:0"
    assert sessions.train(
        made(), batches(), number_of_steps=1, init_fn=sessions.init_later(lambda: None)
    )


def test_variables_where_there_is_no_state():
    with pytest.raises(
        slim.ScopeError, match=r"get_model_variables: there is no state yet; call it"
    ):
        sessions.get_model_variables()
