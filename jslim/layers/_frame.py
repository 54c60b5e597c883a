"""The frame of a layer: what every layer does before and after its own computation.

    @layer("BiasAdd")
    def bias_add(call: Call, inputs: jax.Array, activation_fn: Activation = None, ...): ...

makes the op `bias_add(inputs, activation_fn=None, ...)`. The frame opens the scope and makes a
`Call`. The body computes the result, with checks of inputs and variables from the `Call`. The frame
then adds biases or normalizes, activates, and collects the result. For these steps it reads the
arguments named in `Shared`; a body has them in its signature and need not use them.
"""

import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypedDict, TypeVar, cast

import jax
import numpy as np
from jax.typing import ArrayLike, DTypeLike

from jslim.core import checks
from jslim.core.access import FRAME, frame
from jslim.core.arg_scope import add_arg_scope, arg_scope_func_key
from jslim.core.arguments import explained
from jslim.core.context import context
from jslim.core.defaults import Defaults
from jslim.core.names import Reuse
from jslim.core.scopes import variable_scope
from jslim.layers import _common, _windows, utils
from jslim.layers._ranks import IMAGES, RANKS, Rank
from jslim.layers._types import Activation, Collections, Initializer, Names, Normalizer, Regularizer
from jslim.layers._windows import Padding, Pair, Windows
from jslim.variables import model_variable

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])

_NAMING = {"scope", "name"}  # arguments that are needed before there is a `Call`

# The ops that compute in the dtype of their argument `dtype`.
COMPUTING_OPS: list[Callable[..., jax.Array]] = []


class Shared(TypedDict, total=False):
    """The arguments that mean the same to every layer that has them."""

    scope: str | None
    name: str | None
    reuse: Reuse
    trainable: bool
    variables_collections: Collections
    outputs_collections: Names
    output_collections: Names
    data_format: str | None
    dtype: DTypeLike | None
    param_dtype: DTypeLike | None
    normalizer_fn: Normalizer
    normalizer_params: Mapping[str, object] | None
    biases_initializer: Initializer
    biases_regularizer: Regularizer
    activation_fn: Activation


