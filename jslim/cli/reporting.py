"""`--report_to`: services that keep the numbers and pictures of many runs."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax

from jslim.cli.flags import Config, UsageError, flag, flags_of, scopes_of, value_of
from jslim.core.errors import did_you_mean
from jslim.core.text import json_line
from jslim.host.files import write_text
from jslim.host.packages import needed
from jslim.host.schema import Invalid, conform, read_json
from jslim.summaries import MlflowWriter, NullWriter, WandbWriter

_IDS = "reports.json"  # in TRAIN_DIR: the id of the run at each service
_PARAMETERS_AT_ONCE = 100  # which MLflow takes

# Makes a writer whose tags have a prefix.
MakeWriter = Callable[[str], NullWriter]


@dataclass(frozen=True)
class ReportConfig(Config):
    """Services that keep the numbers of many runs.

    Attributes:
      report_to: Comma-separated services that get the numbers, images and histograms too: wandb,
        mlflow. Their own environment variables say which project or experiment, and where.
    """

    report_to: str | None = flag(None, on_resume="may_change")


def check_names(config: ReportConfig) -> list[str]:
    """The services of `--report_to`.

    Raises:
      UsageError: There is no such service.
      ImportError: The package of one is not installed.
    """
    names = scopes_of(config.report_to)
    for name in names:
        if name not in _SERVICES:
            raise UsageError(
                f"--report_to: there is no service {name!r}; give some of {', '.join(_SERVICES)}"
                f"{did_you_mean(name, _SERVICES)}"
            )
        with needed(name, f"--report_to={name}", f"'jslim[{name}]'"):
            __import__(name)
    return names


@contextlib.contextmanager
def services(
    config: ReportConfig, directory: str | None, *, goes_on: bool = False
) -> Iterator[Callable[[str], list[NullWriter]]]:
    """Opens a run at each service of `--report_to`; the body gets a function of a prefix of tags.

    That makes the writers, of which there are none beside the first process. The end of the body
    ends the runs, as failed after an error.

    Args:
      config: The flags; the run at the service keeps them.
      directory: Of the run, which names it, and keeps its ids.
      goes_on: Whether to go on with the runs that the directory knows.

    Raises:
      UsageError: A service refuses it.
    """
    names = check_names(config) if jax.process_index() == 0 else []
    path = pathlib.Path(directory or ".").expanduser().resolve()
    ids = _read_ids(path / _IDS) if goes_on else {}
    makes: list[MakeWriter] = []
    with contextlib.ExitStack() as opened:
        for name in names:
            run_id, make = opened.enter_context(_SERVICES[name](path, config, ids.get(name)))
            makes.append(make)
            ids[name] = run_id
        if names and directory is not None:
            path.mkdir(parents=True, exist_ok=True)
            write_text(path / _IDS, json_line(ids, "utf-8"))
        yield lambda prefix: [make(prefix) for make in makes]


def _read_ids(path: pathlib.Path) -> dict[str, str]:
    try:
        found: dict[str, str] = conform(read_json(path), dict[str, str])
    except FileNotFoundError:
        return {}
    except (OSError, Invalid) as error:
        raise UsageError(
            f"{str(path)!r} does not hold the ids of runs: {error}; delete it, and new runs start "
            "at the services"
        ) from error
    return found


def _flags(config: Config) -> dict[str, object]:
    return {one.name: value_of(config, one) for one in flags_of(type(config))}


@contextlib.contextmanager
def _wandb(
    path: pathlib.Path, config: Config, run_id: str | None
) -> Iterator[tuple[str, MakeWriter]]:
    import wandb

    path.mkdir(parents=True, exist_ok=True)
    try:
        run = wandb.init(dir=path, name=path.name, id=run_id, resume="allow", config=_flags(config))
    except wandb.errors.Error as error:
        raise UsageError(
            f"--report_to=wandb: {error}; log in with wandb login, or set WANDB_MODE=offline"
        ) from error
    has_failed = True
    try:
        yield run.id, lambda prefix: WandbWriter(run, prefix)
        has_failed = False
    finally:
        run.finish(exit_code=int(has_failed))


@contextlib.contextmanager
def _mlflow(
    path: pathlib.Path, config: Config, run_id: str | None
) -> Iterator[tuple[str, MakeWriter]]:
    import mlflow

    try:
        run = mlflow.start_run(run_id, run_name=path.name)
    except mlflow.exceptions.MlflowException as error:
        raise UsageError(
            f"--report_to=mlflow: {error}; MLFLOW_TRACKING_URI in the environment says where runs "
            "are kept"
        ) from error
    with run:  # which ends it
        found = run.info.run_id
        if run_id is None:  # what is kept of a run cannot change
            items = [*_flags(config).items()]
            for start in range(0, len(items), _PARAMETERS_AT_ONCE):
                mlflow.log_params(dict(items[start : start + _PARAMETERS_AT_ONCE]))
        yield found, lambda prefix: MlflowWriter(found, prefix)


_SERVICES = {"wandb": _wandb, "mlflow": _mlflow}
