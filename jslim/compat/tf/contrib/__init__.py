"""`tf.contrib`: slim, layers and framework."""

import types
from typing import TYPE_CHECKING, Any

from jslim.compat.tf import _missing
from jslim.compat.tf.contrib import framework as framework
from jslim.compat.tf.contrib import layers as layers

if TYPE_CHECKING:
    slim: types.ModuleType

_answer = _missing.answering("tf.contrib", __name__)


def __getattr__(name: str) -> Any:
    if name == "slim":
        import importlib

        return importlib.import_module("jslim")
    return _answer(name)
