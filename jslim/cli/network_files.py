"""`--model_file`: a network of an old file in the place of one of the table."""

import dataclasses
from typing import Protocol, TypeVar

from jslim.cli.flags import UsageError
from jslim.nets import nets_factory


class _Config(Protocol):
    @property
    def given(self) -> frozenset[str]: ...
    @property
    def model_file(self) -> str | None: ...


C = TypeVar("C", bound=_Config)


def with_network(config: C) -> C:
    """The flags with the name of the network that `--model_file` says, which is then in the table.

    Raises:
      UsageError: `--model_name` is given too; there is no such file or function.
    """
    if config.model_file is None:
        return config
    if "model_name" in config.given:
        raise UsageError("--model_file says which network it is; leave --model_name out")
    from jslim.compat import networks  # and with it all names of TensorFlow

    try:
        name, row = networks.row_of(config.model_file)
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"--model_file: {error}") from None
    nets_factory.add_network(name, row)
    return dataclasses.replace(config, model_name=name)  # type: ignore[type-var]
