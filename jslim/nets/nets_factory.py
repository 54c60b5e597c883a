"""The table of networks: what each is built by, and what must go with its weights.

    network_fn = nets_factory.get_network_fn('vgg_16', num_classes=10, is_training=True)
    model = slim.Model(network_fn)

A network is a row of `NETWORKS`; everything else here reads that table.
"""

import fnmatch
import functools
import inspect
from collections.abc import Callable
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
from jslim.nets._common import EndPoints

Build = Callable[..., tuple[jax.Array, EndPoints]]  # (images, num_classes, is_training, ...)
Scope = Callable[..., ArgScope]  # (weight_decay=its own, ...): the defaults it was made with


@dataclass(frozen=True)
class Network:
    """One network, with what its data and its weights have to agree on."""

    build: Build
    arg_scope: Scope
    preprocessing: str  # the name of the preprocessing of its images
    label_offset: int  # ImageNet's labels are this much more than the classes of its weights
    head: tuple[str, ...]  # the scopes of all variables that num_classes=None leaves out
    size_of_weights: int | None = None  # of images, where its published weights want another one
    takes_videos: bool = False  # whether its images come in an axis more, [batch, frames, ...]

    @property
    def image_size(self) -> int:
        """The height and width in pixels of the images that it and its weights were made for."""
        default: int = self.build.default_image_size  # type: ignore[attr-defined]
        return self.size_of_weights or default

    @property
    def weight_decay(self) -> float:
        """The scale of the L2 penalty that it was designed with."""
        return inspect.signature(self.arg_scope).parameters["weight_decay"].default


def _vgg(build: Build) -> Network:
    head = (f"{build.__name__}/fc8",)
    return Network(build, vgg.vgg_arg_scope, "vgg", 1, head)


def _inception(build: Build, scope: str, has_aux: bool, arg_scope: Scope | None = None) -> Network:
    heads = ("AuxLogits", "Logits") if has_aux else ("Logits",)
    arg_scope = arg_scope or inception.inception_v3_arg_scope
    return Network(build, arg_scope, "inception", 0, tuple(f"{scope}/{head}" for head in heads))


def _resnet_v1(build: Build) -> Network:
    head = (f"{build.__name__}/logits",)
    return Network(build, resnet_v1.resnet_arg_scope, "vgg", 1, head)


def _resnet_v2(build: Build) -> Network:
    # Its weights do not want what research/slim's own tables say, VGG's preprocessing at 224.
    head = (f"{build.__name__}/logits",)
    return Network(build, resnet_v2.resnet_arg_scope, "inception", 0, head, size_of_weights=299)


def _mobilenet_v1(build: Build) -> Network:
    scope = mobilenet_v1.mobilenet_v1_arg_scope
    return Network(build, scope, "inception", 0, ("MobilenetV1/Logits",))


def _video(build: Build, arg_scope: Scope) -> Network:
    return Network(build, arg_scope, "inception", 0, ("InceptionV1/Logits",), takes_videos=True)


def _mobilenet(build: Build, scope: str) -> Network:  # V2 and V3
    return Network(build, mobilenet.training_scope, "inception", 0, (f"{scope}/Logits",))


def _nasnet(build: Build, arg_scope: Scope, aux: str, preprocessing: str = "inception") -> Network:
    return Network(build, arg_scope, preprocessing, 0, ("final_layer/FC", f"{aux}/aux_logits"))


