"""Recording summaries while a model function runs, and computing them anywhere.

A summary is one entry `{kind/tag: value}` of a flat dict, so that Flax can collect it and a jitted
function can return it. Histograms are counted on the device: the host gets 1,551 counts, not the
weights of a layer.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jslim.core import checks
from jslim.core.access import collect, frame
from jslim.core.scopes import unique_op_name
from jslim.core.trees import PyTree

# The collection of what is recorded.
SUMMARIES = "summaries"


def _default_bucket_limits() -> np.ndarray:
    """The upper ends of TF's buckets: from 1e-12 in steps of 10% to 1e20, mirrored around 0."""
    limits = [1e-12]
    while limits[-1] * 1.1 < 1e20:
        limits.append(limits[-1] * 1.1)
    limits.append(np.finfo(np.float64).max)
    return np.array([-limit for limit in reversed(limits)] + [0.0, *limits])


def _round_up_to_float32(limits: np.ndarray) -> np.ndarray:
    """The least float32s not below `limits`: every float32 lies on the same side of both."""
    nearest = limits.astype(np.float32)
    return np.where(nearest < limits, np.nextafter(nearest, np.float32(np.inf)), nearest)


BUCKET_LIMITS = _default_bucket_limits()
INNER_LIMITS = _round_up_to_float32(BUCKET_LIMITS[1:-1])


class Histogram(NamedTuple):
    """How the finite elements of an array are distributed.

    Attributes:
      minimum, maximum: Of the finite elements; infinities if there are none.
      total, total_squares: The sums of the finite elements and of their squares.
      counts: int32 `[1551]`: the number of elements in each of TF's buckets, which lie below its
        limit and not below the limit before.
      num_non_finite: The number of elements that are NaN or infinite.
    """

    minimum: jax.Array | np.ndarray | np.generic
    maximum: jax.Array | np.ndarray | np.generic
    total: jax.Array | np.ndarray | np.generic
    total_squares: jax.Array | np.ndarray | np.generic
    counts: jax.Array | np.ndarray | np.generic
    num_non_finite: jax.Array | np.ndarray | np.generic


# Summaries, recorded or computed: `{kind/tag: value}`.
Summaries = dict[str, jax.Array | np.ndarray | Histogram]

_IS_DUE: contextvars.ContextVar[jax.Array | bool] = contextvars.ContextVar("is_due", default=True)


def scalars_of(summaries: Mapping[str, PyTree], path: str = "") -> Summaries:
    """The scalars among recorded summaries; those that a Model nests have its path in their tags.

    >>> scalars_of({"scalar/loss": 1.0, "image/x/image": 2.0, "net": {"scalar/a": 3.0}})
    {'scalar/loss': 1.0, 'scalar/net/a': 3.0}
    """
    found: Summaries = {}
    for key, value in summaries.items():
        kind, _, tag = key.partition("/")
        if isinstance(value, Mapping):
            found |= scalars_of(value, f"{path}{key}/")
        elif kind == "scalar":
            found[f"scalar/{path}{tag}"] = value
    return found


@contextlib.contextmanager
def summaries_due(is_due: jax.Array | bool) -> Iterator[None]:
    """In the body, histograms and images are computed only if `is_due`, which may be traced."""
    token = _IS_DUE.set(is_due)
    try:
        yield
    finally:
        _IS_DUE.reset(token)


def when_due(compute: Callable[[], Summaries]) -> Summaries:
    """The summaries of `compute`; histograms and images are zeros if summaries are not due."""
    found, is_due = compute(), _IS_DUE.get()
    costly = [key for key in found if not key.startswith("scalar/")]
    if is_due is True or not costly:
        return found

    def computed() -> Summaries:
        again = compute()  # XLA drops the unused results of the first call
        return {key: again[key] for key in costly}

    def empty() -> Summaries:
        return jax.tree.map(jnp.zeros_like, {key: found[key] for key in costly})

    return found | jax.lax.cond(is_due, computed, empty)


def do_when_due(action: Callable[[], None]) -> None:
    """Calls a function with an effect, such as printing, if summaries are due."""
    is_due = _IS_DUE.get()
    if is_due is True:
        action()
    else:
        jax.lax.cond(is_due, action, lambda: None)


