"""`is_training = tf.placeholder(tf.bool)` in a function: an argument of that function."""

from collections.abc import Mapping

import libcst as cst

from jslim.compat.port._names import dotted


def default_of(name: str, target: str, call: cst.Call) -> str | None:
    """The default of the argument that takes the place of a placeholder.

    Args:
      name: The full name of what is called: `tf.placeholder`.
      target: The name that holds it.
      call: The call.

    Returns:
      `'True'` or `'False'`; `''` for none; None if the placeholder says nothing about training.
    """
    texts = [dotted(arg.value) or "" for arg in call.args]
    if "train" not in target or "." in target or not texts:
        return None
    if name == "tf.placeholder" and any(text.endswith(".bool") for text in texts):
        return ""
    is_known = name == "tf.placeholder_with_default" and texts[0] in ("True", "False")
    return texts[0] if is_known else None


def with_arguments(function: cst.FunctionDef, new: Mapping[str, str]) -> cst.FunctionDef:
    """A function with more arguments, by name with their defaults."""
    params = function.params
    there = {param.name.value for param in (*params.params, *params.kwonly_params)}
    added = [_param(name, default) for name, default in new.items() if name not in there]
    if not added:
        return function
    has_defaults = any(param.default is not None for param in params.params)
    is_last = not params.kwonly_params and isinstance(params.star_arg, cst.MaybeSentinel)
    if is_last and not has_defaults:
        params = params.with_changes(params=[*params.params, *added])
    else:
        params = params.with_changes(kwonly_params=[*params.kwonly_params, *added])
    return function.with_changes(params=params)


def _param(name: str, default: str) -> cst.Param:
    if not default:
        return cst.Param(cst.Name(name))
    nothing = cst.SimpleWhitespace("")
    equal = cst.AssignEqual(nothing, nothing)
    return cst.Param(cst.Name(name), default=cst.Name(default), equal=equal)
