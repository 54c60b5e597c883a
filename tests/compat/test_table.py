"""Every name of `jslim.compat.tf` gives TensorFlow's numbers, under its arguments."""

import ast
import inspect
import json
import pathlib

import jax
import numpy as np
import pytest

import jslim as slim
from jslim.compat import tf
from tests.compat.compat_before_1 import BEFORE_1, TODAY
from tests.compat.compat_cases import CASES, INPUTS, draw
from tests.compat.compat_names import looked_up, public_names


def _tested_in(file, names):
    return dict.fromkeys(names.split(), file)


# Names without a row, and the file that tests them; `x.` is all names of a module.
ELSEWHERE = {
    **_tested_in(
        "test_tf_scopes.py",
        "AUTO_REUSE VariableScope get_variable_scope local_variables name_scope op_scope "
        "variable_op_scope variable_scope get_local_variable moving_average_variables",
    ),
    **_tested_in(
        "test_control.py",
        "Assert assert_equal assert_greater assert_greater_equal assert_integer assert_less "
        "assert_less_equal assert_near assert_negative assert_non_negative assert_non_positive "
        "assert_none_equal assert_positive assert_rank assert_rank_at_least assert_rank_in "
        "assert_scalar assert_type colocate_with control_dependencies device py_function",
    ),
    **_tested_in(
        "test_tf_types.py",
        "DType Dimension Tensor VERSION bfloat16 bool complex64 complex128 double float16 "
        "float64 half int8 uint16 uint32 uint64",
    ),
    **_tested_in(
        "test_random.py",
        "random_crop random_normal random_shuffle random_uniform truncated_normal",
    ),
    **_tested_in(
        "test_random.py",
        "image.random_brightness image.random_contrast image.random_flip_left_right "
        "image.random_flip_up_down image.random_hue image.random_saturation random.",
    ),
    **_tested_in(
        "test_random.py",
        "glorot_normal_initializer glorot_uniform_initializer orthogonal_initializer "
        "random_normal_initializer random_uniform_initializer "
        "truncated_normal_initializer uniform_unit_scaling_initializer "
        "variance_scaling_initializer initializers.glorot_normal "
        "initializers.glorot_uniform initializers.he_normal initializers.he_uniform "
        "initializers.lecun_normal initializers.lecun_uniform initializers.orthogonal "
        "initializers.random_normal initializers.random_uniform "
        "initializers.truncated_normal initializers.uniform_unit_scaling "
        "initializers.variance_scaling",
    ),
    **_tested_in(
        "test_programs.py",
        "app. compat. errors. flags. gfile. logging. python_io. test.",
    ),
    "summary.": "test_train.py",
    **_tested_in(
        "test_loaders.py",
        "read_file io.read_file image.decode_image image.decode_jpeg image.decode_png "
        "io.decode_image io.decode_jpeg io.decode_png",
    ),
    **_tested_in("test_train.py", "scalar_summary histogram_summary image_summary"),
    **_tested_in("test_train.py", "merge_summary merge_all_summaries"),
    **_tested_in("test_programs.py", "io.tf_record_iterator io.TFRecordWriter io.TFRecordOptions"),
    **_tested_in("test_programs.py", "io.TFRecordCompressionType"),
    **_tested_in("test_contrib.py", "contrib.metrics. contrib.training."),
    **_tested_in(
        "test_train.py",
        "train.create_global_step train.get_global_step train.get_or_create_global_step "
        "train.NewCheckpointReader train.load_checkpoint train.Optimizer "
        "train.GradientDescentOptimizer train.MomentumOptimizer train.AdamOptimizer "
        "train.RMSPropOptimizer train.AdagradOptimizer train.AdadeltaOptimizer "
        "train.FtrlOptimizer train.ExponentialMovingAverage train.latest_checkpoint "
        "train.get_checkpoint_state train.CheckpointState train.GlobalStep "
        "train.checkpoint_exists train.list_variables train.load_variable",
    ),
}

