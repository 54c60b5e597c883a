"""The optimizer of `train.py`, and how a step is computed."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optax

from jslim import optimizers
from jslim.cli.flags import Config, Rules, flag, several_flags

_DECAY = Rules(least=0, most=1)
# By argument of the optimizers, the help and the rules of its flag.
_ARGUMENTS = {
    "beta1": ("Decay of the first moment of {}.", _DECAY),
    "beta2": ("Decay of the second moment of {}.", _DECAY),
    "decay": ("Decay of {}'s squared gradients.", _DECAY),
    "epsilon": ("Epsilon of {}.", Rules(least=0)),
    "initial_accumulator_value": ("Start of {}'s accumulator.", Rules(least=0)),
    "l1": ("L1 strength of {}.", Rules(least=0)),
    "l2": ("L2 strength of {}.", Rules(least=0)),
    "learning_rate_power": ("Learning rate power of {}.", Rules(most=0)),
    "momentum": ("Momentum of the optimizer {}.", _DECAY),
    "momentum_dtype": (
        "In what {} keep momentum, or the first moment; bfloat16 is half its bytes.",
        Rules(choices=("float32", "bfloat16")),
    ),
    "rho": ("Decay of {}.", _DECAY),
    "use_nesterov": ("Whether {} is Nesterov's.", Rules()),
    "weight_decay": ("Decay of kernels by {}; see --weight_decay.", Rules(least=0)),
}


def _listed(names: list[str], conjunction: str) -> str:
    *first, last = names
    return f"{', '.join(first)} {conjunction} {last}" if first else last


def _rules_of(name: str) -> Rules:
    """The rules of an argument of `get_optimizer`."""
    users = {
        optimizer: argument
        for optimizer in optimizers.optimizer_names()
        for argument, flag_name in optimizers.flags_of_optimizer(optimizer).items()
        if flag_name == name
    }
    help, rules = _ARGUMENTS[next(iter(users.values()))]
    of = help.format(_listed([*users], "and"))
    return {**rules, "help": of, "counts_with": ("optimizer", users)}


@dataclass(frozen=True)
class OptimizerConfig(Config):
    """The optimizer."""

    optimizer: str = flag(
        "rmsprop",
        help=f"{_listed(optimizers.optimizer_names(), 'or')}.",
        known=optimizers.optimizer_names(),
        differs="also adamw and lamb",
    )
    optimizer_arguments: Mapping[str, Any] = several_flags(
        {
            name: (parameter.default, _rules_of(name))
            for name, parameter in inspect.signature(optimizers.get_optimizer).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
    )


def make_optimizer(
    config: OptimizerConfig, learning_rate: optax.Schedule
) -> optax.GradientTransformation:
    """The optimizer that the flags name."""
    return optimizers.get_optimizer(config.optimizer, learning_rate, **config.optimizer_arguments)


def state_flags(config: OptimizerConfig) -> dict[str, str]:
    """The flags that the optimizer's state depends on, by name."""
    momentum_dtype = config.optimizer_arguments["momentum_dtype"] or "float32"
    return {"optimizer": config.optimizer, "momentum_dtype": momentum_dtype}


@dataclass(frozen=True)
class StepConfig(Config):
    """How a step is computed.

    Attributes:
      weight_decay: Of the network's L2 regularizers.
      label_smoothing: Of the softmax cross entropy.
      clip_gradient_norm: Greatest norm of each gradient by itself; 0: none.
      clip_global_norm: Greatest norm of all gradients together; 0: none.
      gradient_accumulation_steps: In how many parts each batch is computed, one after the other, to
        save memory.
      recompute_scopes: Comma-separated patterns of scopes whose activations are computed twice, to
        save memory, such as resnet_v1_50/block.*/unit_.*
      recompute_elementwise: Whether normalization, activations and additions, but no convolutions,
        are computed twice on GPUs and TPUs, to save memory.
      check_numerics: Of what NaN and infinity end training. everything: also gradients, variables
        and statistics, of which the first is named; it takes half as long again to compile.
      report_norms: Logs the norms of gradients and of parameters.
      shard_state: Whether each device keeps a part of parameters, optimizer and averages, not all
        of them.
      batch_norm_statistics: global: those of the whole batch; replica: of each clone's part, as in
        TF-Slim.
      reduce_dtype: In what gradients travel between clones with --batch_norm_statistics=replica;
        bfloat16 is half the bytes.
      moving_average_decay: Keeps moving averages of the variables.
    """

    weight_decay: float = flag(0.00004, least=0, on_resume="may_change")
    label_smoothing: float = flag(0.0, least=0, most=1, on_resume="may_change")
    clip_gradient_norm: float = flag(0.0, least=0, on_resume="may_change")
    clip_global_norm: float = flag(0.0, least=0, on_resume="may_change")
    gradient_accumulation_steps: int = flag(1, least=1, on_resume="may_change")
    recompute_scopes: str | None = flag(None, on_resume="may_change")
    recompute_elementwise: bool = flag(False, on_resume="may_change")
    check_numerics: str = flag("loss", choices=("loss", "everything"), on_resume="may_change")
    report_norms: bool = flag(False, on_resume="may_change")
    shard_state: bool = flag(False, on_resume="may_change")
    batch_norm_statistics: str = flag(
        "global", choices=("global", "replica"), on_resume="may_change"
    )
    reduce_dtype: str | None = flag(None, choices=("float32", "bfloat16"), on_resume="may_change")
    moving_average_decay: float | None = flag(None, least=0, most=1)
