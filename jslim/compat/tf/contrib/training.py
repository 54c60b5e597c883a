"""`tf.contrib.training`: the hyperparameters of a program."""

import json
import re
from collections.abc import Mapping
from typing import Any

from jslim.compat.tf import _missing
from jslim.core import checks
from jslim.core.errors import did_you_mean

_PAIR = re.compile(r"\s*(\w+)\s*(?:\[(\d+)\])?\s*=\s*(\[[^\]]*\]|[^,\[]*)\s*(?:,|$)")
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class HParams:
    """Named values as attributes. Each keeps the type, or as a list the kind, that it has first.

    >>> hparams = HParams(rate=0.1, sizes=[1, 2], is_fast=False)
    >>> hparams.parse("rate=0.5,sizes=[3,4,5],is_fast=true").values()
    {'rate': 0.5, 'sizes': [3, 4, 5], 'is_fast': True}

    Raises:
      ValueError: A name is taken by a method, a list is empty, or a value does not fit its type.
    """

    def __init__(self, hparam_def: None = None, model_structure: object = None, **kwargs: Any):
        checks.one_of("HParams", "hparam_def", hparam_def, (None,))
        self._types: dict[str, tuple[type, bool]] = {}
        self._model_structure = model_structure
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value: Any) -> None:
        """Adds a value under a new name."""
        if hasattr(self, name):
            raise ValueError(f"HParams: {name!r} is there already, or the name of a method")
        is_list = isinstance(value, (list, tuple))
        if is_list and not value:
            raise ValueError(f"HParams: the list {name!r} is empty, so that its type is not known")
        self._types[name] = type(value[0] if is_list else value), is_list
        setattr(self, name, list(value) if is_list else value)

    def set_hparam(self, name: str, value: Any) -> None:
        """Gives a name another value of its type."""
        kind, is_list = self._type_of(name)
        if is_list != isinstance(value, (list, tuple)):
            accepted = "a list" if is_list else "a single value"
            raise checks.refusal("HParams", name, accepted, repr(value))
        if is_list:
            setattr(self, name, [_cast(name, kind, part) for part in value])
        else:
            setattr(self, name, _cast(name, kind, value))

    def del_hparam(self, name: str) -> None:
        """Takes a name away."""
        if hasattr(self, name):
            delattr(self, name)
            del self._types[name]

    def parse(self, values: str) -> "HParams":
        """Sets values from a text: `'rate=0.5,sizes=[1,2],sizes[0]=3'`."""
        at = 0
        while at < len(values):
            found = _PAIR.match(values, at)
            if not found:
                accepted = "name=value pairs with commas between them"
                raise checks.refusal("HParams", "values", accepted, repr(values[at:]))
            name, index, text = found.groups()
            kind, is_list = self._type_of(name)
            if index is not None:
                held = list(getattr(self, name))
                held[int(index)] = _from_text(name, kind, text)
                self.set_hparam(name, held)
            elif is_list:
                parts = text.strip("[] ").split(",") if text.startswith("[") else [text]
                self.set_hparam(name, [_from_text(name, kind, part) for part in parts])
            else:
                self.set_hparam(name, _from_text(name, kind, text))
            at = found.end()
        return self

    def override_from_dict(self, values_dict: Mapping[str, Any]) -> "HParams":
        """Sets the values of a dict."""
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    def set_model_structure(self, model_structure: object) -> None:
        self._model_structure = model_structure

    def get_model_structure(self) -> object:
        return self._model_structure

    def to_json(
        self, indent: int | None = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        """The values as a text in JSON, without functions."""
        held = {name: value for name, value in self.values().items() if not callable(value)}
        return json.dumps(held, indent=indent, separators=separators, sort_keys=sort_keys)

    def parse_json(self, values_json: str) -> "HParams":
        """Sets the values of a text in JSON."""
        return self.override_from_dict(json.loads(values_json))

    def values(self) -> dict[str, Any]:
        """`{name: value}`."""
        return {name: getattr(self, name) for name in self._types}

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a name, or the default where there is no such name."""
        return getattr(self, key) if key in self._types else default

    def _type_of(self, name: str) -> tuple[type, bool]:
        if name not in self._types:
            known = list(self._types)
            raise ValueError(f"HParams: there is no {name!r}{did_you_mean(name, known)}")
        return self._types[name]

    def __getattr__(self, name: str) -> Any:  # of what is not there
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(f"HParams has no {name!r}; it has {', '.join(self._types)}")

    def __contains__(self, key: object) -> bool:
        return key in self._types

    def __repr__(self) -> str:
        return f"HParams({', '.join(f'{n}={v!r}' for n, v in self.values().items())})"


def _cast(name: str, kind: type[Any], value: Any) -> Any:
    """The value in the type that its name has; a fraction does not become a whole number."""
    if value is None or kind is type(None):
        return value
    fits: tuple[type, ...] = {float: (int, float), str: (str, bytes)}.get(kind, (kind,))
    if not isinstance(value, fits) or isinstance(value, bool) != (kind is bool):
        raise checks.refusal("HParams", name, f"of type {kind.__name__}", repr(value))
    if kind is str:
        return value.decode() if isinstance(value, bytes) else value
    return kind(value)


def _from_text(name: str, kind: type, text: str) -> Any:
    word = text.strip()
    try:
        if kind is bool:
            return _TRUTH[word.lower()]
        return kind(word) if kind in (int, float) else word
    except (KeyError, ValueError):
        raise checks.refusal("HParams", name, f"of type {kind.__name__}", repr(word)) from None


__getattr__ = _missing.answering("tf.contrib.training", __name__)