# Parameters that are not those of TensorFlow 2.15's `compat.v1`, and why.
OTHERWISE = {
    **dict.fromkeys(
        ("DType", "Dimension", "TensorShape", "VariableScope", "train.Optimizer"), "a class of ours"
    ),
    **dict.fromkeys(("train.NewCheckpointReader", "train.load_checkpoint"), "jslim's own reader"),
    **dict.fromkeys(("nn.top_k", "math.top_k"), "2.15 has an argument in between"),
    **dict.fromkeys(
        (
            "nn.sigmoid_cross_entropy_with_logits",
            "nn.softmax_cross_entropy_with_logits",
            "nn.sparse_softmax_cross_entropy_with_logits",
        ),
        "2.15 dropped the first argument of TensorFlow 1, `_sentinel`",
    ),
    **dict.fromkeys(("random_uniform_initializer", "initializers.random_uniform"), "1 for None"),
    "py_function": "that of py_func",
    **dict.fromkeys(
        ("test.is_built_with_cuda", "test.is_built_with_gpu_support"), "those of is_gpu_available"
    ),
    **dict.fromkeys(("concat", "split"), "arguments have a name before 1.0 too"),
    "nn.zero_fraction": "of float32 alone",
    "train.FtrlOptimizer": "2.15 has more arguments before the name",
}

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
TABLE = np.load(GOLDEN / "compat_table.npz")
EXPECTED = {case: {} for case in (*CASES, *TODAY)}  # one of an empty collection has no array
for key in TABLE.files:
    case, _, index = key.rpartition("/")
    EXPECTED[case.replace("|", "/")][int(index)] = TABLE[key]


def evaluated(expression, *, is_compiled):
    """The arrays of a row, of a model function whose inputs are JAX's arrays."""

    def model(inputs):
        return eval(expression, {"tf": tf, "np": np, "draw": draw, **inputs})

    compute = slim.Model(model).init_with_output
    if is_compiled:
        compute = jax.jit(compute)
    result, _ = compute(jax.random.key(0), dict(INPUTS))
    return [np.asarray(leaf) for leaf in jax.tree.leaves(result)]


@pytest.mark.parametrize("case", CASES)
def test_numbers(case):
    _check(CASES[case], case)


@pytest.mark.parametrize("expression", BEFORE_1)
def test_names_and_arguments_before_tensorflow_1(expression):
    _check(expression, f"before 1.0: {expression}")


def _check(expression, case):
    found = evaluated(expression, is_compiled=True)
    expected = [EXPECTED[case][index] for index in range(len(EXPECTED[case]))]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        assert one.dtype.kind == other.dtype.kind
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def names_in(expression):
    """The names of TensorFlow that an expression uses: {'nn.relu'}."""
    tree, found = ast.parse(expression), set()
    for node in ast.walk(tree):
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id == "tf" and parts:
            found.add(".".join(reversed(parts)))
    return found


IN_TABLE = {name for row in (*CASES.values(), *BEFORE_1) for name in names_in(row)}
OBJECTS = {id(looked_up(name)) for name in IN_TABLE if callable(looked_up(name))}


@pytest.mark.parametrize("name", public_names())
def test_each_name_has_a_row_or_a_test(name):
    """An alias has the row of what it is another name for."""
    is_tested = name in ELSEWHERE or name.rpartition(".")[0] + "." in ELSEWHERE
    is_in_table = name in IN_TABLE or id(looked_up(name)) in OBJECTS
    assert is_in_table != is_tested, "give it a row in compat_cases.py, or name its test here"


def test_names_that_are_tested_elsewhere_exist():
    names = public_names()
    unknown = [n for n in ELSEWHERE if n not in names and not any(m.startswith(n) for m in names)]
    assert unknown == []
    tests = pathlib.Path(__file__).parent
    assert [file for file in set(ELSEWHERE.values()) if not (tests / file).exists()] == []


SIGNATURES = json.loads((GOLDEN / "compat_signatures.json").read_text())
TYPES = {"shape": ["out_type"], "size": ["out_type"], "argmax": ["output_type"]}
TYPES |= {"argmin": ["output_type"], "count_nonzero": ["dtype"], "map_fn": ["back_prop"]}


@pytest.mark.parametrize("name", sorted(set(SIGNATURES) - set(OTHERWISE)))
def test_signature(name):
    """The arguments of TensorFlow in their order, with their defaults; 2.15 has some more."""
    if name.startswith("flags."):
        pytest.skip("absl's, without its own arguments")
    own = list(inspect.signature(looked_up(name)).parameters.values())
    own = [p for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    expected = SIGNATURES[name]
    assert [p.name for p in own] == [argument for argument, _ in expected[: len(own)]]
    for parameter, (argument, default) in zip(own, expected, strict=False):
        found = "required" if parameter.default is parameter.empty else parameter.default
        is_type = default == "object" or argument in TYPES.get(name, ())
        if not is_type and argument != "name":
            assert (list(found) if isinstance(found, tuple) else found) == default, argument
