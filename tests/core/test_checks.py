"""Checks of arguments and their wording, and where numbers are refused."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
import pytest

from jslim import checkpoints, evaluation
from jslim.core import checks

NAN = float("nan")


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3), jnp.int32(3)])
def test_whole_numbers_are_counts(value):
    count = checks.count("", "it", value)
    assert (count, type(count)) == (3, int)
    assert checks.count("", "it", 0, least=0) == 0


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (0, ValueError, "it must be at least 1, got 0"),
        (-1, ValueError, "it must be at least 1, got -1"),
        *(
            (value, error, f"it must be a whole number of at least 1, got {value!r}")
            for value, error in [
                (1.5, ValueError), (NAN, ValueError), (float("inf"), ValueError),
                (True, ValueError), ("3", TypeError), (None, TypeError),
            ]
        ),
    ],
)  # fmt: skip
def test_other_things_are_no_counts(value, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        checks.count("", "it", value)


@pytest.mark.parametrize("value", [0, 1.5, float("inf"), np.float32(2), None])
def test_times_are_numbers_of_seconds(value):
    checks.seconds("", "it", value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (-1, ValueError),
        (NAN, ValueError),
        (np.float32("nan"), ValueError),
        (True, ValueError),
        ("a minute", TypeError),
        ([1], TypeError),
    ],
)
def test_other_things_are_no_times(value, error):
    with pytest.raises(error, match=r"^it must be (at least 0|a number of seconds), got "):
        checks.seconds("", "it", value)


def test_where_numbers_are_refused(tmp_path):
    def loop(**options):
        evaluation.evaluation_loop(tmp_path, None, [], None, **options)

    for call, options, message in (
        (checkpoints.CheckpointManager, {"keep": 1.5}, "CheckpointManager: keep must be a whole"),
        (checkpoints.CheckpointManager, {"keep": True}, "CheckpointManager: keep must be a whole"),
        (
            checkpoints.CheckpointManager,
            {"save_interval_secs": NAN},
            "CheckpointManager: save_interval_secs must be a number of seconds or None, got nan",
        ),
        (
            evaluation.wait_for_new_checkpoint,
            {"timeout": NAN},
            "timeout must be at least 0, got nan",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call(tmp_path / "new", **options)
    for options, message in (
        ({"timeout": -1}, "evaluation_loop: timeout must be at least 0, got -1"),
        (
            {"eval_interval_secs": NAN},
            "evaluation_loop: eval_interval_secs must be at least 0, got nan",
        ),
        ({"num_evals": 0}, "evaluation_loop: num_evals must be at least 1, got 0"),
        ({"max_number_of_evaluations": 0.5}, "max_number_of_evaluations must be a whole number"),
    ):
        with pytest.raises(ValueError, match=message):
            loop(**options)
    assert list(tmp_path.iterdir()) == []


ROW = np.zeros(3, np.float32)
IMAGES = "[batch, height, width, channels]"


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (lambda: checks.given("f", "name", None, "give one"), ValueError,
         "f: name is missing; give one"),
        (lambda: checks.instance("f", "op", 3, str, "a text"), TypeError,
         "f: op must be a text, got int"),
        (lambda: checks.function("f", "fn", {}, "of arrays"), TypeError,
         "f: fn must be a function of arrays, got dict"),
        (lambda: checks.function("", "fn", None), TypeError,
         "fn must be a function, got NoneType"),
        (lambda: checks.one_of("f", "mode", "NHCW", ["NHWC", "NCHW"]), ValueError,
         "f: mode must be 'NHWC' or 'NCHW', got 'NHCW'"),
        (lambda: checks.one_of("f", "stride", 4, (None, 8, 16, 32)), ValueError,
         "f: stride must be None, 8, 16 or 32, got 4"),
        (lambda: checks.one_of("f", "mode", "aa", ["ab", "c", "d", "e", "f"]), ValueError,
         "f: mode must be one of 'ab', 'c', 'd', 'e', 'f', got 'aa'; did you mean 'ab'?"),
        (lambda: checks.one_of("f", "mode", ROW[:1], ["A"], "A"), ValueError,
         "f: mode must be A, got array([0.], dtype=float32)"),
        (lambda: checks.known("f", "end point", "Conv_2", ["Conv_1", "Pool"]), ValueError,
         "f: there is no end point 'Conv_2'; did you mean 'Conv_1'? (there are Conv_1, Pool)"),
        (lambda: checks.known("f", "end point", None, ["Pool"], "there is one"), ValueError,
         "f: there is no end point None (there is one)"),
        (lambda: checks.number("f", "rate", np.float32(1.5), at_least=0, at_most=1), ValueError,
         "f: rate must be in [0, 1], got 1.5"),
        (lambda: checks.number("f", "rate", 1.0, above=0, below=1), ValueError,
         "f: rate must be in (0, 1), got 1.0"),
        (lambda: checks.number("f", "rate", 0, above=0, at_most=1), ValueError,
         "f: rate must be above 0 and at most 1, got 0"),
        (lambda: checks.number("f", "rate", 1.0, at_least=0.0, below=1.0), ValueError,
         "f: rate must be at least 0.0 and below 1.0, got 1.0"),
        (lambda: checks.number("f", "rate", NAN, at_least=0, hint="give one"), ValueError,
         "f: rate must be at least 0, got nan; give one"),
        (lambda: checks.number("f", "rate", NAN), ValueError, "f: rate must be a number, got nan"),
        (lambda: checks.number("f", "rate", "1", above=0), TypeError,
         "f: rate must be a number above 0, got '1'"),
        (lambda: checks.number("f", "rate", None), TypeError,
         "f: rate must be a number, got None"),
        (lambda: checks.not_negative("f", "scale", NAN, "0.0 turns it off"), ValueError,
         "f: scale must not be negative, got nan; 0.0 turns it off"),
        (lambda: checks.positive_integer("f", "n", 4.5, "convert it"), ValueError,
         "f: n must be a positive integer, got 4.5; convert it"),
        (lambda: checks.positive_integers("f", "size", [2, 2.5], 2), ValueError,
         "f: size must be one positive integer or 2 of them, got [2, 2.5]"),
        (lambda: checks.positive_integers("f", "size", [3, 3], 1), ValueError,
         "f: size must be one positive integer, got [3, 3]"),
        (lambda: checks.rank("f", "x", ROW, IMAGES, "add a batch axis"), ValueError,
         f"f: x must be {IMAGES}, got shape (3,); add a batch axis"),
        (lambda: checks.rank("f", "x", ROW, "[batch, ..., channels] to normalize"), ValueError,
         "f: x must be [batch, ..., channels] to normalize, got shape (3,)"),
        (lambda: checks.shape("f", "x", ROW, (4,), (4, 1), of=", one a row"), ValueError,
         "f: x must have shape (4,) or (4, 1), one a row, got (3,)"),
        (lambda: checks.same_shape("f", "reshape it", a=ROW, b=2.0), ValueError,
         "f: a and b must have the same shape, got (3,) and (); reshape it"),
        (lambda: checks.axis("f", "dim", 1, ROW), ValueError,
         "f: dim must be from -1 to 0 for inputs of shape (3,), got 1"),
        (lambda: checks.axis("f", "dim", -1, ROW, negative=False), ValueError,
         "f: dim must be from 0 to 0 for inputs of shape (3,), got -1"),
        (lambda: checks.integers("f", "labels", ROW, "integers, the classes"), TypeError,
         "f: labels must be integers, the classes, got float32"),
        (lambda: checks.floating("f", "x", np.arange(2, dtype=np.int32)), TypeError,
         "f: x must be floating point, got int32"),
        (lambda: checks.floating_dtype("f", "dtype", jnp.int8), TypeError,
         "f: dtype must be a floating point type, got int8"),
    ],
)  # fmt: skip
def test_what_a_check_says(check, error, message):
    with pytest.raises(error) as caught:
        check()
    assert (type(caught.value), str(caught.value)) == (error, message)


def test_what_a_check_accepts():
    assert checks.given("f", "name", 0) == 0
    assert checks.instance("f", "op", "a", (str, int), "a text") == "a"
    checks.function("f", "fn", len)
    checks.one_of("f", "stride", np.int64(8), (None, 8))
    checks.known("f", "end point", "a", {"a": 1})
    checks.number("f", "rate", 1, at_least=0, at_most=1)
    checks.number("f", "rate", float("inf"), above=0)
    checks.number("f", "rate", jnp.float32(0.5), above=0, below=1)
    checks.not_negative("f", "scale", 0.0)
    for layout in ("[batch]", "[batch, ...]", "[...]", "[..., batch]"):
        checks.rank("f", "x", ROW, layout)
    checks.shape("f", "x", ROW, (1,), (3,))
    checks.same_shape("f", a=ROW, b=jnp.zeros(3))
    assert (checks.axis("f", "dim", -1, ROW[None]), checks.axis("f", "dim", 0, ROW)) == (1, 0)
    checks.integers("f", "labels", jnp.arange(2))
    checks.floating("f", "x", jnp.zeros(2, jnp.bfloat16))
    checks.floating_dtype("f", "dtype", jnp.bfloat16)


@pytest.mark.parametrize(
    ("value", "whole"),
    [(16 / 2, 8), (np.array(3.0), 3), (np.int8(-2), -2), (2.5, None), (NAN, None), ("2", None),
     (float("inf"), None), (ROW, None), (None, None), (Fraction(4, 2), 2), (10**30, 10**30)],
)  # fmt: skip
def test_whole_numbers(value, whole):
    assert checks.whole_number(value) == whole


def test_positive_integers_come_as_ints():
    assert checks.positive_integers("f", "size", 2.0, 3) == (2, 2, 2)
    assert checks.positive_integers("f", "size", np.array([1, 2]), 2) == (1, 2)
    assert type(checks.positive_integer("f", "n", np.int64(3))) is int
