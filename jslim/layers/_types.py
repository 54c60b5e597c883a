"""Types of the arguments that layers share."""

from collections.abc import Callable, Mapping, Sequence

import jax

Activation = Callable[[jax.Array], jax.Array] | None
Normalizer = Callable[..., jax.Array] | None
Initializer = Callable[..., jax.Array] | None
Regularizer = Callable[[jax.Array], jax.Array | None] | None
Names = str | Sequence[str] | None
Collections = str | Sequence[str] | Mapping[str, str | Sequence[str]] | None
