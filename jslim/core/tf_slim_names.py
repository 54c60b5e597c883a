"""TF-Slim's public names that are elsewhere in jslim, or have a replacement.

`answer_in(__name__)` at the end of a module makes it answer them. A name that is elsewhere gives
the object from there; another one raises an AttributeError that names the replacement. Modules that
are elsewhere can also be imported by their names in TF-Slim, or by their former names in jslim.
"""

import functools
import importlib
import importlib.abc
import importlib.machinery
import sys
import types

from jslim.core.missing_names import offered

# TF-Slim's and former names of modules, and their places in jslim.
MODULES = {
    "jslim.model": "jslim.core.model",
    "jslim.queues": "jslim.tf_queues.queues",
    "jslim.data.dataset": "jslim.tf_queues.dataset",
    "jslim.data.dataset_data_provider": "jslim.tf_queues.dataset_data_provider",
    "jslim.data.parallel_reader": "jslim.tf_queues.parallel_reader",
    "jslim.data.prefetch_queue": "jslim.tf_queues.prefetch_queue",
    "jslim.layers.activations": "jslim.layers.dense",
    "jslim.layers.legacy": "jslim.layers.dense",
    "jslim.layers.sequences": "jslim.layers.misc",
    "jslim.layers.transposed": "jslim.layers.convolutional",
    "jslim.metrics.confusion": "jslim.metrics.binary",
    "jslim.metrics.thresholds": "jslim.metrics.binary",
}


def _from(module: str, *names: str) -> dict[str, str]:
    return {name: f"{module}:{name}" for name in names}


# By module, TF-Slim's names, and their places in jslim: `module` or `module:attribute`.
ELSEWHERE: dict[str, dict[str, str]] = {
    "jslim": {
        "arg_scope_lib": "jslim",
        "data_decoder": "jslim.data.data_decoder",
        "train_eval": "jslim.evaluation",
        **dict.fromkeys(("bucketization_op", "normalization", "rev_block_lib"), "jslim.layers"),
    },
    "jslim.data": {
        **_from("jslim.tf_queues.dataset", "Dataset"),
        **_from("jslim.tf_queues.dataset_data_provider", "DatasetDataProvider"),
    },
    "jslim.evaluation": {
        "evaluate_repeatedly": "jslim.evaluation:evaluation_loop",
        "evaluation": "jslim.evaluation",
    },
    "jslim.layers": {
        "arg_scope_lib": "jslim",
        "initializers": "jslim.initializers",
        "variables": "jslim.variables",
        **_from("jslim", "add_arg_scope"),
    },
    "jslim.learning": {"training": "jslim.training"},
    "jslim.metrics": dict.fromkeys(
        ("classification", "histogram_ops", "metric_ops"), "jslim.metrics"
    ),
    "jslim.optimizers": _from(
        "jslim.learning", "OPTIMIZER_SUMMARIES", "adaptive_clipping_fn", "optimize_loss"
    ),
    "jslim.variables": {
        **_from("jslim", "VariableDeviceChooser", "arg_scope"),
        **_from("jslim.checkpoints", "assign_from_checkpoint", "assign_from_checkpoint_fn"),
        **_from("jslim.checkpoints", "assign_from_values", "assign_from_values_fn"),
    },
}

_PROVIDER = "iterate over a DatasetDataProvider, or give any iterable of batches to train"
_ALIASES = (
    "an array has no aliases; utils.collect_named_outputs(collection, alias, array) names it, and "
    "utils.convert_collection_to_dict(collection) gives names and arrays"
)
_STEP_OF_CLUSTER_LOSS = "it is a step within cluster_loss; call losses.metric_learning.cluster_loss"
_MASKED = (
    "write jnp.where(mask > 0, data, data.{1}(axis=dim, keepdims=True))"
    ".{0}(axis=dim, keepdims=True)"
)
_REVERSIBLE = "rev_block finds the variables of its layers by itself"

# By module, TF-Slim's names that jslim does not have, and their replacements.
INSTEAD: dict[str, dict[str, str]] = {
    "jslim": {"data_provider": _PROVIDER},
    "jslim.data": {"data_provider": _PROVIDER},
    "jslim.evaluation": {
        "StopAfterNEvalsHook": "give num_evals=n to evaluate_once or evaluation_loop",
        "SummaryAtEndHook": "give logdir= to evaluate_once or evaluation_loop, which write values",
        "get_or_create_eval_step": "give num_evals=, or take metrics.count() among the metrics",
    },
    "jslim.layers": {
        "LAYER_RE": _REVERSIBLE,
        "enable_with_args": "recompute_grad can be written with or without arguments as it is",
    },
    "jslim.layers.utils": dict.fromkeys(
        ("append_tensor_alias", "gather_tensors_aliases", "get_tensor_aliases"), _ALIASES
    ),
    "jslim.learning": {
        "train_step": "the train op is the step, state, outputs = train_op(state, batch); what is "
        "to happen around it goes to train(train_step_fn=)",
    },
    "jslim.losses.metric_learning": {
        **dict.fromkeys(
            (
                "compute_augmented_facility_locations",
                "compute_augmented_facility_locations_pam",
                "compute_clustering_score",
                "compute_facility_energy",
                "compute_gt_cluster_score",
                "get_cluster_assignment",
                "update_1d_tensor",
                "update_all_medoids",
                "update_medoid_per_cluster",
            ),
            _STEP_OF_CLUSTER_LOSS,
        ),
        "masked_maximum": _MASKED.format("max", "min"),
        "masked_minimum": _MASKED.format("min", "max"),
    },
}


def look_up(module: str, name: str) -> object:
    """The object that TF-Slim's `name` means in `module`.

    Raises:
      AttributeError: jslim does not have it; the error says what to do.
    """
    if f"{module}.{name}" in MODULES:
        return importlib.import_module(f"{module}.{name}")
    if place := ELSEWHERE.get(module, {}).get(name):
        holder, _, attribute = place.partition(":")
        found = importlib.import_module(holder)
        return getattr(found, attribute) if attribute else found
    if instead := INSTEAD.get(module, {}).get(name):
        raise AttributeError(f"module {module!r} has no {name!r} of TF-Slim's: {instead}")
    raise AttributeError(f"module {module!r} has no attribute {name!r}{offered(module, name)}")


def answer_in(module: str) -> None:
    """Makes a module, and those that it holds, answer TF-Slim's names and offer the nearest.

    Type checkers still find what is misspelt.
    """
    held = vars(sys.modules[module])
    parts = [part.__name__ for part in held.values() if isinstance(part, types.ModuleType)]
    for name in (module, *(part for part in parts if part.startswith(f"{module}."))):
        vars(sys.modules[name]).setdefault("__getattr__", functools.partial(look_up, name))


class _Elsewhere(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports `MODULES`: the same module under a second name."""

    def find_spec(
        self, name: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.machinery.ModuleSpec(name, self) if name in MODULES else None

    def exec_module(self, module: types.ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(MODULES[module.__name__])


sys.meta_path.append(_Elsewhere())
