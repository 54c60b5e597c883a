"""What is TensorFlow's or Python 2's in old programs, and what takes its place.

Tables, for the import hook of `install` and for a converter alike.
"""

import functools
import math
from collections.abc import Callable, ItemsView, KeysView, Mapping, ValuesView
from typing import Any

import jax
import numpy as np

from jslim.compat import _graph
from jslim.compat.tf import _variables
from jslim.compat.tf._op import Constant
from jslim.compat.tf._shapes import SYMBOL, TensorShape

# Modules by their old names, and the modules of jslim that have their names, the first one first.
# A name in a folder `x.*` is that of a module below it.
_TF = "jslim.compat.tf"
_EVERYWHERE = tuple(
    f"{_TF}{part}"
    for part in ("", ".nn", ".math", ".image", ".losses", ".train", ".initializers", ".layers",
                 "._internals")
)  # fmt: skip
_SLIM = ("jslim", f"{_TF}._slim_members")
# The folders of research/slim, and jslim's.
SCRIPTS = {"nets": "jslim.nets", "preprocessing": "jslim.preprocessing", "datasets": "jslim.data"}
MODULES: dict[str, tuple[str, ...]] = {
    "tensorflow": (_TF,),
    "tensorflow.compat.v1": (_TF,),
    **{
        f"{root}.{name}": (f"{_TF}.{name}",)
        for root in ("tensorflow", "tensorflow.compat.v1")
        for name in ("nn", "image", "losses", "layers", "train", "summary", "math", "random", "io",
                     "app", "flags", "gfile", "logging", "errors", "initializers", "python_io",
                     "compat", "test")
    },
    "tensorflow.contrib": (f"{_TF}.contrib",),
    "tensorflow.contrib.framework": (f"{_TF}.contrib.framework",),
    "tensorflow.contrib.framework.python": (f"{_TF}.contrib.framework",),
    "tensorflow.contrib.framework.python.ops": (f"{_TF}.contrib.framework",),
    "tensorflow.contrib.framework.python.ops.arg_scope": (f"{_TF}.contrib.framework",),
    "tensorflow.contrib.framework.python.ops.variables": (f"{_TF}.contrib.framework",),
    "tensorflow.contrib.layers": (f"{_TF}.contrib.layers",),
    "tensorflow.contrib.layers.python": (f"{_TF}.contrib.layers",),
    "tensorflow.contrib.layers.python.layers": (f"{_TF}.contrib.layers",),
    "tensorflow.contrib.layers.python.layers.layers": (f"{_TF}.contrib.layers", "jslim.layers"),
    "tensorflow.contrib.layers.python.layers.utils": ("jslim.layers.utils",),
    "tensorflow.contrib.layers.python.layers.initializers": ("jslim.initializers",),
    "tensorflow.contrib.layers.python.layers.regularizers": ("jslim.regularizers",),
    "tensorflow.contrib.losses": ("jslim.losses",),
    "tensorflow.contrib.metrics": (f"{_TF}.contrib.metrics",),
    "tensorflow.contrib.training": (f"{_TF}.contrib.training",),
    "tensorflow.contrib.training.python.training.hparam": (f"{_TF}.contrib.training",),
    "tensorflow.contrib.slim": _SLIM,
    "tensorflow.contrib.slim.python": _SLIM,
    "tensorflow.contrib.slim.python.slim": _SLIM,
    "tf_slim": _SLIM,
    "tf_slim.ops": ("jslim",),
    "tf_slim.ops.arg_scope": ("jslim",),
    "tf_slim.ops.variables": ("jslim.variables",),
    "tensorflow.python": (_TF,),
    "tensorflow.python.ops": _EVERYWHERE,
    "tensorflow.python.framework": _EVERYWHERE,
    "tensorflow.python.platform": (_TF,),
    "tensorflow.python.platform.app": (f"{_TF}.app",),
    "tensorflow.python.platform.flags": (f"{_TF}.flags",),
    "tensorflow.python.platform.gfile": (f"{_TF}.gfile",),
    "tensorflow.python.platform.tf_logging": (f"{_TF}.logging",),
    "tensorflow.python.training": _EVERYWHERE,
    "tensorflow.python.util": _EVERYWHERE,
    "tensorflow.python.layers": (f"{_TF}.layers",),
    "tensorflow.python.pywrap_tensorflow": (f"{_TF}.train",),
    **{
        f"tensorflow.python.{folder}.{name}": _EVERYWHERE
        for folder, names in {
            "ops": "array_ops check_ops clip_ops control_flow_ops data_flow_ops gen_array_ops "
            "gen_image_ops gen_math_ops gen_nn_ops image_ops init_ops logging_ops math_ops nn "
            "nn_impl nn_ops random_ops state_ops variable_scope variables",
            "framework": "common_shapes constant_op dtypes function ops tensor_shape tensor_util",
            "training": "learning_rate_decay moving_averages training",
            "util": "deprecation tf_export",
            "layers": "convolutional core normalization pooling utils",
        }.items()
        for name in names.split()
    },
    **{
        f"nets.{folder}.{name}": (f"jslim.nets.{name}",)
        for folder, names in {
            "mobilenet": "conv_blocks mobilenet mobilenet_v2 mobilenet_v3",
            "nasnet": "nasnet nasnet_utils pnasnet",
        }.items()
        for name in names.split()
    },
    **{name: (place,) for name, place in SCRIPTS.items()},
}  # fmt: skip

