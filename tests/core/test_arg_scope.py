"""`arg_scope`: what it sets, for how long, and what it says of it."""

import copy
import functools
import inspect

import pytest
from arg_scope_ops import needs, other, scaled, seen, takes_any

import jslim as slim

# What a scope sets ----------------------------------------------------------------------------


def test_defaults_reach_the_op_and_end_with_the_block():
    with slim.arg_scope([seen], a=1, b="two"):
        assert seen() == (1, "two", None)
    assert seen() == (None, None, None)


def test_one_scope_sets_several_ops_and_no_others():
    with slim.arg_scope([seen, other], a=1):
        assert seen() == (1, None, None)
        assert other() == (1, None)
        assert takes_any() == (0, {})


def test_nested_scopes_merge_argument_by_argument():
    with slim.arg_scope([seen], a=1, b=2), slim.arg_scope([other], a=10):
        with slim.arg_scope([seen], b=3, c=4):
            assert seen() == (1, 3, 4)
            assert other() == (10, None)
        assert seen() == (1, 2, None)


def test_keyword_argument_beats_the_scope():
    with slim.arg_scope([seen], a=1, b=2):
        assert seen(a=None) == (None, 2, None)


def test_positional_argument_beats_the_scope():
    with slim.arg_scope([scaled], factor=2.0, shift=1.0):
        assert scaled(10.0) == 21.0
        assert scaled(10.0, 3.0) == 31.0
        assert scaled(10.0, 3.0, 0.5) == 30.5


def test_required_argument_may_come_from_a_scope_and_still_be_given_by_position():
    with slim.arg_scope([needs], kernel_size=[3, 3]):
        assert needs("x") == ("x", [3, 3], 1, None)
        assert needs("x", 5) == ("x", 5, 1, None)
    with pytest.raises(TypeError, match="kernel_size"):
        needs("x")


def test_op_with_any_keyword_takes_any_argument_from_a_scope():
    with slim.arg_scope([takes_any], a=1, momentum=0.9):
        assert takes_any() == (1, {"momentum": 0.9})
        assert takes_any(momentum=0.5) == (1, {"momentum": 0.5})


def test_dict_argument_is_replaced_whole_by_an_inner_scope():
    with slim.arg_scope([seen], a={"decay": 0.9, "scale": True}):
        with slim.arg_scope([seen], a={"decay": 0.5}):
            assert seen()[0] == {"decay": 0.5}
        assert seen()[0] == {"decay": 0.9, "scale": True}


def test_saved_scope_replaces_what_is_current():
    with slim.arg_scope([seen], a=1) as saved:
        pass
    with slim.arg_scope([seen], b=2), slim.arg_scope([other], b=3):
        with slim.arg_scope(saved):
            assert seen() == (1, None, None)
            assert other() == (None, None)
        assert seen() == (None, 2, None)
        assert other() == (None, 3)


def test_saved_scope_keeps_what_was_around_it():
    with slim.arg_scope([other], a=5), slim.arg_scope([seen], a=1) as saved:
        pass
    with slim.arg_scope(saved):
        assert other() == (5, None)


def test_saved_scope_can_be_extended():
    with slim.arg_scope([seen], a=1) as saved:
        pass
    with slim.arg_scope(saved), slim.arg_scope([seen], b=2):
        assert seen() == (1, 2, None)


def test_empty_list_of_ops_gives_a_copy_of_the_current_scope():
    with slim.arg_scope([seen], a=1) as outer, slim.arg_scope([]) as inner:
        assert inner == outer
        assert seen() == (1, None, None)


def test_current_arg_scope_is_empty_outside_and_the_scope_inside():
    assert dict(slim.current_arg_scope()) == {}
    with slim.arg_scope([seen], a=1) as scope:
        assert slim.current_arg_scope() is scope
        assert scope[slim.arg_scope_func_key(seen)] == {"a": 1}
        assert list(scope) == [slim.arg_scope_func_key(seen)]
        assert len(scope) == 1
        assert "seen" in repr(scope)
        assert "a=1" in repr(scope)


