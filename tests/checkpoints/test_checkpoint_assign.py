import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint_states import assert_same, make_state, save_steps
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jslim.checkpoints import (
    CheckpointManager,
    assign_from_checkpoint,
    assign_from_checkpoint_fn,
    assign_from_values,
    assign_from_values_fn,
    open_checkpoint,
)
from jslim.core.errors import RestoreError

WEIGHTS = "lenet/conv1/weights"
BIASES = "lenet/conv1/biases"
MEAN = "lenet/conv1/BatchNorm/moving_mean"


def variables_of(state):
    return {"params": state.params, "batch_stats": state.batch_stats}


def conv1(tree):
    return tree["params"]["lenet"]["conv1"]


@pytest.fixture
def checkpoint(tmp_path):
    save_steps(tmp_path, 3)
    return tmp_path


def test_init_fn_gives_a_training_state_the_values(checkpoint):
    state = make_state(0)
    init_fn = assign_from_checkpoint_fn(checkpoint, [WEIGHTS, MEAN])
    found = init_fn(state)
    saved = make_state(3)
    expected = state.replace(
        params={
            "lenet": state.params["lenet"]
            | {
                "conv1": {
                    "weights": saved.params["lenet"]["conv1"]["weights"],
                    "biases": state.params["lenet"]["conv1"]["biases"],
                }
            }
        },
        batch_stats={
            "lenet": {
                "conv1": {
                    "BatchNorm": {
                        **state.batch_stats["lenet"]["conv1"]["BatchNorm"],
                        "moving_mean": saved.batch_stats["lenet"]["conv1"]["BatchNorm"][
                            "moving_mean"
                        ],
                    }
                }
            }
        },
    )
    assert_same(found, expected)


@pytest.mark.parametrize(
    "var_list",
    [
        lambda variables: variables,
        lambda variables: make_state(0),
        lambda variables: {
            WEIGHTS: conv1(variables)["weights"],
            BIASES: jax.ShapeDtypeStruct((4,), jnp.float32),
        },
        lambda variables: (WEIGHTS, BIASES),
        lambda variables: {WEIGHTS: WEIGHTS, BIASES: [BIASES]},
    ],
    ids=["tree", "state", "name to leaf", "names", "name to name"],
)
def test_var_list_may_have_several_forms(checkpoint, var_list):
    variables = variables_of(make_state(0))
    found = assign_from_checkpoint_fn(checkpoint, var_list(variables))(variables)
    expected = conv1(variables_of(make_state(3)))
    np.testing.assert_array_equal(conv1(found)["weights"], expected["weights"])
    np.testing.assert_array_equal(conv1(found)["biases"], expected["biases"])


def test_renamed_variables_and_one_array_for_several(checkpoint):
    target = {"params": {"a": jnp.zeros(10), "b": jnp.zeros(10), "c": jnp.ones(3)}}
    init_fn = assign_from_checkpoint_fn(checkpoint, {"lenet/fc2/biases": ["a", "b"]})
    found = init_fn(target)["params"]
    expected = make_state(3).params["lenet"]["fc2"]["biases"]
    np.testing.assert_array_equal(found["a"], expected)
    np.testing.assert_array_equal(found["b"], expected)
    np.testing.assert_array_equal(found["c"], np.ones(3))


def test_moving_averages_can_be_read_into_the_parameters(tmp_path):
    state = make_state(3)
    with CheckpointManager(tmp_path) as checkpoints:
        checkpoints.save(3, state.replace(ema_params=make_state(4).params))
    init_fn = assign_from_checkpoint_fn(tmp_path, {f"ema_params/{WEIGHTS}": WEIGHTS})
    np.testing.assert_array_equal(
        conv1(init_fn(variables_of(state)))["weights"],
        conv1(variables_of(make_state(4)))["weights"],
    )


def test_values_go_where_the_variable_lies(checkpoint):
    sharding = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec())
    variables = jax.device_put(variables_of(make_state(0)), sharding)
    found = assign_from_checkpoint_fn(checkpoint, variables)(variables)
    assert_same(found, variables_of(make_state(3)))
    assert all(leaf.sharding == sharding for leaf in jax.tree.leaves(found))


