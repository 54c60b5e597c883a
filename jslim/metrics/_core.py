"""The type of metrics, and aggregates of several."""

import functools
import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.core.arguments import misfit
from jslim.metrics import _accumulators as accumulators
from jslim.metrics._decisions import unless_rejected
from jslim.metrics._inputs import multiply_weights

Parameters = ParamSpec("Parameters")
StateT = TypeVar("StateT")
Key = TypeVar("Key", str, int)
State: TypeAlias = Any  # a pytree of arrays
Value: TypeAlias = Any  # an array, or a pytree of them


class Metric(NamedTuple):
    """A streaming metric: four pure functions over a state of fixed shapes and types.

    The state is a pytree of small arrays that stay on the device. It may be donated, put into a
    checkpoint, carried through `lax.scan`, and merged with the state of other data:

        >>> import jax.numpy as jnp
        >>> import jslim as slim
        >>> accuracy = slim.metrics.streaming_accuracy()
        >>> state = accuracy.init()
        >>> state = accuracy.update(state, jnp.array([0, 1, 1, 1]), jnp.array([0, 0, 1, 1]))
        >>> float(accuracy.finalize(state))
        0.75

    Where TF-Slim's `streaming_accuracy(predictions, labels)` gives a pair of ops over variables,
    the constructor takes the configuration here, and `update` takes the data: under TF-Slim's
    argument names and in its order, with `weights` by name only.

    Attributes:
        init: `init()` gives the state before any data.
        update: `update(state, *data, weights=None)` gives the state after one more batch. It reads
            nothing back to the host, so it belongs inside the jitted evaluation step.
        finalize: `finalize(state)` gives the value; the state stays as it is.
        merge: `merge(a, b)` gives the state of the data of both. It is associative, and `init()`
            changes nothing.
    """

    init: Callable[[], State]
    update: Callable[..., State]
    finalize: Callable[[State], Value]
    merge: Callable[[State, State], State]

    def __repr__(self) -> str:
        name: str = getattr(self.update, "metric", "")
        return name or f"Metric(update={getattr(self.update, '__qualname__', self.update)})"

    def on(self, select: Callable[..., object]) -> "Metric":
        """The same metric on other data, selected from the arguments of `update`.

        With it the metrics of one `aggregate_metric_map` get different data:

            >>> import jax.numpy as jnp
            >>> import jslim as slim
            >>> metrics = slim.metrics.aggregate_metric_map({
            ...     'Accuracy': slim.metrics.streaming_accuracy().on(
            ...         lambda logits, labels: (jnp.argmax(logits, -1), labels)),
            ...     'Recall_5': slim.metrics.streaming_recall_at_k(5),
            ...     'Mean_label': slim.metrics.streaming_mean().on(lambda logits, labels: labels)})
            >>> logits, labels = jnp.tile(jnp.arange(8.0), (8, 1)), jnp.arange(8)
            >>> state = metrics.update(metrics.init(), logits, labels)
            >>> {name: float(value) for name, value in metrics.finalize(state).items()}
            {'Accuracy': 0.125, 'Recall_5': 0.625, 'Mean_label': 3.5}

        Args:
            select: Is called with the arguments of `update`, by position or by name, without
                `weights`. It returns the data of the metric: one array, a tuple by position, or a
                dict by name. A dict may hold `weights` for this metric alone. They are multiplied
                by the weights given to `update`, which leave out padding as before.

        Returns:
            A metric with the same state, value and merge.
        """

        def update(
            state: State,
            *data: ArrayLike,
            weights: ArrayLike | None = None,
            **named_data: ArrayLike,
        ) -> State:
            selected = select(*data, **named_data)
            if isinstance(selected, Mapping):
                named = dict(selected)
                weights = multiply_weights(weights, named.pop("weights", None))
                return self.update(state, **named, weights=weights)
            if not isinstance(selected, tuple):
                selected = (selected,)
            return self.update(state, *selected, weights=weights)

        is_own = (getattr(select, "__module__", None) or "").startswith("jslim.")
        update.__dict__.update(__signature__=_signature_on(select), has_numbers=is_own)
        name = getattr(select, "__name__", type(select).__name__)
        return with_name(self._replace(update=update), f"{self!r}.on({name})")

    def psum(self, state: State, axis_name: Hashable) -> State:
        """Merges the states of all devices along a mapped axis, as `lax.psum` adds numbers.

        For `jax.shard_map` and `jax.pmap`, in which each device updates a state of its own with
        its part of the data. It uses `merge`, since `lax.psum` would round the sums in a state.
        Under `jax.jit` with sharded data it is not needed.

        Args:
            state: The state of this device.
            axis_name: The name of the mapped axis, or a tuple of names.

        Returns:
            The state of the data of all devices, the same on each of them.
        """
        num_devices, index = lax.axis_size(axis_name), lax.axis_index(axis_name)

        def gather(leaf: jax.Array) -> jax.Array:
            # Each device fills one slot. JAX knows that the result of psum is equal on all
            # devices; it does not know that of lax.all_gather.
            slots = jnp.zeros((num_devices, *leaf.shape), leaf.dtype)
            return lax.psum(slots.at[index].set(leaf), axis_name)

        def merge_next(merged: State, one: State) -> tuple[State, None]:
            return self.merge(merged, one), None

        return lax.scan(merge_next, self.init(), jax.tree.map(gather, state))[0]


