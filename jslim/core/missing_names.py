"""What the error about a name that a module does not have offers in its place."""

import functools
import sys
import types

from jslim.core.other_names import meant_thing

_OPEN = ("jslim", "jslim.nets", "jslim.preprocessing")


def offered(module: str, name: str) -> str:
    """`"; did you mean 'conv2d'?"`; `""` if nothing in the module is like the name.

    Functions and classes of the module come first; then, where its modules are names for users,
    those in them; then the modules. Those that are not imported yet are left out.

    >>> offered("jslim.metrics", "Accuracy")
    "; did you mean 'accuracy'?"
    """
    if name.startswith("_"):  # Python itself often asks for such names
        return ""
    holder = sys.modules[module]
    held = {key: vars(holder).get(key) for key in dir(holder) if _is_public(key)}
    parts = {
        key: part
        for key, part in held.items()
        if isinstance(part, types.ModuleType) and _is_of_jslim(part.__name__)
    }
    # A name that would be imported when asked for has no value yet.
    own = {key: repr(key) for key, value in held.items() if value is None or _is_thing(value)}
    if module == "jslim":  # whose modules are among those
        own |= {key: repr(key) for key in parts}
    within = {
        thing: repr(f"{key}.{thing}")
        for key, part in (parts if module in _OPEN else {}).items()
        for thing, value in vars(part).items()
        if _is_public(thing) and _is_thing(value)
    }
    levels = (own, within, {key: repr(key) for key in parts})
    for names in levels:  # `LeNet` of `lenet.lenet`
        if same := [thing for thing in names if _plain(thing) == _plain(name)]:
            return f"; did you mean {names[same[0]]}?"
    return next(filter(None, (meant_thing(name, names) for names in levels)), "")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _is_thing(value: object) -> bool:
    """Whether it is a function, a class or a value of jslim's own."""
    if isinstance(value, functools.partial):
        value = value.func
    if isinstance(value, types.ModuleType):
        return False
    return _is_of_jslim(getattr(value, "__module__", None) or "")


def _is_of_jslim(module: str) -> bool:
    return f"{module}.".startswith("jslim.")


def _is_public(name: str) -> bool:
    return not name.startswith("_")
