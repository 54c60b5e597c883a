"""`--report_to`: services that keep the numbers and pictures of many runs."""

import contextlib
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass

import jax

from jslim.cli.flags import Config, UsageError, flag, flags_of, scopes_of, value_of
from jslim.core.errors import did_you_mean
from jslim.core.text import json_line
from jslim.host.files import make_directory, write_text
from jslim.host.packages import needed
from jslim.host.paths import AnyPath, as_path, is_remote
from jslim.host.schema import Invalid, conform, read_json
from jslim.summaries import MlflowWriter, MultiWriter, NullWriter, WandbWriter
from jslim.summaries._services import ServiceWriter

_IDS = "reports.json"  # in TRAIN_DIR: the id of the run at each service
_PARAMETERS_AT_ONCE = 100  # which MLflow takes


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


class Reports(MultiWriter):
    """Writes to a run at each service of `--report_to`, from `open` on; from `reporting_to`.

    Attributes:
      names: The services; none in other processes than the first.
    """

    def __init__(
        self, config: ReportConfig, directory: str | None, opened: contextlib.ExitStack
    ) -> None:
        super().__init__()
        self._config, self._directory, self._opened = config, directory, opened
        self.names = check_names(config) if jax.process_index() == 0 else []
        self._services: list[ServiceWriter] = []

    def open(self, *, goes_on: bool = False) -> None:
        """Opens the runs.

        Args:
          goes_on: Whether to go on with the runs that the directory knows.

        Raises:
          UsageError: A service refuses it.
        """
        path = as_path(self._directory or ".", "the directory of a run").resolve()
        ids = _read_ids(path / _IDS) if goes_on else {}
        for name in self.names:
            service = _SERVICES[name](path, self._config, ids.get(name))
            ids[name], writer = self._opened.enter_context(service)
            self._services.append(writer)
        self._writers = tuple(self._services)
        if self.names and self._directory is not None:
            make_directory(path)
            write_text(path / _IDS, json_line(ids, "utf-8"))

    def prefixed(self, prefix: str) -> list[NullWriter]:
        """Writers to the same runs whose tags have a prefix."""
        return [writer.prefixed(prefix) for writer in self._services]


@contextlib.contextmanager
def reporting_to(config: ReportConfig, directory: str | None) -> Iterator[Reports]:
    """The writer to the services of `--report_to`; the body opens it.

    The end of the body ends the runs at the services, as failed after an error.

    Args:
      config: The flags; the run at the service keeps them.
      directory: Of the run, which names it, and keeps its ids.

    Raises:
      UsageError, ImportError: As for `check_names`.
    """
    with contextlib.ExitStack() as opened:
        yield Reports(config, directory, opened)


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
    path: AnyPath, config: Config, run_id: str | None
) -> Iterator[tuple[str, ServiceWriter]]:
    import wandb

    folder = None if is_remote(path) else path  # else it keeps its files where it is used to
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        run = wandb.init(
            dir=folder, name=path.name, id=run_id, resume="allow", config=_flags(config)
        )
    except wandb.errors.Error as error:
        raise UsageError(
            f"--report_to=wandb: {error}; log in with wandb login, or set WANDB_MODE=offline"
        ) from error
    has_failed = True
    try:
        yield run.id, WandbWriter(run)
        has_failed = False
    finally:
        run.finish(exit_code=int(has_failed))


@contextlib.contextmanager
def _mlflow(
    path: AnyPath, config: Config, run_id: str | None
) -> Iterator[tuple[str, ServiceWriter]]:
    import mlflow

    with contextlib.ExitStack() as opened:
        try:
            run = opened.enter_context(mlflow.start_run(run_id, run_name=path.name))
            if run_id is None:  # what is kept of a run cannot change
                items = [*_flags(config).items()]
                for start in range(0, len(items), _PARAMETERS_AT_ONCE):
                    mlflow.log_params(dict(items[start : start + _PARAMETERS_AT_ONCE]))
        except mlflow.exceptions.MlflowException as error:
            raise UsageError(
                f"--report_to=mlflow: {error}; MLFLOW_TRACKING_URI in the environment says where "
                "runs are kept"
            ) from error
        yield run.info.run_id, MlflowWriter(run.info.run_id)


_SERVICES = {"wandb": _wandb, "mlflow": _mlflow}