def aggregate_metrics(*metrics: Metric) -> Metric:
    """One metric that gives all `metrics` the same data and returns a list of values.

    Args:
        *metrics: At least one metric; an aggregate counts as one.

    Returns:
        A metric whose value is a list in the order given; its state is a dict by position.

    Raises:
        ValueError: If there are no metrics.

    >>> import jslim as slim
    >>> total = aggregate_metrics(slim.metrics.streaming_mean(), slim.metrics.count())
    >>> [float(value) for value in total.finalize(total.update(total.init(), [1.0, 3.0]))]
    [2.0, 2.0]
    """
    if not metrics:
        raise ValueError("aggregate_metrics: no metrics were given; give one or more")
    by_position = _aggregate("aggregate_metrics", dict(enumerate(metrics)))
    return by_position._replace(finalize=lambda states: list(by_position.finalize(states).values()))


def aggregate_metric_map(names_to_tuples: Mapping[str, Metric]) -> Metric:
    """One metric that gives every metric of a dict the same data and returns a dict of values.

    `Metric.on` selects the data of a metric that needs other data.

        >>> import jax.numpy as jnp
        >>> import jslim as slim
        >>> metrics = slim.metrics.aggregate_metric_map({
        ...     'accuracy': slim.metrics.streaming_accuracy(),
        ...     'mae': slim.metrics.streaming_mean_absolute_error()})
        >>> state = metrics.update(metrics.init(), jnp.array([0, 3]), jnp.array([0, 1]))
        >>> {name: float(value) for name, value in metrics.finalize(state).items()}
        {'accuracy': 0.5, 'mae': 1.0}

    Args:
        names_to_tuples: A dict of at least one metric by name; an aggregate counts as one.

    Returns:
        A metric whose state and value are dicts with the names given. (A dict that leaves a jitted
        function has its names sorted by JAX.)

    Raises:
        ValueError: If there are no metrics.
    """
    if not names_to_tuples:
        raise ValueError("aggregate_metric_map: the dict holds no metrics; give one or more")
    checks.instance(
        "aggregate_metric_map", "names_to_tuples", names_to_tuples, Mapping, "a dict {name: metric}"
    )
    return _aggregate("aggregate_metric_map", dict(names_to_tuples))


