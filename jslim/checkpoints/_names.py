"""The names of the arrays of a checkpoint, as TF-Slim's users know them."""

from collections import Counter
from collections.abc import Iterable

MODEL_COLLECTIONS = ("params", "batch_stats")


def variable_names(leaf_names: Iterable[str]) -> dict[str, str]:
    """`{name: leaf name}`, where model variables have TF-Slim's names.

    `params/vgg_16/conv1/weights` and `batch_stats/...` lose their collection; all other leaves
    (`step`, `opt_state/...`, `ema_params/...`) keep it, and so do names that would be equal.

    >>> variable_names(["params/w", "step"])
    {'w': 'params/w', 'step': 'step'}
    """
    leaf_names = list(leaf_names)

    def model_name(leaf_name: str) -> str:
        collection, _, rest = leaf_name.partition("/")
        return rest if collection in MODEL_COLLECTIONS and rest else leaf_name

    uses = Counter(map(model_name, leaf_names))
    return {
        model_name(leaf_name) if uses[model_name(leaf_name)] == 1 else leaf_name: leaf_name
        for leaf_name in leaf_names
    }
