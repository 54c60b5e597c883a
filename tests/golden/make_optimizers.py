"""Makes optimizers.npz: 20 steps of every TF1 optimizer, and learning rates by TF1's decays.

Usage: <the oracle's python> make_optimizers.py

The optimizers are given the same gradients, whatever the weights are. `index` is a JSON text:

    shapes      {variable: shape}; in the arrays all variables lie one after the other
    optimizers  {case: {"name", "learning_rate" (a number or a schedule), "flags"}}
    schedules   {case: arguments of get_learning_rate}

and the arrays are

    start           [size]      weights before the first step
    gradients       [20, size]
    optimizer/CASE  [20, size]  weights after each step
    steps/CASE      [n]         values of the global step
    rates/CASE      [n]         learning rates at them
"""

import json
import pathlib

import numpy as np
import tensorflow.compat.v1 as tf

tf.disable_v2_behavior()

SHAPES = {"biases": [4], "scale": [], "weights": [2, 3]}
NUM_STEPS = 20
STAIRS = {
    "decay_type": "exponential",
    "learning_rate": 0.2,
    "decay_steps": 6,
    "decay_factor": 0.5,
}
RAMP = {
    "decay_type": "polynomial",
    "learning_rate": 0.2,
    "decay_steps": 15,
    "end_learning_rate": 0.01,
    "warmup_steps": 4.5,
}

OPTIMIZERS = {
    "sgd": ("sgd", 0.1, {}),
    "sgd_ramp": ("sgd", RAMP, {}),
    "momentum": ("momentum", 0.1, {}),
    "momentum_zero": ("momentum", 0.1, {"momentum": 0.0}),
    "momentum_ramp": ("momentum", RAMP, {"momentum": 0.6}),
    "rmsprop": ("rmsprop", 0.1, {}),
    "rmsprop_small_epsilon": (
        "rmsprop",
        0.01,
        {"opt_epsilon": 1e-10, "rmsprop_decay": 0.99, "rmsprop_momentum": 0.0},
    ),
    "rmsprop_ramp": ("rmsprop", RAMP, {"opt_epsilon": 0.01, "rmsprop_momentum": 0.7}),
    "adam": ("adam", 0.1, {}),
    "adam_small_epsilon": ("adam", 0.1, {"opt_epsilon": 1e-8}),
    "adam_betas": ("adam", 0.1, {"opt_epsilon": 0.1, "adam_beta1": 0.5, "adam_beta2": 0.9}),
    "adam_no_first_moment": ("adam", 0.1, {"opt_epsilon": 1e-3, "adam_beta1": 0.0}),
    "adam_ramp": ("adam", RAMP, {"opt_epsilon": 1e-3}),
    "adagrad": ("adagrad", 0.1, {}),
    "adagrad_start": ("adagrad", 0.1, {"adagrad_initial_accumulator_value": 2.5}),
    "adagrad_small_start": ("adagrad", 0.1, {"adagrad_initial_accumulator_value": 1e-6}),
    "adagrad_ramp": ("adagrad", RAMP, {}),
    "adadelta": ("adadelta", 0.5, {}),
    "adadelta_small_epsilon": ("adadelta", 1.0, {"opt_epsilon": 1e-6, "adadelta_rho": 0.7}),
    "adadelta_ramp": ("adadelta", RAMP, {}),
    "ftrl": ("ftrl", 0.1, {}),
    "ftrl_l1": ("ftrl", 0.1, {"ftrl_l1": 0.4}),
    "ftrl_l1_l2": ("ftrl", 0.3, {"ftrl_l1": 0.05, "ftrl_l2": 0.7}),
    "ftrl_power": (
        "ftrl",
        0.1,
        {"ftrl_learning_rate_power": -0.3, "ftrl_initial_accumulator_value": 0.9},
    ),
    "ftrl_power_zero": ("ftrl", 0.1, {"ftrl_learning_rate_power": 0.0}),
    "ftrl_start_zero": ("ftrl", 0.1, {"ftrl_initial_accumulator_value": 0.0}),
    "ftrl_stairs": ("ftrl", STAIRS, {"ftrl_l1": 0.02}),
}