def scalar(
    name: str,
    value: ArrayLike | None = None,
    collections: object = None,
    family: str | None = None,
    *,
    tensor: ArrayLike | None = None,
) -> None:
    """Records a number.

    Args:
      name: The tag, under the current variable scope.
      value: A scalar; it is written as float32, NaN and infinity included.
      collections: None or 'summaries': there is no other place to record in.
      family: Stands in front of the whole tag, and of the name, as in TF: TensorBoard shows those
        of a family together.
      tensor: TF's name for `value`.

    Raises:
      ScopeError: Outside a model function, or inside a JAX transformation within one.
      ValueError: `name` is not a name, or `value` not a scalar; another collection.
      TypeError: There is no such argument, or it is given twice.
    """
    given = _one_of("scalar", "value", value, tensor)
    _record("scalar", name, collections, family, lambda tag: scalar_summary(tag, given))


def histogram(
    name: str,
    values: ArrayLike,
    collections: object = None,
    family: str | None = None,
) -> None:
    """Records how the elements of an array are distributed.

    NaN and infinite elements are left out. If there are any, their number is written as the scalar
    `<tag>/non_finite`. Differs from TF-Slim, where they are an error.

    Args:
      name: The tag, under the current variable scope.
      values: Numbers of any shape.
      collections, family: As of `scalar`.

    Raises:
      ScopeError: Outside a model function, or inside a JAX transformation within one.
      ValueError: `name` is not a name; another collection.
    """
    _record("histogram", name, collections, family, lambda tag: histogram_summary(tag, values))


def image(
    name: str,
    images: ArrayLike | None = None,
    max_images: int = 3,
    collections: object = None,
    family: str | None = None,
    *,
    tensor: ArrayLike | None = None,
    max_outputs: int | None = None,
) -> None:
    """Records the first images of a batch.

    As in TF, each floating image is scaled by itself. Without negative values its largest value
    becomes 255. Otherwise 0 becomes 128, and the largest absolute value comes to 1 or 255. A pixel
    that is not finite becomes red (white in a grey image).

    Args:
      name: The tag, under the current variable scope; TensorBoard shows `<tag>/image/0` and so on
        (`<tag>/image` if `max_images` is 1).
      images: `[batch, height, width, channels]` with 1, 3 or 4 channels: floating, or uint8 or
        bool, which are shown as they are.
      max_images: How many of them, at least 1.
      collections, family: As of `scalar`.
      tensor, max_outputs: TF's names for `images` and `max_images`.

    Raises:
      ScopeError: Outside a model function, or inside a JAX transformation within one.
      ValueError: `name` is not a name; other shape or type; `max_images` is below 1; another
        collection.
      TypeError: There is no such argument, or it is given twice.
    """
    if max_outputs is not None and max_images != 3:
        raise TypeError("summary.image: max_outputs is max_images; give one of the two")
    given = _one_of("image", "images", images, tensor)
    count = max_images if max_outputs is None else max_outputs
    _record("image", name, collections, family, lambda tag: image_summary(tag, given, count))


def _one_of(kind: str, name: str, value: ArrayLike | None, tensor: ArrayLike | None) -> ArrayLike:
    """The array that is recorded, under our name for it or TF's."""
    if (value is None) == (tensor is None):
        how = "not at all" if value is None else "twice"
        raise TypeError(
            f"summary.{kind}: {name}, or tensor, was given {how}; call summary.{kind}(name, {name})"
        )
    return tensor if value is None else value  # type: ignore[return-value]


def scalar_summary(tag: str, value: ArrayLike) -> Summaries:
    """The summary of `scalar`, for code outside a model function: `{'scalar/<tag>': value}`.

    Such dicts can be joined, returned from jitted functions and given to `SummaryWriter.write`.
    Arguments and errors are those of `scalar`.

    >>> {key: float(value) for key, value in scalar_summary("loss", 0.5).items()}
    {'scalar/loss': 0.5}
    """
    hint = "average it, or record a histogram"
    checks.shape(f"summary {tag!r}", "a scalar", value, (), hint=hint)
    return {f"scalar/{tag}": jax.lax.stop_gradient(jnp.asarray(value, jnp.float32))}


def histogram_summary(tag: str, values: ArrayLike) -> Summaries:
    """The summary of `histogram`, for code outside a model function: `{'histogram/<tag>': ...}`.

    Arguments are those of `histogram`.

    >>> found = histogram_summary("weights", jnp.array([1.0, 3.0, jnp.nan]))["histogram/weights"]
    >>> float(found.total), int(found.num_non_finite)
    (4.0, 1)
    """
    values = jax.lax.stop_gradient(jnp.asarray(values, jnp.float32))
    return {f"histogram/{tag}": _describe(values)}