# A scope as a dict -----------------------------------------------------------------------------


def test_scope_reads_as_a_dict():
    key = slim.arg_scope_func_key(seen)
    with slim.arg_scope([seen], a=[1], b=None) as scope:
        assert scope == {key: {"a": [1], "b": None}}
        assert (scope != {key: {"a": [1], "b": None}}) is False
        assert scope != {}
    assert isinstance(scope, dict)
    assert dict(scope[key], b=2) == {"a": [1], "b": 2}
    assert {**scope} == scope.copy() == copy.copy(scope) == scope
    assert "a" in scope[key]
    with slim.arg_scope([]) as empty:
        assert empty == {}


def test_deep_copy_of_a_scope_can_be_changed_and_entered():
    with slim.arg_scope([seen, other], a=1, b=[2]) as scope:
        pass
    changed = copy.deepcopy(scope)
    changed[slim.arg_scope_func_key(seen)]["b"].append(3)
    changed[slim.arg_scope_func_key(seen)]["c"] = 4
    del changed[slim.arg_scope_func_key(other)]
    assert type(changed) is dict
    with slim.arg_scope(changed) as entered:
        assert seen() == (1, [2, 3], 4)
        assert other() == (None, None)
        assert entered == changed
    with slim.arg_scope(scope):
        assert seen() == (1, [2], None)
        assert other() == (1, [2])


def test_empty_dict_clears_the_scope():
    with slim.arg_scope([seen], a=1):
        with slim.arg_scope({}) as cleared:
            assert cleared == {}
            assert seen() == (None, None, None)
        assert seen() == (1, None, None)