def metric(
    constructor: Callable[Concatenate[str, Parameters], Metric], name: str = "", **words: object
) -> Callable[Parameters, Metric]:
    """Declares a metric by a function of its name, for errors, and of its configuration.

    A call with data, TF-Slim's form `streaming_accuracy(predictions, labels)`, is an error with
    advice.

    Args:
        constructor: Makes the metric from its name and its configuration.
        name: The name, by default that of the constructor.
        **words: The text for `{word}` in the docstring; `{name}` is the name.
    """
    name = name or constructor.__name__
    signature = inspect.signature(constructor)
    _, *parameters = signature.parameters.values()
    signature = signature.replace(parameters=parameters)
    kinds = checks.annotated(parameters)

    def data_given(what: str) -> TypeError:
        return TypeError(
            f"{name}() was given data, {what}, but takes configuration only; give the data to "
            f"update(): metric = {name}(...), state = metric.update(metric.init(), ...), "
            "value = metric.finalize(state)"
        )

    @functools.wraps(constructor)
    def declared(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Metric:
        for argument in (*args, *kwargs.values()):
            shape = getattr(argument, "shape", ())
            if shape:
                raise data_given(f"an array of shape {shape}")
        if (error := misfit(name, signature, args, kwargs)) is not None:
            are_lists = any(isinstance(argument, (list, tuple)) for argument in args)
            raise data_given("a list") if are_lists else error
        given = signature.bind(*args, **kwargs).arguments
        for argument in kinds.keys() & given.keys():
            checks.fits(name, argument, given[argument], kinds[argument])
        shown = ", ".join(f"{argument}={value!r:.40}" for argument, value in given.items())
        return with_name(constructor(name, *args, **kwargs), f"{name}({shown})")

    declared.__signature__ = signature  # type: ignore[attr-defined]
    declared.__name__ = declared.__qualname__ = name
    if words and declared.__doc__:  # which python -OO leaves out
        declared.__doc__ = declared.__doc__.format(name=name, **words)
    return declared


def _signature_on(select: Callable[..., object]) -> inspect.Signature:
    """The signature of an `update` whose data `select` takes."""
    state = inspect.Parameter("state", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    weights = inspect.Parameter("weights", inspect.Parameter.KEYWORD_ONLY, default=None)
    try:
        data = [p for p in inspect.signature(select).parameters.values() if p.name != "weights"]
    except (TypeError, ValueError):  # a function of C
        kinds = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        data = [inspect.Parameter(kind.name.lower(), kind) for kind in kinds]
    if any(p.kind is inspect.Parameter.POSITIONAL_ONLY for p in data):
        state = state.replace(kind=inspect.Parameter.POSITIONAL_ONLY)
    parameters = [state, *data, weights]
    return inspect.Signature(sorted(parameters, key=lambda p: p.kind))


def with_name(metric: Metric, name: str) -> Metric:
    """The metric with a name, for its `repr` and for errors about what `update` is given."""
    function, where = metric.update, f"{name}.update"
    signature = inspect.signature(function)
    _, *names = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    # What a user's function selects from may be anything.
    has_numbers: bool = getattr(function, "has_numbers", True)

    @functools.wraps(function)
    def update(state: State, *data: Any, **named: Any) -> State:
        try:
            return function(state, *data, **named)
        except (TypeError, ValueError):
            if (error := misfit(where, signature, (state, *data), named)) is not None:
                raise error from None
            for argument, value in (*zip(names, data, strict=False), *named.items()):
                is_left_out = value is None and argument == "weights"
                if has_numbers and not is_left_out and not isinstance(value, jax.Array):
                    checks.numbers_in(where, argument, value)
            raise

    update.metric = name  # type: ignore[attr-defined]
    return metric._replace(update=update)


def value_metric(
    init: Callable[[], StateT],
    batch: Callable[[ArrayLike, ArrayLike | None], StateT],
    value: Callable[[StateT], Value],
    merge: Callable[[StateT, StateT], StateT] = accumulators.merge,
) -> Metric:
    """A metric of values.

    Args:
        init: Makes the state before any data.
        batch: Makes the state of one batch, from its values and their weights.
        value: Makes the value from the state.
        merge: Joins two states.
    """

    def update(state: StateT, values: ArrayLike, *, weights: ArrayLike | None = None) -> StateT:
        return merge(state, batch(values, weights))

    return Metric(init, update, value, merge)


def pair_metric(
    where: str,
    init: Callable[[], StateT],
    batch: Callable[[ArrayLike, ArrayLike, ArrayLike | None], StateT],
    value: Callable[[StateT], Value],
    *,
    rejects: str = "",
    merge: Callable[[StateT, StateT], StateT] = accumulators.merge,
) -> Metric:
    """A metric of predictions and labels; `.on(labels_first)` takes them in the other order.

    Args:
        where: Its name.
        init, value, merge: As of `value_metric`.
        batch: Makes the state of one batch, from its predictions, its labels and their weights.
        rejects: For errors, the fault of the examples that the state counts as `rejected`; `''`
            if it has no such count.
    """

    def update(
        state: StateT,
        predictions: ArrayLike,
        labels: ArrayLike,
        *,
        weights: ArrayLike | None = None,
    ) -> StateT:
        return merge(state, batch(predictions, labels, weights))

    def finalize(state: State) -> Value:
        return unless_rejected(where, state.rejected, lambda: value(state), rejects)

    return Metric(init, update, finalize if rejects else value, merge)


def labels_first(labels: ArrayLike, predictions: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """For `Metric.on` of metrics that take the labels first, as some of TF-Slim's do."""
    return predictions, labels


def _aggregate(where: str, metrics: Mapping[Key, Metric]) -> Metric:
    """The aggregate of metrics by key; its state and its value are dicts."""
    for key, one in metrics.items():
        name = getattr(one, "__name__", "")
        hint = f"call it, {name}()" if name else ""
        got = f"the function {name}" if name else type(one).__name__
        if not isinstance(one, Metric):
            raise checks.refusal(where, repr(key), "a metric", got, hint, TypeError)

    def init() -> dict[Key, State]:
        return {key: metric.init() for key, metric in metrics.items()}

    def update(
        states: dict[Key, State],
        *data: ArrayLike,
        weights: ArrayLike | None = None,
        **named: ArrayLike,
    ) -> dict[Key, State]:
        new = {}
        for key, metric in metrics.items():
            try:
                new[key] = metric.update(states[key], *data, weights=weights, **named)
            except (TypeError, ValueError) as error:
                error.add_note(
                    f"In an aggregate, by metric {key!r}, which was given the same data as the "
                    "others; metric.on(select) gives it data of its own."
                )
                raise
        return new

    def finalize(states: dict[Key, State]) -> dict[Key, Value]:
        return {key: metric.finalize(states[key]) for key, metric in metrics.items()}

    def merge(a: dict[Key, State], b: dict[Key, State]) -> dict[Key, State]:
        return {key: metric.merge(a[key], b[key]) for key, metric in metrics.items()}

    parts = ", ".join(f"{key!r}: {one!r}" for key, one in metrics.items())
    return with_name(Metric(init, update, finalize, merge), f"{where}({{{parts}}})")
