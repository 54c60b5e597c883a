"""Optimizers: TF1's own traces (tests/golden/optimizers.npz), then dtypes,
structure of the state, optax's wrappers, and error texts."""

import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jslim import optimizers
from jslim.optimizers import get_learning_rate, get_optimizer

_GOLDEN = dict(np.load(pathlib.Path(__file__).parent / "golden" / "optimizers.npz"))
_INDEX = json.loads(str(_GOLDEN["index"]))
_TRACES = _INDEX["optimizers"]
_NAMES = ["adadelta", "adagrad", "adam", "ftrl", "momentum", "rmsprop", "sgd"]


def _split(flat):
    """{variable: array} of the golden file's vectors, whose last axis is all variables."""
    parts, offset = {}, 0
    for name, shape in _INDEX["shapes"].items():
        size = int(np.prod(shape))
        parts[name] = flat[..., offset : offset + size].reshape((*flat.shape[:-1], *shape))
        offset += size
    return jax.tree.map(jnp.asarray, parts)


def _join(tree):
    return np.concatenate([np.asarray(v).reshape(v.shape[0], -1) for v in tree.values()], axis=1)


def _make(case):
    rate = case["learning_rate"]
    rate = get_learning_rate(**rate) if isinstance(rate, dict) else rate
    return get_optimizer(case["name"], rate, **case["flags"])


def _run(optimizer, params, gradients):
    """Final state, and the parameters after every step."""

    def step(carry, gradient):
        params, state = carry
        updates, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    carry = (params, optimizer.init(params))
    (_, state), trace = jax.jit(lambda: jax.lax.scan(step, carry, gradients))()
    return state, trace


START, GRADIENTS = _split(_GOLDEN["start"]), _split(_GOLDEN["gradients"])
FIRST = jax.tree.map(lambda g: g[0], GRADIENTS)


def _error_by_distance(trace, expected):
    """Largest error as a share of how far the weight has come, its start included.

    Relative to its value the error has no bound: a weight that passes near zero has no digits.
    """
    full = np.concatenate([_GOLDEN["start"][None], expected])
    distance = np.abs(full[:1]) + np.cumsum(np.abs(np.diff(full, axis=0)), axis=0)
    unmoved = distance == 0
    np.testing.assert_array_equal(trace[unmoved], 0.0)
    return np.max(np.abs(trace - expected)[~unmoved] / distance[~unmoved])


@pytest.mark.parametrize("name", _TRACES)
def test_trace_is_that_of_tf(name):
    case, expected = _TRACES[name], _GOLDEN[f"optimizer/{name}"]
    _, trace = _run(_make(case), START, GRADIENTS)
    # TF's Adam subtracts float32 powers of its betas from 1, which costs it 9e-6.
    limit = 1e-5 if case["name"] == "adam" else 1e-6
    assert _error_by_distance(_join(trace), expected) < limit
    np.testing.assert_array_equal(_join(trace) == 0, expected == 0)


def test_traces_cover_every_optimizer_constant_and_scheduled():
    for scheduled in (False, True):
        cases = (c for c in _TRACES.values() if isinstance(c["learning_rate"], dict) == scheduled)
        covered = {case["name"] for case in cases}
        assert sorted(covered) == _NAMES


@pytest.mark.parametrize("name", [k for k, case in _TRACES.items() if case["name"] == "adam"])
def test_adam_is_its_formula_in_float64(name):
    flags = {"adam_beta1": 0.9, "adam_beta2": 0.999, "opt_epsilon": 1.0, **_TRACES[name]["flags"]}
    beta1, beta2 = flags["adam_beta1"], flags["adam_beta2"]
    rate = _TRACES[name]["learning_rate"]
    if isinstance(rate, dict):
        line = 0.01 + 0.19 * (1 - np.minimum(np.arange(20), 15) / 15)
        rates = np.minimum(0.2 * np.arange(20) / 4.5, line)
    else:
        rates = np.full(20, rate)
    weights, m, v, expected = _GOLDEN["start"].astype(np.float64), 0.0, 0.0, []
    for t, g in enumerate(_GOLDEN["gradients"].astype(np.float64), start=1):
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        scale = rates[t - 1] * np.sqrt(1 - beta2**t) / (1 - beta1**t)
        weights = weights - scale * m / (np.sqrt(v) + flags["opt_epsilon"])
        expected.append(weights)
    _, trace = _run(_make(_TRACES[name]), START, GRADIENTS)
    assert _error_by_distance(_join(trace), np.stack(expected)) < 1e-6


