"""What `train.py` writes for TensorBoard beside losses and rates, as TF-Slim's script does.

The tags are TF-Slim's: `sparsity/END_POINT`, and the names of variables for their histograms.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from jslim import summaries
from jslim.cli.classifier import Batch
from jslim.core.trees import named
from jslim.learning import TrainState
from jslim.summaries import Summaries

_NUM_IMAGES = 3


def record_activations(end_points: Mapping[str, jax.Array]) -> None:
    """Records in a model function the share of zeros in each end point."""
    for name, activation in end_points.items():
        zeros = jnp.mean(activation == 0, dtype=jnp.float32)
        summaries.scalar(f"sparsity/{name}", zeros)


def of_step(state: TrainState, batch: Batch) -> Summaries:
    """Histograms of the variables, and the first images of a batch, made on the host.

    Images are as they come to the step: what it changes by chance itself is not seen. Of what lies
    on devices of other processes nothing is shown.
    """
    found: Summaries = {}
    variables = named({"params": state.params, "batch_stats": state.batch_stats})
    for name, leaf in variables.items():
        if leaf.is_fully_addressable or leaf.is_fully_replicated:
            found |= summaries.host_histogram(name, np.asarray(leaf))
    images = batch["image"]
    if isinstance(images, jax.Array):  # no slice of it, which would be compiled
        images = images.addressable_shards[0].data
    for index, image in enumerate(np.asarray(images)[:_NUM_IMAGES]):
        if image.shape[-1] in (1, 3, 4):
            shown = image if image.dtype == np.uint8 else image.astype(np.float32)
            found[f"image/input_images/image/{index}"] = shown
    return found
