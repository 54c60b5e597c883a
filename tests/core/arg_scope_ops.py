"""Ops for the tests of `arg_scope`."""

import jax.numpy as jnp

import jslim as slim


@slim.add_arg_scope
def scaled(x, factor=1.0, shift=0.0, *, squares=False):
    """factor * x + shift, squared if asked for."""
    y = factor * x + shift
    return y * y if squares else y


@slim.add_arg_scope
def seen(*args, a=None, b=None, c=None):
    return (*args, a, b, c)


@slim.add_arg_scope
def other(a=None, b=None):
    return (a, b)


@slim.add_arg_scope
def takes_any(a=0, **kwargs):
    return a, kwargs


@slim.add_arg_scope
def needs(x, kernel_size, stride=1, normalizer_params=None):
    return x, kernel_size, stride, normalizer_params


def make_activation(slope, scale=1.0):
    return lambda x: jnp.where(x > 0, x, slope * x) * scale