@pytest.mark.parametrize("name", _NAMES)
def test_eager_is_jit(name):
    optimizer = get_optimizer(name, 0.1)
    params, gradients = START["weights"], FIRST["weights"]
    updates, state = optimizer.update(gradients, optimizer.init(params), params)
    jitted = jax.jit(optimizer.update)(gradients, optimizer.init(params), params)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7),
        (updates, state),
        jitted,
    )


@pytest.mark.parametrize(
    ("optimizer", "name", "flags"),
    [
        (optimizers.sgd(0.1), "sgd", {}),
        (optimizers.momentum(0.1), "momentum", {"momentum": 0.9}),
        (
            optimizers.rmsprop(0.1),
            "rmsprop",
            {"rmsprop_decay": 0.9, "rmsprop_momentum": 0.0, "opt_epsilon": 1e-10},
        ),
        (
            optimizers.adam(0.1),
            "adam",
            {"adam_beta1": 0.9, "adam_beta2": 0.999, "opt_epsilon": 1e-8},
        ),
        (optimizers.adagrad(0.1), "adagrad", {"adagrad_initial_accumulator_value": 0.1}),
        (optimizers.adadelta(0.1), "adadelta", {"adadelta_rho": 0.95, "opt_epsilon": 1e-8}),
        (
            optimizers.ftrl(0.1),
            "ftrl",
            {
                "ftrl_learning_rate_power": -0.5,
                "ftrl_initial_accumulator_value": 0.1,
                "ftrl_l1": 0.0,
                "ftrl_l2": 0.0,
            },
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_constructor_defaults_are_those_of_tf_classes(optimizer, name, flags):
    expected = get_optimizer(name, 0.1, **flags)
    few = jax.tree.map(lambda g: g[:4], GRADIENTS)
    jax.tree.map(
        np.testing.assert_array_equal, _run(optimizer, START, few), _run(expected, START, few)
    )


@pytest.mark.parametrize("name", _NAMES)
def test_state_keeps_structure_and_has_the_shapes_of_the_variables(name):
    optimizer = get_optimizer(name, get_learning_rate("fixed", 0.1))
    state = optimizer.init(START)
    _, after = jax.jit(optimizer.update)(FIRST, state, START)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    for before, leaf in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
        assert (before.shape, before.dtype) == (leaf.shape, leaf.dtype)
    slots = {"sgd": 0, "momentum": 1, "adagrad": 1}.get(name, 2)
    counters = [leaf for leaf in jax.tree.leaves(after) if leaf.dtype == jnp.int32]
    assert [int(counter) for counter in counters] == [1] * len(counters)
    shapes = [leaf.shape for leaf in jax.tree.leaves(after) if leaf.dtype == jnp.float32]
    assert shapes == [leaf.shape for leaf in jax.tree.leaves(START)] * slots


@pytest.mark.parametrize(
    ("name", "half"), [*((name, jnp.bfloat16) for name in _NAMES), ("adam", jnp.float16)]
)
def test_half_precision_variables_have_float32_state(name, half):
    optimizer = get_optimizer(name, 0.1, opt_epsilon=1e-3)
    params, gradients = START["weights"].astype(half), GRADIENTS["weights"].astype(half)

    @jax.jit
    def last(params, gradients):
        def step(state, gradient):
            updates, state = optimizer.update(gradient, state, params)
            return state, updates

        return jax.lax.scan(step, optimizer.init(params), gradients)

    state, updates = last(params, gradients)
    wide_state, wide_updates = last(params.astype(jnp.float32), gradients.astype(jnp.float32))
    # Equal but for the order of sums; state in bfloat16 would be off by 4e-3.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), state, wide_state)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} <= {"float32", "int32"}
    assert updates.dtype == half
    one_rounding = {"rtol": float(jnp.finfo(half).eps), "atol": 1e-7}
    np.testing.assert_allclose(updates.astype(jnp.float32), wide_updates, **one_rounding)


@pytest.mark.parametrize("name", _NAMES)
def test_float64_variables_have_float64_state(name):
    with jax.enable_x64(True):
        optimizer = get_optimizer(name, get_learning_rate("fixed", 0.5))
        params = {"weights": jnp.array([1.0, 2.0], jnp.float64)}
        state = optimizer.init(params)
        updates, state = optimizer.update(params, state, params)
        assert updates["weights"].dtype == jnp.float64
        assert {leaf.dtype.name for leaf in jax.tree.leaves(state)} <= {"float64", "int32"}


@pytest.mark.parametrize("name", _NAMES)
def test_masked_leaves_other_variables_alone(name):
    mask = {"biases": False, "scale": False, "weights": True}
    optimizer = optax.masked(get_optimizer(name, 0.1), mask)
    updates, _ = jax.jit(optimizer.update)(FIRST, optimizer.init(START), START)
    whole = get_optimizer(name, 0.1)
    expected, _ = jax.jit(whole.update)(FIRST, whole.init(START), START)
    np.testing.assert_array_equal(updates["weights"], expected["weights"])
    for frozen in ("biases", "scale"):
        np.testing.assert_array_equal(updates[frozen], FIRST[frozen])


@pytest.mark.parametrize("name", _NAMES)
def test_inject_hyperparams_sets_the_learning_rate(name):
    optimizer = optax.inject_hyperparams(getattr(optimizers, name))(learning_rate=0.1)
    state = optimizer.init(START)
    state.hyperparams["learning_rate"] = jnp.float32(0.3)
    updates, _ = jax.jit(optimizer.update)(FIRST, state, START)
    plain = getattr(optimizers, name)(0.3)
    expected, _ = jax.jit(plain.update)(FIRST, plain.init(START), START)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7), updates, expected
    )


def test_ftrl_step_of_rate_zero_changes_nothing():
    late = optimizers.ftrl(lambda step: jnp.where(step < 2, 0.0, 0.1), l1=0.01)
    state, trace = _run(late, START, GRADIENTS)
    later = jax.tree.map(lambda g: g[2:], GRADIENTS)
    expected_state, expected = _run(optimizers.ftrl(0.1, l1=0.01), START, later)
    for name, start in START.items():
        np.testing.assert_array_equal(trace[name][:2], np.stack([start, start]))
        np.testing.assert_allclose(trace[name][2:], expected[name], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(state.linear["weights"], expected_state.linear["weights"], rtol=1e-5)
    assert int(state.step) == 20


def test_ftrl_without_parameters_is_an_error():
    optimizer = optimizers.ftrl(0.1)
    with pytest.raises(ValueError, match=r"^ftrl: update needs the parameters: update\(grad"):
        optimizer.update(FIRST, optimizer.init(START))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("rmsprob", "'rmsprob'; did you mean 'rmsprop'?"),
        ("Adam", "'Adam'; did you mean 'adam'"),
        ("RMSProp", "'RMSProp'; did you mean 'rmsprop'?"),
        ("lbfgs", "'lbfgs'"),
        (None, "None"),
    ],
)
def test_unknown_optimizer_lists_all(name, hint):
    with pytest.raises(ValueError) as error:
        get_optimizer(name, 0.1)
    accepted = (
        "'adadelta', 'adagrad', 'adam', 'adamw', 'ftrl', 'lamb', 'momentum', 'rmsprop', 'sgd'"
    )
    assert str(error.value).startswith(f"get_optimizer: name must be one of {accepted}, got {hint}")