def test_report_says_what_was_read(checkpoint):
    init_fn = assign_from_checkpoint_fn(checkpoint, [WEIGHTS, BIASES])
    assert init_fn.report is None
    init_fn(make_state(0))
    report = init_fn.report
    assert report.path == str(checkpoint / "3")
    assert report.loaded == (WEIGHTS, BIASES)
    assert (report.missing, report.mismatched) == ((), {})
    assert "lenet/fc2/weights" in report.unused
    assert "step" in report.unused
    assert len(report.unused) == 20 - 2
    assert str(report) == (
        f"checkpoint {checkpoint / '3'}: 2 loaded, 0 missing, 0 mismatched, 18 unused "
        f"({', '.join(report.unused[:3])}, ...)"
    )


def test_all_problems_are_raised_at_once(checkpoint):
    variables = {
        "params": {
            "lenet": {
                "conv1": {"weights": jnp.zeros((5, 5, 1, 4)), "biases": jnp.zeros(8)},
                "fc3": {"weights": jnp.zeros((16, 10))},
                "half": {"weights": jnp.zeros((3, 2), jnp.float32)},
            }
        },
        "batch_stats": {},
    }
    names = [WEIGHTS, BIASES, "lenet/fc3/weights", "lenet/half/weights", "lenet/fc2/biases"]
    init_fn = assign_from_checkpoint_fn(checkpoint, names)
    with pytest.raises(RestoreError) as error:
        init_fn(variables)
    first, *lines = str(error.value).splitlines()
    assert first == (
        f"{init_fn.report}; leave out what shall not be read, for example with "
        "get_variables_to_restore(exclude=[...]):"
    )
    assert "1 loaded, 1 missing (lenet/fc3/weights), 3 mismatched, 16 unused" in first
    expected = [
        "  lenet/fc3/weights is not in the checkpoint; did you mean 'lenet/fc2/weights'",
        "  lenet/conv1/biases is float32 (8,) in the model, float32 (4,) in the checkpoint",
        "  lenet/half/weights is float32 (3, 2) in the model, bfloat16 (3, 2) in the checkpoint",
        "  lenet/fc2/biases is not a variable of the model; did you mean 'lenet/conv1/biases'",
    ]
    assert len(lines) == len(expected)
    assert list(init_fn.report.mismatched) == [BIASES, "lenet/half/weights", "lenet/fc2/biases"]
    assert all(line.startswith(start) for line, start in zip(lines, expected, strict=True))


def test_ignore_missing_vars_leaves_them_and_warns(checkpoint, caplog):
    variables = {"params": {"new": jnp.ones(2), **make_state(0).params}}
    init_fn = assign_from_checkpoint_fn(checkpoint, variables, ignore_missing_vars=True)
    assert [record.getMessage() for record in caplog.records] == [
        f"checkpoint {checkpoint / '3'} does not have 1 of the variables, which stay as they are: "
        "new"
    ]
    found = init_fn(variables)
    np.testing.assert_array_equal(found["params"]["new"], np.ones(2))
    assert_same(found["params"]["lenet"], make_state(3).params["lenet"])


def test_ignore_missing_vars_with_nothing_left_is_none(checkpoint):
    assert assign_from_checkpoint_fn(checkpoint, ["a", "b"], ignore_missing_vars=True) is None


def test_missing_variable_is_an_error_when_called(checkpoint):
    init_fn = assign_from_checkpoint_fn(checkpoint, ["lenet/fc9/weights"])
    with pytest.raises(RestoreError, match="1 missing"):
        init_fn({"params": {"lenet": {"fc9": {"weights": jnp.zeros(2)}}}})


def test_shape_that_differs_is_an_error_though_missing_ones_are_ignored(checkpoint):
    init_fn = assign_from_checkpoint_fn(checkpoint, [BIASES, "x"], ignore_missing_vars=True)
    with pytest.raises(RestoreError, match=r"biases is float32 \(2, 2\) in the model, float32 \(4"):
        init_fn({"params": {"lenet": {"conv1": {"biases": jnp.zeros((2, 2))}}}})


def test_reshape_variables_reads_another_shape_of_the_same_size(checkpoint):
    init_fn = assign_from_checkpoint_fn(checkpoint, [BIASES], reshape_variables=True)
    found = init_fn({"params": {"lenet": {"conv1": {"biases": jnp.zeros((2, 2))}}}})
    expected = np.reshape(make_state(3).params["lenet"]["conv1"]["biases"], (2, 2))
    np.testing.assert_array_equal(conv1(found)["biases"], expected)
    with pytest.raises(RestoreError, match=r"float32 \(5,\) in the model"):
        init_fn({"params": {"lenet": {"conv1": {"biases": jnp.zeros(5)}}}})