# Global steps are int64 in TF and become float32: all of these are exact in it.
NEAR = [0, 1, 2]
LAST = [16_000_000, 16_777_216, 2**31 - 128]
SCHEDULES = {
    "fixed": (
        {"decay_type": "fixed", "learning_rate": 0.01},
        [0, 1, 1000, *LAST],
    ),
    "fixed_warmup": (
        {"decay_type": "fixed", "learning_rate": 0.3, "warmup_steps": 10},
        [0, 1, 5, 9, 10, 11, *LAST],
    ),
    "exponential": (
        {"decay_type": "exponential", "learning_rate": 0.01, "decay_steps": 100},
        [*NEAR, 99, 100, 101, 199, 200, 201, 9_999, 10_000, *LAST],
    ),
    "exponential_41": (
        {
            "decay_type": "exponential",
            "learning_rate": 0.1,
            "decay_steps": 41,
            "decay_factor": 0.5,
        },
        [k * 41 + offset for k in range(1, 60) for offset in (-1, 0, 1)],
    ),
    "exponential_imagenet": (
        {"decay_type": "exponential", "learning_rate": 0.01, "decay_steps": 80_073},
        [k * 80_073 + offset for k in (1, 7, 100, 209) for offset in (-1, 0, 1)],
    ),
    "exponential_every_step": (
        {
            "decay_type": "exponential",
            "learning_rate": 1.0,
            "decay_steps": 1,
            "decay_factor": 0.9999,
        },
        [*NEAR, 1000, 1001, 20_000],
    ),
    "exponential_warmup": (
        {
            "decay_type": "exponential",
            "learning_rate": 0.4,
            "decay_steps": 10,
            "decay_factor": 0.1,
            "warmup_steps": 12.5,
        },
        [*NEAR, 9, 10, 12, 13, 19, 20, 21],
    ),
    "polynomial": (
        {"decay_type": "polynomial", "learning_rate": 0.01, "decay_steps": 100},
        [*NEAR, 50, 98, 99, 100, 101, 1000, *LAST],
    ),
    "polynomial_to_zero": (
        {
            "decay_type": "polynomial",
            "learning_rate": 0.5,
            "decay_steps": 7,
            "end_learning_rate": 0.0,
        },
        [*range(10), *LAST],
    ),
    "polynomial_long": (
        {
            "decay_type": "polynomial",
            "learning_rate": 0.045,
            "decay_steps": 16_000_000,
            "end_learning_rate": 1e-3,
            "warmup_steps": 2502,
        },
        [*NEAR, 2501, 2502, 8_000_000, 15_999_999, *LAST],
    ),
    "polynomial_up": (
        {
            "decay_type": "polynomial",
            "learning_rate": 0.01,
            "decay_steps": 10,
            "end_learning_rate": 0.02,
        },
        [*NEAR, 5, 9, 10, 11],
    ),
}


def make_learning_rate(
    step,
    *,
    decay_type,
    learning_rate,
    decay_steps=None,
    decay_factor=0.94,
    end_learning_rate=0.0001,
    warmup_steps=0,
):
    """The graph that TF-Slim's training script builds from its flags."""
    if decay_type == "exponential":
        rate = tf.train.exponential_decay(
            learning_rate, step, decay_steps, decay_factor, staircase=True
        )
    elif decay_type == "polynomial":
        rate = tf.train.polynomial_decay(
            learning_rate, step, decay_steps, end_learning_rate, power=1.0, cycle=False
        )
    else:
        rate = tf.constant(learning_rate)
    if warmup_steps:
        rate = tf.minimum(learning_rate * tf.cast(step, tf.float32) / warmup_steps, rate)
    return rate