class Call:
    """One call of a layer, within its scope."""

    def __init__(self, declared: "layer", name: str, where: str, scope: str, given: Shared):
        self.where = where
        self.scope = scope  # the full name
        self.name = name
        self.has_scope = declared.names is None
        self.rank = declared.rank
        self.member = declared.member
        self.channels_first = False
        self.channel_axis = -1
        self._given = given
        self.dtype: np.dtype  # of the computation; known after `floating` or `exact`
        self.result_dtype: np.dtype | None = None  # if it is another one

    def check(
        self,
        functions: Mapping[str, checks.Kind],
        annotated: Mapping[str, checks.Annotated],
        defaults: Defaults | None,
    ) -> None:
        """Refuses arguments of a wrong type.

        Args:
          functions: Those that are functions.
          annotated: Those that are switches, numbers or texts.
          defaults: Those that an arg_scope may have set.
        """
        given: Mapping[str, object] = self._given

        def name_of(argument: str) -> str:
            if defaults and argument in defaults and defaults[argument] is given.get(argument):
                return f"{argument}, set by the arg_scope at {defaults.sites[argument]},"
            return argument

        for argument, kind in functions.items():
            checks.function_of(self.where, name_of(argument), given.get(argument), kind)
        if (params := self._given.get("normalizer_params")) is not None:
            accepted = "a dict {argument: value}"
            checks.instance(self.where, "normalizer_params", params, Mapping, accepted)
        for argument in annotated.keys() & given.keys():
            checks.fits(self.where, name_of(argument), given[argument], annotated[argument])
        for argument in ("dtype", "param_dtype"):
            if (dtype := given.get(argument)) is not None:
                checks.floating_dtype(self.where, argument, cast(DTypeLike, dtype))
        _common.static_bool(self.where, "trainable", self._given.get("trainable", True))

    def floating(self, inputs: ArrayLike) -> jax.Array:
        """The inputs in the dtype of the computation: `dtype`, or their own."""
        array = _common.as_floating(self.where, inputs, self._given.get("dtype"))
        self.dtype = array.dtype
        return array

    def exact(self, inputs: ArrayLike) -> jax.Array:
        """The inputs in at least float32. The result gets `dtype`, or the dtype of the inputs."""
        array = _common.as_floating(self.where, inputs)
        wanted = self._given.get("dtype") or array.dtype
        self.result_dtype = _common.floating_dtype(self.where, wanted)
        self.dtype = _common.at_least_float32(self.result_dtype)
        return _common.cast(array, self.dtype)

    def features(self, array: jax.Array, last: str = "features") -> jax.Array:
        """The array, which must have a batch axis and features or channels."""
        hint = "add a batch axis"
        checks.rank(self.where, "inputs", array, f"[batch, ..., {last}]", hint)
        return array

    def find_channels(self, array: jax.Array, rank: Rank = IMAGES) -> int:
        """The axis of the channels, by `data_format`."""
        if (data_format := self._given.get("data_format")) is not None:
            names = {"channels_last": rank.last, "channels_first": rank.first}
            keras = names.get(str(data_format))
            hint = f"Keras's {data_format!r} is {keras!r}" if keras else ""
            formats = (rank.last, rank.first)
            checks.one_of(self.where, "data_format", data_format, formats, hint=hint)
        self.channels_first = data_format == rank.first
        self.channel_axis = 1 if self.channels_first else array.ndim - 1
        return self.channel_axis

    def images(self, array: jax.Array, dims: int | None = None) -> jax.Array:
        """The array, which must have the spatial dimensions of the op, or `dims` of them."""
        dims = dims or self.rank.dims or array.ndim - 2
        if dims not in RANKS:
            accepted = "[batch, ..., channels] with 1 to 3 spatial dimensions"
            got = f"shape {array.shape}"
            raise checks.refusal(self.where, "inputs", accepted, got, "reshape them")
        rank = RANKS[dims]
        self.find_channels(array, rank)
        axes = f"channels, {rank.space}" if self.channels_first else f"{rank.space}, channels"
        hint = "add a batch axis" if array.ndim == dims + 1 else "reshape them"
        checks.rank(self.where, "inputs", array, f"[batch, {axes}]", hint)
        return array

    def windows(
        self,
        images: jax.Array,
        kernel_size: Pair,
        stride: Pair,
        padding: Padding,
        rate: Pair = 1,
        *,
        rate_name: str = "rate",
    ) -> Windows:
        """The places of the windows over the images."""
        dims = images.ndim - 2
        size = checks.positive_integers(self.where, "kernel_size", kernel_size, dims)
        steps = checks.positive_integers(self.where, "stride", stride, dims)
        spread = checks.positive_integers(self.where, rate_name, rate, dims)
        if max(steps) > 1 and max(spread) > 1:
            raise ValueError(
                f"{self.where}: stride and {rate_name} cannot both be above 1, got stride={steps} "
                f"and {rate_name}={spread}; use one of them"
            )
        spatial = images.shape[2:] if self.channels_first else images.shape[1:-1]
        return _windows.windows(
            self.where,
            spatial,
            size,
            steps,
            padding,
            rate=spread,
            channels_first=self.channels_first,
        )

    def channels(self, array: jax.Array) -> int:
        return array.shape[self.channel_axis]

    def parameter(
        self,
        name: str,
        shape: Sequence[int],
        initializer: Initializer,
        regularizer: Regularizer = None,
    ) -> jax.Array:
        """The variable `name` of the layer, in the dtype of the computation."""
        value = model_variable(
            name,
            shape,
            self._given.get("param_dtype") or _common.at_least_float32(self.dtype),
            initializer,
            regularizer,
            trainable=self._given.get("trainable", True),
            collections=self.collections("weights" if name.endswith("_weights") else name),
        )
        gather = context().gather
        if gather is None:
            return _common.cast(value, self.dtype)
        # Cast before gathering: half the bytes travel, also of the gradient.
        run, scope, _ = frame(self.where)
        full = scope.full_name(name)
        return gather(full, _common.cast(run.stored(full), self.dtype))

    def collections(self, name: str) -> list[str]:
        """The collections that the variable `name` is to be added to."""
        return utils.get_variable_collections(self._given.get("variables_collections"), name)

    def rounded(self, outputs: jax.Array) -> jax.Array:
        """The result in its own dtype, if the computation has another one."""
        return outputs if self.result_dtype is None else _common.cast(outputs, self.result_dtype)

    def _note_name(self, outputs: jax.Array) -> None:
        """Notes the name of the result: the scope of names, and the last of its steps."""
        running, given = FRAME.get(), self._given
        if running is None:
            return
        made_by = self.name
        if given.get("activation_fn") is not None:
            made_by = getattr(given["activation_fn"], "__name__", "activation")
        elif given.get("normalizer_fn") is not None:
            made_by = getattr(given["normalizer_fn"], "__name__", "normalizer")
        elif given.get("biases_initializer") is not None:
            made_by = "bias_add"
        scope = running.name_scope if self.has_scope else self.scope
        running.run.array_names.note_result(outputs, scope, made_by)

    def finished(self, outputs: jax.Array) -> jax.Array:
        """The steps after a body: normalizer or biases, activation, collections."""
        given = self._given
        if (normalizer_fn := given.get("normalizer_fn")) is not None:
            outputs = normalizer_fn(outputs, **(given.get("normalizer_params") or {}))
        elif (initializer := given.get("biases_initializer")) is not None:
            axis = self.channel_axis % outputs.ndim
            shape, regularizer = (outputs.shape[axis],), given.get("biases_regularizer")
            biases = self.parameter("biases", shape, initializer, regularizer)
            outputs = _common.add_biases(outputs, biases, axis)
        outputs = self.rounded(outputs)
        if (activation_fn := given.get("activation_fn")) is not None:
            outputs = activation_fn(outputs)
        self._note_name(outputs)
        collections = given.get("outputs_collections", given.get("output_collections"))
        return utils.collect_named_outputs(collections, self.scope, outputs)


