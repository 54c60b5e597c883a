"""The error classes, and the names that their messages offer."""

import pytest

import jslim as slim
from jslim.core.errors import did_you_mean, nearest


@pytest.mark.parametrize("error", [slim.ScopeError, slim.RestoreError, slim.DataError])
def test_every_error_is_a_value_error(error):
    with pytest.raises(ValueError, match="what to do"):
        raise error("what to do")


def test_nearest_names_come_best_first_and_once():
    names = ["stride", "strides", "padding", "stride", "rate"]
    assert nearest("strid", names) == ["stride", "strides"]
    assert nearest("zzzzzz", names) == []
    assert nearest("x", []) == []


def test_names_that_contain_the_wanted_one_are_near():
    names = ["vgg_16/conv1/weights", "vgg_16/fc8/weights"]
    assert nearest("fc8", names) == ["vgg_16/fc8/weights"]
    assert nearest("", names) == []


def test_at_most_three_names_are_offered():
    names = [f"conv{index}" for index in range(9)]
    assert len(nearest("conv", names)) == 3


def test_did_you_mean():
    assert did_you_mean("paddin", ["padding", "rate"]) == "; did you mean 'padding'?"
    assert did_you_mean("conv", ["conv1", "conv_10"]) == "; did you mean 'conv1' or 'conv_10'?"
    assert did_you_mean("zzzz", ["padding"]) == ""