def make_optimizer(name, rate, flags):
    """TF's optimizer by TF-Slim's flags, and their defaults in the script."""
    epsilon = flags.get("opt_epsilon", 1.0)
    if name == "adadelta":
        return tf.train.AdadeltaOptimizer(
            rate, rho=flags.get("adadelta_rho", 0.95), epsilon=epsilon
        )
    if name == "adagrad":
        start = flags.get("adagrad_initial_accumulator_value", 0.1)
        return tf.train.AdagradOptimizer(rate, initial_accumulator_value=start)
    if name == "adam":
        return tf.train.AdamOptimizer(
            rate,
            beta1=flags.get("adam_beta1", 0.9),
            beta2=flags.get("adam_beta2", 0.999),
            epsilon=epsilon,
        )
    if name == "ftrl":
        return tf.train.FtrlOptimizer(
            rate,
            learning_rate_power=flags.get("ftrl_learning_rate_power", -0.5),
            initial_accumulator_value=flags.get("ftrl_initial_accumulator_value", 0.1),
            l1_regularization_strength=flags.get("ftrl_l1", 0.0),
            l2_regularization_strength=flags.get("ftrl_l2", 0.0),
        )
    if name == "momentum":
        return tf.train.MomentumOptimizer(rate, momentum=flags.get("momentum", 0.9))
    if name == "rmsprop":
        return tf.train.RMSPropOptimizer(
            rate,
            decay=flags.get("rmsprop_decay", 0.9),
            momentum=flags.get("rmsprop_momentum", 0.9),
            epsilon=epsilon,
        )
    return tf.train.GradientDescentOptimizer(rate)


def split(flat):
    """{variable: array} of one vector."""
    parts, offset = {}, 0
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        parts[name] = flat[offset : offset + size].reshape(shape)
        offset += size
    return parts


def make_gradients(random):
    """Gradients of many sizes; some are zero for a while, one always, and one step all are."""
    gradients = random.normal(size=(NUM_STEPS, 11)) * 10.0 ** random.uniform(-2, 0.3, size=11)
    gradients[3:8, :4] = 0.0
    gradients[:, 1] = 0.0
    gradients[0, 4] = 0.0
    gradients[12] = 0.0
    return gradients.astype(np.float32)


def run_optimizer(name, learning_rate, flags, start, gradients):
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.train.create_global_step()
        if isinstance(learning_rate, dict):
            learning_rate = make_learning_rate(step, **learning_rate)
        variables = {k: tf.get_variable(k, initializer=v) for k, v in split(start).items()}
        fed = {k: tf.placeholder(tf.float32, shape) for k, shape in SHAPES.items()}
        optimizer = make_optimizer(name, learning_rate, flags)
        train = optimizer.apply_gradients(
            [(fed[k], variables[k]) for k in SHAPES], global_step=step
        )
        session.run(tf.global_variables_initializer())
        trace = []
        for row in gradients:
            session.run(train, {fed[k]: value for k, value in split(row).items()})
            values = session.run(variables)
            trace.append(np.concatenate([values[k].reshape(-1) for k in SHAPES]))
        return np.stack(trace)


def run_schedule(arguments, steps):
    # With its graph optimizer, TF multiplies by a rounded 1 / decay_steps, and floor() of that
    # comes one step late at 24 of the first 59 multiples of 41.
    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        step = tf.placeholder(tf.int64, [])
        rate = make_learning_rate(step, **arguments)
        return np.array([session.run(rate, {step: value}) for value in steps], np.float32)


def main():
    random = np.random.RandomState(0)
    start = np.concatenate([np.zeros(2), 0.3 * random.normal(size=9)]).astype(np.float32)
    gradients = make_gradients(random)
    index = {"shapes": SHAPES, "optimizers": {}, "schedules": {}}
    arrays = {"start": start, "gradients": gradients}
    for case, (name, learning_rate, flags) in OPTIMIZERS.items():
        index["optimizers"][case] = {
            "name": name,
            "learning_rate": learning_rate,
            "flags": flags,
        }
        arrays[f"optimizer/{case}"] = run_optimizer(name, learning_rate, flags, start, gradients)
        assert np.isfinite(arrays[f"optimizer/{case}"]).all(), case
    for case, (arguments, steps) in SCHEDULES.items():
        index["schedules"][case] = arguments
        arrays[f"steps/{case}"] = np.array(steps, np.int64)
        arrays[f"rates/{case}"] = run_schedule(arguments, steps)
    path = pathlib.Path(__file__).parent / "optimizers.npz"
    np.savez_compressed(path, index=json.dumps(index), **arrays)


if __name__ == "__main__":
    main()