_FRACTION = "at least 0.0 and below 1.0"


@pytest.mark.parametrize(
    ("name", "flags", "message"),
    [
        *[(n, {"learning_rate": -0.1}, "learning_rate must be at least 0.0") for n in _NAMES],
        ("sgd", {"learning_rate": float("nan")}, "learning_rate must be at least 0.0"),
        ("sgd", {"learning_rate": float("inf")}, "learning_rate must be at least 0.0"),
        ("momentum", {"momentum": 1.0}, f"momentum must be {_FRACTION}"),
        ("rmsprop", {"rmsprop_decay": -0.5}, f"decay must be {_FRACTION}"),
        ("rmsprop", {"rmsprop_momentum": 1.5}, f"momentum must be {_FRACTION}"),
        ("rmsprop", {"opt_epsilon": 0.0}, "epsilon must be above 0.0"),
        ("adam", {"adam_beta1": 1.0}, f"beta1 must be {_FRACTION}"),
        ("adam", {"adam_beta2": 1.0}, f"beta2 must be {_FRACTION}"),
        ("adam", {"opt_epsilon": -1.0}, "epsilon must be above 0.0"),
        ("adadelta", {"adadelta_rho": 1.0}, f"rho must be {_FRACTION}"),
        ("adadelta", {"opt_epsilon": 0}, "epsilon must be above 0.0"),
        (
            "adagrad",
            {"adagrad_initial_accumulator_value": -0.1},
            "initial_accumulator_value must be at least 0.0",
        ),
        (
            "ftrl",
            {"ftrl_initial_accumulator_value": -0.1},
            "initial_accumulator_value must be at least 0.0",
        ),
        ("ftrl", {"ftrl_learning_rate_power": 0.5}, "learning_rate_power must be at most 0.0"),
        ("ftrl", {"ftrl_l1": -0.1}, "l1 must be at least 0.0"),
        ("ftrl", {"ftrl_l2": -0.1}, "l2 must be at least 0.0"),
    ],
)
def test_optimizer_argument_out_of_range(name, flags, message):
    value = next(iter(flags.values()))
    with pytest.raises(ValueError) as error:
        get_optimizer(name, **{"learning_rate": 0.1, **flags})
    assert str(error.value) == f"{name}: {message}, got {value!r}"