CHANGES = {
    "set": lambda d, key: d.__setitem__(key, 1),
    "delete": lambda d, key: d.__delitem__(key),
    "update": lambda d, key: d.update({key: 1}),
    "pop": lambda d, key: d.pop(key),
    "popitem": lambda d, key: d.popitem(),
    "setdefault": lambda d, key: d.setdefault(key, 1),
    "clear": lambda d, key: d.clear(),
    "merge": lambda d, key: d.__ior__({key: 1}),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_writing_to_a_scope_is_an_error(change):
    key = slim.arg_scope_func_key(seen)
    with slim.arg_scope([seen], a=1) as scope:
        for written, name in (
            (scope, key),
            (scope[key], "a"),
            (slim.current_arg_scope(), key),
            (slim.current_arg_scope()[key], "a"),
        ):
            with pytest.raises(TypeError, match=r"cannot be changed .*; change copy\.deepcopy\("):
                change(written, name)
        assert seen() == (1, None, None)
        assert scope == {key: {"a": 1}}


def test_decorating_twice_keeps_the_key_and_the_op():
    twice = slim.add_arg_scope(seen)
    assert twice is seen
    assert slim.arg_scope_func_key(twice) == slim.arg_scope_func_key(seen)


def test_alias_is_the_same_op():
    alias = seen
    with slim.arg_scope([alias], a=1):
        assert seen() == (1, None, None)
    with slim.arg_scope([seen], a=2):
        assert alias() == (2, None, None)


def test_two_ops_made_by_one_definition_have_their_own_keys():
    def make():
        @slim.add_arg_scope
        def op(a=0):
            return a

        return op

    first, second = make(), make()
    with slim.arg_scope([first], a=1):
        assert (first(), second()) == (1, 0)


def test_partial_of_an_op_follows_its_scope_and_keeps_its_own_argument():
    partial = functools.partial(seen, a="own")
    with slim.arg_scope([seen], a=1, b=2):
        assert partial() == ("own", 2, None)


def test_op_called_by_an_op_follows_its_own_scope():
    @slim.add_arg_scope
    def outer(a=None):
        return a, other()

    with slim.arg_scope([other], a=1), slim.arg_scope([outer], a=2):
        assert outer() == (2, (1, None))


def test_has_arg_scope():
    assert slim.has_arg_scope(seen)
    assert not slim.has_arg_scope(len)
    assert not slim.has_arg_scope(functools.partial(seen))


def test_arg_scoped_arguments_are_those_with_a_default():
    assert slim.arg_scoped_arguments(needs) == ("stride", "normalizer_params")
    assert slim.arg_scoped_arguments(scaled) == ("factor", "shift", "squares")


def test_decorated_op_keeps_name_docstring_and_signature():
    assert scaled.__name__ == "scaled"
    assert scaled.__doc__ == "factor * x + shift, squared if asked for."
    assert list(inspect.signature(scaled).parameters) == ["x", "factor", "shift", "squares"]


# Errors ---------------------------------------------------------------------------------------


def test_unknown_argument_offers_the_nearest_name():
    message = (
        r"arg_scope: needs has no argument 'kernel_sise'; did you mean 'kernel_size'\? "
        r"\(it has x, kernel_size, stride, normalizer_params\)"
    )
    with pytest.raises(slim.ScopeError, match=message):
        slim.arg_scope([needs], kernel_sise=3)


def test_unknown_argument_of_the_second_op_is_named():
    with pytest.raises(slim.ScopeError, match="arg_scope: other has no argument 'c'"):
        slim.arg_scope([seen, other], c=3)


def test_positional_only_parameter_is_no_argument_for_a_scope():
    @slim.add_arg_scope
    def op(x, /, y=1):
        return x, y

    with pytest.raises(slim.ScopeError, match=r"op has no argument 'x' \(it has y\)"):
        slim.arg_scope([op], x=1)
    with slim.arg_scope([op], y=2):
        assert op(1) == (1, 2)


def test_undecorated_op_is_refused():
    def plain():
        pass

    for use in (
        lambda: slim.arg_scope([plain]),
        lambda: slim.arg_scope_func_key(plain),
        lambda: slim.arg_scoped_arguments(plain),
        lambda: slim.arg_scope_explain(plain),
    ):
        with pytest.raises(slim.ScopeError, match="'plain' is not decorated with @add_arg_scope"):
            use()


def test_partial_of_an_op_in_the_list_is_refused_by_its_name():
    with pytest.raises(slim.ScopeError, match="a partial of 'seen' is not decorated"):
        slim.arg_scope([functools.partial(seen, a=1)], b=1)


@pytest.mark.parametrize("bad", [seen, "seen", {seen}, 3, None])
def test_first_argument_must_be_a_list_or_a_scope(bad):
    kind = type(bad).__name__
    with pytest.raises(TypeError, match=f"must be a list or tuple of ops, or a scope.*got {kind}"):
        slim.arg_scope(bad, a=1)


def test_saved_scope_with_keywords_is_refused():
    with slim.arg_scope([seen], a=1) as saved:
        pass
    with pytest.raises(slim.ScopeError, match="entered as it is, but a, b was given with it"):
        slim.arg_scope(saved, a=1, b=2)


def test_plain_dict_with_a_key_of_no_op_is_refused():
    key = slim.arg_scope_func_key(seen)
    for wrong in ("seen", key[:-1], seen):
        with pytest.raises(slim.ScopeError, match=r"arg_scope: no op has the key .*arg_scope_func"):
            slim.arg_scope({wrong: {"a": 1}})
    with pytest.raises(slim.ScopeError, match="seen has no argument 'aa'; did you mean 'a'"):
        slim.arg_scope({key: {"aa": 1}})
    with pytest.raises(TypeError, match=r"defaults of seen must be a dict .*, got int"):
        slim.arg_scope({key: 1})


def test_unknown_argument_is_a_type_error_too():
    with pytest.raises(TypeError, match="other has no argument 'c'"):
        slim.arg_scope([other], c=3)
