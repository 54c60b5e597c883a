"""`arg_scope_explain`: the value of each argument, and who set it."""

import pytest
from arg_scope_ops import make_activation, needs, scaled, takes_any
from model_functions import line_of_next

import jslim as slim


def test_explain_says_which_scope_set_what():
    outer_line = line_of_next()
    with slim.arg_scope([needs], stride=2, normalizer_params={"decay": 0.9}):
        inner_line = line_of_next()
        with slim.arg_scope([needs], stride=4):
            explained = slim.arg_scope_explain(needs, "x", kernel_size=3)
    assert explained == {
        "x": ("x", "the call"),
        "kernel_size": (3, "the call"),
        "stride": (4, inner_line),
        "normalizer_params": ({"decay": 0.9}, outer_line),
    }
    assert explained["stride"].set_by == inner_line


def test_explain_prints_a_table():
    with slim.arg_scope([scaled], shift=make_activation):
        text = str(slim.arg_scope_explain(scaled, squares=True))
    lines = text.splitlines()
    assert lines[0] == "scaled"
    assert lines[1].split() == ["argument", "value", "set", "by"]
    assert lines[2].split() == ["x", "(required)", "default"]
    assert lines[3].split() == ["factor", "1.0", "default"]
    assert lines[4].split()[:2] == ["shift", "make_activation"]
    assert __file__ in lines[4]
    assert lines[5].split() == ["squares", "True", "the", "call"]
    assert repr(slim.arg_scope_explain(scaled, squares=True)) != text


def test_explain_shortens_a_long_value():
    text = str(slim.arg_scope_explain(scaled, "x" * 100))
    assert max(map(len, text.splitlines())) < 100
    assert "..." in text


def test_explain_of_an_op_with_any_keyword():
    line = line_of_next()
    with slim.arg_scope([takes_any], momentum=0.9, beta=1):
        explained = slim.arg_scope_explain(takes_any, beta=2)
    assert explained == {"a": (0, "default"), "beta": (2, "the call"), "momentum": (0.9, line)}


def test_explain_refuses_what_the_op_does_not_take():
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        slim.arg_scope_explain(scaled, nonsense=1)
