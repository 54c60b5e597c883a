"""The choices of a training step, checked once."""

import dataclasses
from collections.abc import Iterable

from jax.sharding import Mesh
from jax.typing import DTypeLike

from jslim.core import checks
from jslim.learning.mesh import data_mesh
from jslim.learning.numerics import EVERYTHING
from jslim.learning.sharding import DATA_PARALLEL, Rules


@dataclasses.dataclass(kw_only=True, eq=False, repr=False)
class StepOptions:
    """The choices of a training step; see the arguments of `create_train_op`.

    Raises:
      TypeError: `reduce_dtype` is not floating point.
      ValueError: An option is not among its choices, or out of range.
    """

    mesh: Mesh = dataclasses.field(default_factory=lambda: data_mesh(1))
    counts_steps: bool = True
    updates_statistics: bool = True
    variables_to_train: Iterable[str] | None = None
    check_numerics: bool | str = True
    moving_average_decay: float | None = None
    moving_average_warmup: bool = True
    freeze_batch_norm: bool = False
    gradient_accumulation_steps: int = 1
    recompute_elementwise: bool = False
    report_norms: bool = False
    sharding_rules: Rules = DATA_PARALLEL
    batch_norm_statistics: str = "global"
    reduce_dtype: DTypeLike | None = None

    def __post_init__(self) -> None:
        where = "create_train_op"
        checks.one_of(where, "check_numerics", self.check_numerics, (True, False, EVERYTHING))
        checks.count(where, "gradient_accumulation_steps", self.gradient_accumulation_steps)
        statistics = self.batch_norm_statistics
        checks.one_of(where, "batch_norm_statistics", statistics, ("global", "replica"))
        if statistics == "replica" and self.sharding_rules is not DATA_PARALLEL:
            raise ValueError(
                f"{where}: batch_norm_statistics='replica' needs the whole state on every device; "
                "leave sharding_rules out"
            )
        if self.reduce_dtype is not None:
            checks.floating_dtype(where, "reduce_dtype", self.reduce_dtype)
            if statistics != "replica":
                raise ValueError(
                    f"{where}: reduce_dtype needs batch_norm_statistics='replica'; with 'global' "
                    "gradients travel in the dtype that the layers compute in"
                )
        if (decay := self.moving_average_decay) is not None:
            checks.number(where, "moving_average_decay", decay, above=0, below=1)
        elif not self.moving_average_warmup:
            raise ValueError(f"{where}: moving_average_warmup=False needs moving_average_decay")

    def given_in_words(self) -> list[str]:
        """The options that are not their defaults: `name=value`."""
        defaults = {field.name: field.default for field in dataclasses.fields(StepOptions)}
        return [
            f"{name}={getattr(self, name)!r:.40}"
            for name, default in defaults.items()
            if name not in ("mesh", "variables_to_train") and getattr(self, name) is not default
        ]