@pytest.mark.parametrize(
    ("var_list", "error", "message"),
    [
        ([], ValueError, "var_list cannot be empty"),
        ({}, ValueError, "var_list cannot be empty"),
        (None, ValueError, "var_list cannot be empty"),
        ({"params": {}, "batch_stats": {}}, ValueError, "var_list cannot be empty"),
        ("lenet", TypeError, "var_list must be a list of names, a variables tree or a dict, got"),
        ([3], TypeError, "var_list must name variables, got a int; give names,"),
        ({"a": [3]}, TypeError, "var_list must name variables, got a int"),
        ({"a": "x", "b": "x"}, ValueError, "reads variable 'x' from both 'a' and 'b'; keep one"),
    ],
)
def test_var_list_of_another_form_is_refused(checkpoint, var_list, error, message):
    with pytest.raises(error, match=message):
        assign_from_checkpoint_fn(checkpoint, var_list)


def test_assign_from_checkpoint_gives_a_function_and_values(checkpoint):
    assign, values = assign_from_checkpoint(checkpoint, {WEIGHTS: "conv/weights"})
    expected = conv1(variables_of(make_state(3)))["weights"]
    assert list(values) == ["conv/weights"]
    np.testing.assert_array_equal(values["conv/weights"], expected)
    found = assign({"params": {"conv": {"weights": jnp.zeros((5, 5, 1, 4))}}}, values)
    np.testing.assert_array_equal(found["params"]["conv"]["weights"], expected)
    with pytest.raises(RestoreError, match=r"/3 does not fit the model:\n  conv/weights is float"):
        assign({"params": {"conv": {"weights": jnp.zeros((100,))}}}, values)


def test_assign_from_checkpoint_of_nothing_does_nothing(checkpoint):
    assign, values = assign_from_checkpoint(checkpoint, [])
    assert values == {}
    assert_same(assign(make_state(0), values), make_state(0))


def test_assign_from_checkpoint_wants_all_names(checkpoint):
    with pytest.raises(
        RestoreError, match=r"missing 1 variables:\n  lenet/fc9 is not in the check"
    ):
        assign_from_checkpoint(checkpoint, [WEIGHTS, "lenet/fc9"])
    _, values = assign_from_checkpoint(checkpoint, [WEIGHTS, "lenet/fc9"], ignore_missing_vars=True)
    assert list(values) == [WEIGHTS]


def test_values_are_assigned_by_name(checkpoint):
    state = make_state(0)
    found = assign_from_values_fn(var_names_to_values={BIASES: [[1, 2], [3, 4]]})(state)
    np.testing.assert_array_equal(found.params["lenet"]["conv1"]["biases"], [1, 2, 3, 4])
    assert found.params["lenet"]["conv1"]["biases"].dtype == jnp.float32
    assert_same(found.opt_state, state.opt_state)
    assign, values = assign_from_values(var_names_to_values={BIASES: np.arange(4)})
    assert_same(assign(state, values).params["lenet"]["fc2"], state.params["lenet"]["fc2"])


def test_values_that_do_not_fit_are_refused_at_once():
    init_fn = assign_from_values_fn(
        {"lenet/conv1/bias": np.ones(4), BIASES: np.ones(5), "lenet/fc2/biases": np.ones(10) * 1j}
    )
    with pytest.raises(ValueError, match="these values cannot be assigned") as error:
        init_fn(make_state(0))
    assert str(error.value).splitlines()[1:] == [
        "  lenet/conv1/bias is not a variable of the model; did you mean 'lenet/conv1/biases' or "
        "'lenet/conv1/weights' or 'lenet/fc2/biases'?",
        "  lenet/conv1/biases is float32 (4,) in the model, float32 (5,) in the values",
        "  lenet/fc2/biases is float32 (10,) in the model, complex128 (10,) in the values",
    ]


def test_reader_has_the_methods_of_tensorflows(checkpoint):
    reader = open_checkpoint(checkpoint)
    assert reader.has_tensor(WEIGHTS)
    assert not reader.has_tensor("params/" + WEIGHTS)
    assert reader.get_variable_to_shape_map()[WEIGHTS] == (5, 5, 1, 4)
    assert reader.get_variable_to_dtype_map()["lenet/half/weights"] == "bfloat16"
    np.testing.assert_array_equal(
        reader.get_tensor(BIASES), conv1(variables_of(make_state(3)))["biases"]
    )
    with pytest.raises(RestoreError, match=r"/3 has no variable 'lenet/conv1/bias'; did you mean"):
        reader.get_tensor("lenet/conv1/bias")