# Folders of modules: `tf_slim.layers` is `jslim.layers`.
FOLDERS: dict[str, tuple[str, ...]] = {
    "tf_slim": ("jslim",),
    "tensorflow.contrib.slim": ("jslim",),
    "tensorflow.contrib.slim.python.slim": ("jslim",),
    **{name: (place,) for name, place in SCRIPTS.items()},
}

# In these `from folder import name` gives the module where a function has the same name.
PARTS_FIRST = ("tensorflow.python.", "tf_slim.ops.", "nets.mobilenet.", "nets.nasnet.")

# Python 2's modules, and their names in Python 3.
PYTHON_2_MODULES = {
    "ConfigParser": "configparser", "Queue": "queue", "StringIO": "io", "Tkinter": "tkinter",
    "cPickle": "pickle", "cStringIO": "io",
}  # fmt: skip

# These are found only where a program has none of its own.
LAST = (*SCRIPTS, *PYTHON_2_MODULES)

# Python 2's names.
BUILTINS: dict[str, object] = {
    "basestring": str,
    "long": int,
    "raw_input": input,
    "reduce": functools.reduce,
    "unichr": chr,
    "unicode": str,
    "xrange": range,
}


def _keys(value: Mapping[str, Any]) -> Callable[[], Any]:
    return lambda: iter(value)


# For values that do not answer an attribute themselves: what they would in TensorFlow 1 or in
# Python 2. By the kind of value: its classes, and how each attribute is made.
Reader = Callable[[Any], object]
ATTRIBUTES: tuple[tuple[type | tuple[type, ...], dict[str, Reader]], ...] = (
    (
        (tuple, list),  # a shape
        {
            "as_list": lambda shape: lambda: list(shape),
            "dims": list,
            "ndims": len,
            "rank": len,
            "num_elements": lambda shape: lambda: math.prod(shape),
            "is_fully_defined": lambda shape: lambda: True,
            "assert_is_fully_defined": lambda s: TensorShape(s).assert_is_fully_defined,
            "assert_has_rank": lambda shape: TensorShape(shape).assert_has_rank,
            "assert_is_compatible_with": lambda s: TensorShape(s).assert_is_compatible_with,
            "is_compatible_with": lambda shape: TensorShape(shape).is_compatible_with,
            "merge_with": lambda shape: TensorShape(shape).merge_with,
            "with_rank": lambda shape: TensorShape(shape).with_rank,
        },
    ),
    ((int, np.integer, type(None), SYMBOL), {"value": lambda length: length}),
    (
        dict,
        {
            "has_key": lambda held: held.__contains__,
            "iteritems": lambda held: lambda: iter(held.items()),
            "iterkeys": _keys,
            "itervalues": lambda held: lambda: iter(held.values()),
        },
    ),
    (
        (jax.Array, np.ndarray),
        {
            "name": _graph.tensor_name,
            "op": _graph.operation_of,
            "graph": lambda value: _graph.Graph(),
            "assign": lambda value: functools.partial(_variables.assign, value),
            "assign_add": lambda value: functools.partial(_variables.assign_add, value),
            "assign_sub": lambda value: functools.partial(_variables.assign_sub, value),
            "initialized_value": lambda value: lambda: value,
            "read_value": lambda value: lambda: value,
            "value": lambda value: lambda: value,
            "get_shape": lambda value: lambda: TensorShape(value.shape),
        },
    ),
    (str, {"name": _graph.name_of_key, "op": _graph.operation_of_key}),
    (
        np.dtype,
        {
            "as_numpy_dtype": lambda dtype: dtype.type,
            "base_dtype": lambda dtype: dtype,
            "is_floating": lambda dtype: dtype.kind == "f" or dtype.name == "bfloat16",
            "is_integer": lambda dtype: dtype.kind in "iu",
        },
    ),
)
# Names that NumPy dropped in 1.24 and 2.0.
NUMPY: dict[str, object] = {
    "bool": bool,
    "complex": complex,
    "float": float,
    "float_": np.float64,
    "Inf": np.inf,
    "infty": np.inf,
    "int": int,
    "long": int,
    "NaN": np.nan,
    "object": object,
    "product": np.prod,
    "str": str,
}
NAMES_OF_ATTRIBUTES = frozenset(NUMPY).union(*(readers for _, readers in ATTRIBUTES))