NETWORKS: dict[str, Network] = {
    "alexnet_v2": Network(
        alexnet.alexnet_v2, alexnet.alexnet_v2_arg_scope, "vgg", 1, ("alexnet_v2/fc8",)
    ),
    "cifarnet": Network(
        cifarnet.cifarnet, cifarnet.cifarnet_arg_scope, "cifarnet", 0, ("CifarNet/logits",)
    ),
    "i3d": _video(i3d.i3d, i3d.i3d_arg_scope),
    "inception_resnet_v2": _inception(
        inception.inception_resnet_v2,
        "InceptionResnetV2",
        has_aux=True,
        arg_scope=inception.inception_resnet_v2_arg_scope,
    ),
    "inception_v1": _inception(inception.inception_v1, "InceptionV1", has_aux=False),
    "inception_v2": _inception(inception.inception_v2, "InceptionV2", has_aux=False),
    "inception_v3": _inception(inception.inception_v3, "InceptionV3", has_aux=True),
    "inception_v4": _inception(inception.inception_v4, "InceptionV4", has_aux=True),
    "lenet": Network(lenet.lenet, lenet.lenet_arg_scope, "lenet", 0, ("LeNet/fc4",)),
    "mobilenet_edgetpu": _mobilenet(mobilenet_v3.edge_tpu, "MobilenetEdgeTPU"),
    "mobilenet_edgetpu_075": _mobilenet(mobilenet_v3.edge_tpu_075, "MobilenetEdgeTPU"),
    "mobilenet_v1": _mobilenet_v1(mobilenet_v1.mobilenet_v1),
    "mobilenet_v1_075": _mobilenet_v1(mobilenet_v1.mobilenet_v1_075),
    "mobilenet_v1_050": _mobilenet_v1(mobilenet_v1.mobilenet_v1_050),
    "mobilenet_v1_025": _mobilenet_v1(mobilenet_v1.mobilenet_v1_025),
    "mobilenet_v2": _mobilenet(mobilenet_v2.mobilenet, "MobilenetV2"),
    "mobilenet_v2_140": _mobilenet(mobilenet_v2.mobilenet_v2_140, "MobilenetV2"),
    "mobilenet_v2_050": _mobilenet(mobilenet_v2.mobilenet_v2_050, "MobilenetV2"),
    "mobilenet_v2_035": _mobilenet(mobilenet_v2.mobilenet_v2_035, "MobilenetV2"),
    "mobilenet_v3_large": _mobilenet(mobilenet_v3.large, "MobilenetV3"),
    "mobilenet_v3_large_075": _mobilenet(mobilenet_v3.large_075, "MobilenetV3"),
    "mobilenet_v3_large_123": _mobilenet(mobilenet_v3.large_123, "MobilenetV3"),
    "mobilenet_v3_large_minimalistic": _mobilenet(mobilenet_v3.large_minimalistic, "MobilenetV3"),
    "mobilenet_v3_small": _mobilenet(mobilenet_v3.small, "MobilenetV3"),
    "mobilenet_v3_small_075": _mobilenet(mobilenet_v3.small_075, "MobilenetV3"),
    "mobilenet_v3_small_minimalistic": _mobilenet(mobilenet_v3.small_minimalistic, "MobilenetV3"),
    "nasnet_cifar": _nasnet(
        nasnet.build_nasnet_cifar, nasnet.nasnet_cifar_arg_scope, "aux_11", "cifarnet"
    ),
    "nasnet_mobile": _nasnet(nasnet.build_nasnet_mobile, nasnet.nasnet_mobile_arg_scope, "aux_7"),
    "nasnet_large": _nasnet(nasnet.build_nasnet_large, nasnet.nasnet_large_arg_scope, "aux_11"),
    "overfeat": Network(
        overfeat.overfeat, overfeat.overfeat_arg_scope, "vgg", 1, ("overfeat/fc8",)
    ),
    "pnasnet_mobile": _nasnet(
        pnasnet.build_pnasnet_mobile, pnasnet.pnasnet_mobile_arg_scope, "aux_5"
    ),
    "pnasnet_large": _nasnet(pnasnet.build_pnasnet_large, pnasnet.pnasnet_large_arg_scope, "aux_7"),
    "resnet_v1_50": _resnet_v1(resnet_v1.resnet_v1_50),
    "resnet_v1_101": _resnet_v1(resnet_v1.resnet_v1_101),
    "resnet_v1_152": _resnet_v1(resnet_v1.resnet_v1_152),
    "resnet_v1_200": _resnet_v1(resnet_v1.resnet_v1_200),
    "resnet_v2_50": _resnet_v2(resnet_v2.resnet_v2_50),
    "resnet_v2_101": _resnet_v2(resnet_v2.resnet_v2_101),
    "resnet_v2_152": _resnet_v2(resnet_v2.resnet_v2_152),
    "resnet_v2_200": _resnet_v2(resnet_v2.resnet_v2_200),
    "s3dg": _video(s3dg.s3dg, s3dg.s3dg_arg_scope),
    "vgg_a": _vgg(vgg.vgg_a),
    "vgg_16": _vgg(vgg.vgg_16),
    "vgg_19": _vgg(vgg.vgg_19),
}

networks_map = {name: network.build for name, network in NETWORKS.items()}
arg_scopes_map = {name: network.arg_scope for name, network in NETWORKS.items()}


def list_networks(pattern: str = "*") -> list[str]:
    """The names of the networks that match a shell pattern, sorted. New in jslim.

    >>> list_networks('vgg*')
    ['vgg_16', 'vgg_19', 'vgg_a']
    """
    return sorted(fnmatch.filter(NETWORKS, pattern))


def get_network(name: str) -> Network:
    """The row of the table for a network. New in jslim.

    Raises:
      ValueError: There is no network of that name.
    """
    checks.known("", "network", name, list_networks())
    return NETWORKS[name]


def get_network_fn(
    name: str,
    num_classes: int | None,
    weight_decay: float | None = 0.0,
    is_training: bool = False,
) -> Callable[..., tuple[jax.Array, EndPoints]]:
    """A network as one function of images: under its arg_scope, with the arguments given here.

    It is what a `slim.Model` takes. Differs from TF-Slim: an `arg_scope` around the call of the
    function counts too, below the network's own (`dtype=jnp.bfloat16`, say).

    Args:
      name: A name of `list_networks()`.
      num_classes: How many logits to give; None or 0 for features.
      weight_decay: Scale of the L2 penalty. As in TF-Slim the default 0.0 switches off the decay
        that the network was designed with; None keeps that one.
      is_training: Whether dropout drops and batch normalization uses the batch.

    Returns:
      `fn(images, **kwargs) -> (logits, end_points)`, where `kwargs` are further arguments of the
      network, or other values for `num_classes` and `is_training`. It has the attribute
      `default_image_size`.

    Raises:
      ValueError: There is no network of that name; `weight_decay` is an integer or negative.
    """
    network = get_network(name)
    decay = network.weight_decay if weight_decay is None else weight_decay
    network.arg_scope(weight_decay=decay)  # a wrong decay is refused here and not at the first call

    @functools.wraps(network.build)
    def network_fn(images: jax.Array, **kwargs: Any) -> tuple[jax.Array, EndPoints]:
        arguments = {"num_classes": num_classes, "is_training": is_training, **kwargs}
        with arg_scope(network.arg_scope(weight_decay=decay)):
            return network.build(images, **arguments)

    return network_fn
