"""The table of networks: their functions, and the facts that belong to their weights.

    network_fn = nets_factory.get_network_fn('vgg_16', num_classes=10, is_training=True)
    model = slim.Model(network_fn)

Each network is a row of `NETWORKS`.
"""

import fnmatch
import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import jax

from jslim.core import checks
from jslim.core.arg_scope import ArgScope, arg_scope
from jslim.nets import (
    alexnet,
    cifarnet,
    i3d,
    inception,
    lenet,
    mobilenet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    overfeat,
    pnasnet,
    resnet_v1,
    resnet_v2,
    s3dg,
    vgg,
)
from jslim.nets._common import Outputs

Build = Callable[..., Outputs]  # (images, num_classes, is_training, ...)
Scope = Callable[..., ArgScope]  # (weight_decay=..., ...): the defaults of a network


@dataclass(frozen=True)
class Network:
    """One network, with the facts that its data and its weights depend on."""

    build: Build
    arg_scope: Scope
    preprocessing: str  # name of the preprocessing of its images
    label_offset: int  # ImageNet's labels minus the classes of its published weights
    head: tuple[str, ...]  # scopes of the variables that do not exist with num_classes=None
    size_of_weights: int | None = None  # image size of its published weights, if it differs
    takes_videos: bool = False  # whether its inputs are videos, [batch, frames, ...]

    @property
    def main_heads(self) -> tuple[str, ...]:
        """The scopes of `head` that give the logits."""
        return tuple(scope for scope in self.head if "aux" not in scope.lower())

    @property
    def auxiliary_heads(self) -> tuple[str, ...]:
        """The scopes of `head` that only training needs."""
        return tuple(scope for scope in self.head if "aux" in scope.lower())

    def absent_heads(self, ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
        """The auxiliary heads with variables among `ours` and none among `theirs`.

        >>> get_network("inception_v4").absent_heads(["InceptionV4/AuxLogits/weights"], [])
        ['InceptionV4/AuxLogits/']
        """
        ours, theirs = list(ours), list(theirs)
        heads = [f"{head}/" for head in self.auxiliary_heads]
        return [
            head
            for head in heads
            if any(name.startswith(head) for name in ours)
            and not any(name.startswith(head) for name in theirs)
        ]

    @property
    def image_size(self) -> int:
        """Height and width in pixels of the images that its weights were trained with."""
        default: int = self.build.default_image_size  # type: ignore[attr-defined]
        return self.size_of_weights or default

    @property
    def weight_decay(self) -> float:
        """The default scale of its L2 penalty."""
        return inspect.signature(self.arg_scope).parameters["weight_decay"].default


def _family(
    arg_scope: Scope,
    head: tuple[str, ...],
    preprocessing: str = "inception",
    label_offset: int = 0,
    **more: Any,
) -> Callable[..., dict[str, Network]]:
    """Makes rows of networks that differ in nothing but the function, given as `name=function`.

    `head` is relative to the scope of the network, if it has one.
    """

    def rows(**builds: Build) -> dict[str, Network]:
        return {name: row(build) for name, build in builds.items()}

    def row(build: Build) -> Network:
        scope = inspect.signature(build).parameters.get("scope")
        scopes = tuple(f"{scope.default}/{part}" if scope else part for part in head)
        return Network(build, arg_scope, preprocessing, label_offset, scopes, **more)

    return rows


_LOGITS = ("Logits",)
_WITH_AUX = ("AuxLogits", "Logits")
# All networks, by the names for `get_network_fn`.
NETWORKS: dict[str, Network] = {
    **_family(alexnet.alexnet_v2_arg_scope, ("fc8",), "vgg", 1)(alexnet_v2=alexnet.alexnet_v2),
    **_family(cifarnet.cifarnet_arg_scope, ("logits",), "cifarnet")(cifarnet=cifarnet.cifarnet),
    **_family(i3d.i3d_arg_scope, _LOGITS, takes_videos=True)(i3d=i3d.i3d),
    **_family(inception.inception_resnet_v2_arg_scope, _WITH_AUX)(
        inception_resnet_v2=inception.inception_resnet_v2
    ),
    **_family(inception.inception_v1_arg_scope, _LOGITS)(
        inception_v1=inception.inception_v1, inception_v2=inception.inception_v2
    ),
    **_family(inception.inception_v3_arg_scope, _WITH_AUX)(
        inception_v3=inception.inception_v3, inception_v4=inception.inception_v4
    ),
    **_family(lenet.lenet_arg_scope, ("fc4",), "lenet")(lenet=lenet.lenet),
    **_family(mobilenet_v1.mobilenet_v1_arg_scope, _LOGITS)(
        mobilenet_v1=mobilenet_v1.mobilenet_v1,
        mobilenet_v1_075=mobilenet_v1.mobilenet_v1_075,
        mobilenet_v1_050=mobilenet_v1.mobilenet_v1_050,
        mobilenet_v1_025=mobilenet_v1.mobilenet_v1_025,
    ),
    **_family(mobilenet.training_scope, _LOGITS)(
        mobilenet_edgetpu=mobilenet_v3.edge_tpu,
        mobilenet_edgetpu_075=mobilenet_v3.edge_tpu_075,
        mobilenet_v2=mobilenet_v2.mobilenet,
        mobilenet_v2_140=mobilenet_v2.mobilenet_v2_140,
        mobilenet_v2_050=mobilenet_v2.mobilenet_v2_050,
        mobilenet_v2_035=mobilenet_v2.mobilenet_v2_035,
        mobilenet_v3_large=mobilenet_v3.large,
        mobilenet_v3_large_075=mobilenet_v3.large_075,
        mobilenet_v3_large_123=mobilenet_v3.large_123,
        mobilenet_v3_large_minimalistic=mobilenet_v3.large_minimalistic,
        mobilenet_v3_small=mobilenet_v3.small,
        mobilenet_v3_small_075=mobilenet_v3.small_075,
        mobilenet_v3_small_minimalistic=mobilenet_v3.small_minimalistic,
    ),
    **_family(nasnet.nasnet_cifar_arg_scope, ("final_layer/FC", "aux_11/aux_logits"), "cifarnet")(
        nasnet_cifar=nasnet.build_nasnet_cifar
    ),
    **_family(nasnet.nasnet_large_arg_scope, ("final_layer/FC", "aux_11/aux_logits"))(
        nasnet_large=nasnet.build_nasnet_large
    ),
    **_family(nasnet.nasnet_mobile_arg_scope, ("final_layer/FC", "aux_7/aux_logits"))(
        nasnet_mobile=nasnet.build_nasnet_mobile, pnasnet_large=pnasnet.build_pnasnet_large
    ),
    **_family(overfeat.overfeat_arg_scope, ("fc8",), "vgg", 1)(overfeat=overfeat.overfeat),
    **_family(pnasnet.pnasnet_mobile_arg_scope, ("final_layer/FC", "aux_5/aux_logits"))(
        pnasnet_mobile=pnasnet.build_pnasnet_mobile
    ),
    **_family(resnet_v1.resnet_arg_scope, ("logits",), "vgg", 1)(
        resnet_v1_50=resnet_v1.resnet_v1_50,
        resnet_v1_101=resnet_v1.resnet_v1_101,
        resnet_v1_152=resnet_v1.resnet_v1_152,
        resnet_v1_200=resnet_v1.resnet_v1_200,
    ),
    # research/slim's tables name VGG's preprocessing at 224, but the published weights need this.
    **_family(resnet_v2.resnet_arg_scope, ("logits",), size_of_weights=299)(
        resnet_v2_50=resnet_v2.resnet_v2_50,
        resnet_v2_101=resnet_v2.resnet_v2_101,
        resnet_v2_152=resnet_v2.resnet_v2_152,
        resnet_v2_200=resnet_v2.resnet_v2_200,
    ),
    **_family(s3dg.s3dg_arg_scope, _LOGITS, takes_videos=True)(s3dg=s3dg.s3dg),
    **_family(vgg.vgg_arg_scope, ("fc8",), "vgg", 1)(
        vgg_a=vgg.vgg_a, vgg_16=vgg.vgg_16, vgg_19=vgg.vgg_19
    ),
}

# TF-Slim's tables of the same: the functions, and the functions of their arg_scopes.
networks_map = {name: network.build for name, network in NETWORKS.items()}
arg_scopes_map = {name: network.arg_scope for name, network in NETWORKS.items()}


def list_networks(pattern: str = "*") -> list[str]:
    """The sorted names of the networks that match a shell pattern. New in jslim.

    >>> list_networks('vgg*')
    ['vgg_16', 'vgg_19', 'vgg_a']
    """
    return sorted(fnmatch.filter(NETWORKS, pattern))


def get_network(name: str) -> Network:
    """The row of a network. New in jslim.

    Raises:
      ValueError: The name is unknown, or that of a file's network which nobody has added.

    >>> get_network("lenet").image_size
    28
    """
    if name not in NETWORKS and ".py:" in name:
        raise ValueError(f"{name!r} is a network of a file; give it by --model_file=PATH/{name}")
    checks.known("", "network", name, list_networks())
    return NETWORKS[name]


def add_network(name: str, network: Network) -> None:
    """Adds a network of one's own to the table, in this process. New in jslim.

    Args:
      name: Its name for `get_network_fn` and `--model_name`; it replaces a network of this name.
      network: Its row.

    >>> add_network("my_lenet", get_network("lenet"))
    >>> get_network("my_lenet").image_size
    28
    >>> del NETWORKS["my_lenet"]
    """
    NETWORKS[name] = network


def get_network_fn(
    name: str, num_classes: int | None, weight_decay: float | None = 0.0, is_training: bool = False
) -> Callable[..., Outputs]:
    """A network as a function of images, with its arg_scope and the arguments given here.

    `slim.Model` takes such a function. Differs from TF-Slim: an `arg_scope` around the call of the
    function applies too (for example `dtype=jnp.bfloat16`); values that the network sets win.

    Args:
      name: A name of `list_networks()`.
      num_classes: Number of logits; None or 0 for features.
      weight_decay: Scale of the L2 penalty. As in TF-Slim the default is 0.0, no penalty; None is
        the scale that the network was designed with.
      is_training: Whether dropout is active and batch normalization uses the batch.

    Returns:
      `fn(images, **kwargs) -> (logits, end_points)`, where `kwargs` are further arguments of the
      network, or other values of `num_classes` and `is_training`. It has the attribute
      `default_image_size`, in pixels.

    Raises:
      ValueError: The name is unknown; `weight_decay` is an integer or negative.

    >>> get_network_fn("vgg_16", num_classes=10).default_image_size
    224
    """
    network = get_network(name)
    decay = network.weight_decay if weight_decay is None else weight_decay
    network.arg_scope(weight_decay=decay)  # refuses a wrong decay now, not at the first call

    @functools.wraps(network.build)
    def network_fn(images: jax.Array, **kwargs: object) -> Outputs:
        arguments = {"num_classes": num_classes, "is_training": is_training, **kwargs}
        with arg_scope(network.arg_scope(weight_decay=decay)):
            return network.build(images, **arguments)

    return network_fn
