"""`tf.contrib`: slim, layers, framework, losses, metrics and training."""

import types
from typing import TYPE_CHECKING, Any

from jslim.compat.tf import _missing
from jslim.compat.tf.contrib import framework as framework
from jslim.compat.tf.contrib import layers as layers
from jslim.compat.tf.contrib import metrics as metrics
from jslim.compat.tf.contrib import training as training

if TYPE_CHECKING:
    slim: types.ModuleType
    losses: types.ModuleType

_JSLIM = {"slim": "jslim", "losses": "jslim.losses"}
_answer = _missing.answering("tf.contrib", __name__)


def __getattr__(name: str) -> Any:
    if name in _JSLIM:
        import importlib

        return importlib.import_module(_JSLIM[name])
    return _answer(name)