def read(value: Any, name: str) -> Any:
    """`value.name`; for an attribute of TensorFlow 1 or Python 2 what it would give there.

    >>> read((2, 3), "as_list")(), read((2, 3), "ndims"), read(3, "value")
    ([2, 3], 2, 3)
    >>> dict(read({"a": 1}, "iteritems")())
    {'a': 1}
    """
    if value is np and name in NUMPY:
        return NUMPY[name]
    try:
        return getattr(value, name)
    except AttributeError:
        for kinds, readers in ATTRIBUTES:
            if isinstance(value, kinds) and name in readers:
                return readers[name](value)
        raise


class Listed(list[Any]):
    """What `dict.items()` gives, and `keys` and `values`: Python 2's list, and Python 3's view."""

    def __init__(self, view: KeysView[Any] | ValuesView[Any] | ItemsView[Any, Any]) -> None:
        super().__init__(view)
        self._view: Any = view

    def __eq__(self, other: object) -> Any:
        return self._view == other._view if isinstance(other, Listed) else super().__eq__(other)

    __hash__ = None

    def __and__(self, other: Any) -> Any:
        return self._view & other

    def __or__(self, other: Any) -> Any:
        return self._view | other

    def __sub__(self, other: Any) -> Any:
        return self._view - other

    def __xor__(self, other: Any) -> Any:
        return self._view ^ other


def listed(held: Any) -> Any:
    """A view of a dict as `Listed`; anything else as it is.

    >>> listed({"a": 1}.items())[0]
    ('a', 1)
    """
    is_view = isinstance(held, (KeysView, ValuesView, ItemsView))
    return Listed(held) if is_view else held


def are_same(first: Any, second: Any) -> Any:
    """`first == second`; of arrays of TensorFlow 1 whether they are one object, as there."""
    if isinstance(first, (jax.Array, Constant)) or isinstance(second, (jax.Array, Constant)):
        return first is second
    return first == second


def are_others(first: Any, second: Any) -> Any:
    """`first != second`; of arrays of TensorFlow 1 whether they are two objects, as there."""
    if isinstance(first, (jax.Array, Constant)) or isinstance(second, (jax.Array, Constant)):
        return first is not second
    return first != second


# Signs of Python 2 in the words of Python 3's parser, and what they are.
PYTHON_2 = {
    "Missing parentheses in call to 'print'": "the statement print",
    "Missing parentheses in call to 'exec'": "the statement exec",
    "multiple exception types must be parenthesized": "except KIND, name",
    "leading zeros in decimal integer literals": "octal numbers such as 0777",
    "inconsistent use of tabs and spaces": "tabs mixed with spaces",
    "unindent does not match": "tabs mixed with spaces",
    "invalid decimal literal": "numbers such as 10L",
}