def test_argument_that_is_no_number_is_a_type_error():
    with pytest.raises(
        TypeError, match=r"^sgd: learning_rate must be a number at least 0.0, got '"
    ):
        get_optimizer("sgd", "0.1")
    with pytest.raises(TypeError, match=r"^momentum: momentum must be a number .*, got None$"):
        get_optimizer("momentum", 0.1, momentum=None)


def run_steps(optimizer, weights, gradients):
    """The values of a tree after each of several steps."""
    state, found = optimizer.init(weights), []
    for gradient in gradients:
        updates, state = optimizer.update(gradient, state, weights)
        weights = optax.apply_updates(weights, updates)
        found.append(weights)
    return found


def test_nesterov_momentum_is_that_of_tensorflow():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=3).astype(np.float32)
    gradients = rng.normal(size=(5, 3)).astype(np.float32)
    found = run_steps(
        optimizers.momentum(0.1, 0.8, use_nesterov=True), jnp.asarray(weights), gradients
    )
    accumulator, expected = np.zeros(3), weights.astype(np.float64)
    for gradient, one in zip(gradients, found, strict=True):
        accumulator = 0.8 * accumulator + gradient
        expected = expected - 0.1 * (gradient + 0.8 * accumulator)
        np.testing.assert_allclose(one, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "lamb"])
def test_adamw_and_lamb_follow_their_formulas(name):
    rng = np.random.default_rng(1)
    shapes = {"weights": (3, 4), "biases": (4,)}
    weights = {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}
    steps = [
        {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()} for _ in range(6)
    ]
    beta1, beta2, epsilon, decay, rate = 0.8, 0.95, 1e-3, 0.2, 0.05
    make = getattr(optimizers, name)
    optimizer = make(rate, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=decay)
    found = run_steps(optimizer, jax.tree.map(jnp.asarray, weights), steps)
    for key in shapes:
        w, m, v = weights[key].astype(np.float64), 0.0, 0.0
        for t, (gradients, one) in enumerate(zip(steps, found, strict=True), 1):
            g = gradients[key]
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g**2
            update = (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + epsilon)
            if key == "weights":  # biases do not decay
                update = update + decay * w
            ratio = np.linalg.norm(w) / np.linalg.norm(update) if name == "lamb" else 1.0
            w = w - rate * ratio * update
            np.testing.assert_allclose(one[key], w, rtol=2e-5, atol=1e-6)
