"""What is fed, where code made placeholders."""

import contextlib
import contextvars
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jslim.core.errors import did_you_mean

_FED: contextvars.ContextVar[Mapping[str, Any] | None] = contextvars.ContextVar("fed", default=None)


@contextlib.contextmanager
def feeding(batch: Mapping[str, Any]) -> Iterator[None]:
    """In the body of a loss function: `fed` gives what is in its batch.

    def total_loss(batch):
        with sessions.feeding(batch):
            return build()  # code that had placeholders
    """
    token = _FED.set(batch)
    try:
        yield
    finally:
        _FED.reset(token)


def fed(name: str, dtype: Any = None) -> jax.Array:
    """What is fed under a name, in place of a placeholder; `dtype` is what it becomes.

    Raises:
      ValueError: Nothing is fed here, or nothing of this name.
    """
    batch = _FED.get()
    if batch is None:
        raise ValueError(
            f"sessions.fed({name!r}): nothing is fed here; build the model in the loss function: "
            "def total_loss(batch): with sessions.feeding(batch): ..."
        )
    if name not in batch:
        raise ValueError(
            f"sessions.fed({name!r}): nothing of this name is fed"
            f"{did_you_mean(name, list(batch))}; there is {', '.join(batch)}"
        )
    return jnp.asarray(batch[name], dtype)