@dataclass(frozen=True)
class layer:
    """Declares an op by its body. Several ops of one body are a family."""

    scope: (
        str | Callable[[Mapping[str, object]], str]
    )  # the default one, or a function of arguments
    name: str = ""  # of the op; default: the name of the body
    shown: str = ""  # the op's name in errors, if it is shorter
    rank: Rank = IMAGES
    member: str = ""  # the op's place in its family, for the body
    # Names an op without variables, which opens no scope around its body.
    names: Callable[[str | None, str], str] | None = None
    fixed: Mapping[str, object] = field(default_factory=dict)  # arguments of the body, not the op
    words: Mapping[str, str] = field(default_factory=dict)  # for the docstring
    is_arg_scoped: bool = True
    computes_in_dtype: bool = False

    def __call__(self, body: Callable[Concatenate[Call, P], jax.Array]) -> Callable[P, jax.Array]:
        name = self.name or body.__name__
        parameters = self._parameters(body)
        by_position = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)
        defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
        shown, compute = self.shown or name, _renamed(body, name)
        functions = checks.kinds_of(p.name for p in parameters)
        # Sizes, which have no default, and choices are checked by the body.
        annotated = checks.annotated(
            p
            for p in parameters
            if p.name not in functions and p.default is not p.empty and p.annotation is not str
        )

        @functools.wraps(compute)
        def op(*args: P.args, **kwargs: P.kwargs) -> jax.Array:
            for argument in self.fixed.keys() & kwargs.keys():
                raise TypeError(f"{name}() got an unexpected keyword argument {argument!r}")
            given = defaults | dict(zip(by_position, args, strict=False)) | kwargs
            default = self.scope if isinstance(self.scope, str) else self.scope(given)
            shared = cast(Shared, given)
            for argument in _NAMING & annotated.keys() & given.keys():
                checks.fits(shown, argument, given[argument], annotated[argument])
            if self.names is None:
                frame(shown)  # for its error, which names the layer
            with self._opened(shared, default) as scope:
                call = Call(self, shown, f"{shown} at {scope!r}", scope, shared)
                call.check(functions, annotated, context().arg_scope.get(key))

                def result() -> jax.Array:
                    return call.finished(compute(call, *args, **kwargs, **self.fixed))  # type: ignore[arg-type]

                observer = context().observer
                return result() if observer is None else observer.seen(key, shown, scope, result)

        signature = inspect.Signature(parameters, return_annotation=jax.Array)
        op.__dict__.update(__signature__=signature, _shown_name=shown)
        text = body.__doc__ or ""
        op.__doc__ = text.format(**vars(self.rank), **self.words) if self.name else text
        op.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": jax.Array}
        declared = (
            add_arg_scope(op) if self.is_arg_scoped else explained(op, shown, are_checked=True)
        )
        key = arg_scope_func_key(declared) if self.is_arg_scoped else ""
        if self.computes_in_dtype:
            COMPUTING_OPS.append(declared)
        return declared

    @contextlib.contextmanager
    def _opened(self, given: Shared, default: str) -> Iterator[str]:
        """The full name of a call, in its scope if it has one."""
        scope = given.get("scope", given.get("name"))
        if self.names is not None:
            yield self.names(scope, default)
            return
        with variable_scope(scope, default, reuse=given.get("reuse")) as opened:
            yield opened.name

    def _parameters(self, body: Callable[..., object]) -> list[inspect.Parameter]:
        """The parameters of the op: for volumes 'NDHWC' replaces the body's default 'NHWC'."""
        _, *parameters = inspect.signature(body).parameters.values()
        return [
            p.replace(default=self.rank.last) if p.default == IMAGES.last else p
            for p in parameters
            if p.name not in self.fixed
        ]


def _renamed(body: F, name: str) -> F:
    """The body under the name of the op, for Python's own errors about wrong arguments."""
    assert isinstance(body, types.FunctionType)
    renamed = types.FunctionType(
        body.__code__, body.__globals__, name, body.__defaults__, body.__closure__
    )
    renamed.__kwdefaults__ = body.__kwdefaults__
    renamed.__qualname__ = name
    return cast(F, renamed)