# Jitted, so that it is traced once for each shape, not for each histogram.
@jax.jit
def _describe(values: jax.Array) -> Histogram:
    is_finite = jnp.isfinite(values)
    finite = jnp.where(is_finite, values, 0)
    # No finite number lies below the first limit, so the inner limits find the bucket.
    bucket = 1 + jnp.searchsorted(INNER_LIMITS, finite, side="right")
    counts = jnp.zeros(len(BUCKET_LIMITS), jnp.int32).at[bucket].add(is_finite.astype(jnp.int32))
    return Histogram(
        minimum=jnp.min(finite, initial=jnp.inf, where=is_finite),
        maximum=jnp.max(finite, initial=-jnp.inf, where=is_finite),
        total=jnp.sum(finite),
        total_squares=jnp.sum(jnp.square(finite)),
        counts=counts,
        num_non_finite=jnp.sum(~is_finite, dtype=jnp.int32),
    )


def image_summary(tag: str, images: ArrayLike, max_images: int = 3) -> Summaries:
    """The summary of `image`, for code outside a model function: `{'image/<tag>/image/0': ...}`.

    Arguments and errors are those of `image`.

    >>> list(image_summary("inputs", jnp.zeros((8, 4, 4, 3)), max_images=2))
    ['image/inputs/image/0', 'image/inputs/image/1']
    """
    where = f"summary {tag!r}"
    max_images = checks.count(where, "max_images", max_images)
    pixels = jnp.asarray(images)
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3, 4):
        accepted = "[batch, height, width, channels] with 1, 3 or 4 channels"
        hint = "add a batch axis, or choose channels"
        raise checks.refusal(where, "images", accepted, f"shape {pixels.shape}", hint)
    if jnp.issubdtype(pixels.dtype, jnp.floating):
        pixels = pixels.astype(jnp.float32)
    elif pixels.dtype == bool:
        pixels = pixels.astype(jnp.uint8) * jnp.uint8(255)
    elif pixels.dtype != jnp.uint8:
        accepted, hint = "floating, uint8 or bool", "cast what is in 0..255 to uint8"
        raise checks.refusal(where, "images", accepted, str(pixels.dtype), hint)
    shown = jax.lax.stop_gradient(pixels[:max_images])
    if max_images == 1:
        return {f"image/{tag}/image": one for one in shown}
    return {f"image/{tag}/image/{index}": one for index, one in enumerate(shown)}


def gradient_summaries(gradients: Mapping[str, jax.Array]) -> Summaries:
    """For each gradient the histogram `<name>/gradient` and the scalar `<name>/gradient_norm`.

    Args:
      gradients: `{variable name: gradient}`.

    Returns:
      Summaries for `SummaryWriter.write`.

    >>> found = gradient_summaries({"fc/weights": jnp.array([3.0, 4.0])})
    >>> float(found["scalar/fc/weights/gradient_norm"])
    5.0
    """
    summaries: Summaries = {}
    for name, gradient in gradients.items():
        norm = jnp.sqrt(jnp.sum(jnp.square(jnp.asarray(gradient, jnp.float32))))
        summaries |= histogram_summary(f"{name}/gradient", gradient)
        summaries |= scalar_summary(f"{name}/gradient_norm", norm)
    return summaries


def _record(
    kind: str,
    name: str,
    collections: object,
    family: str | None,
    summarize: Callable[[str], Summaries],
) -> None:
    accepted = (None, SUMMARIES, [SUMMARIES], (SUMMARIES,))
    in_words = f"None or {SUMMARIES!r}"
    hint = f"what is recorded leaves the model where mutable names {SUMMARIES!r}"
    checks.one_of(f"summary.{kind}", "collections", collections, accepted, in_words, hint)
    if not isinstance(name, str) or not name:
        raise ValueError(
            f"summary.{kind}: the name comes first and must be a non-empty string, got "
            f"{type(name).__name__}; call summary.{kind}(name, value)"
        )
    run = frame(f"summary.{kind} {name!r}").run
    tag = unique_op_name(f"{family}/{name}" if family else name)
    tag = f"{family}/{tag}" if family else tag
    if run.store.is_mutable(SUMMARIES):
        for key, value in when_due(lambda: summarize(tag)).items():
            collect(SUMMARIES, key, value)
