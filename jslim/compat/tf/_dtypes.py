"""TensorFlow's types of elements: NumPy's, under their names."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

DType = np.dtype
float16 = half = np.dtype("float16")
float32 = np.dtype("float32")
float64 = double = np.dtype("float64")
bfloat16 = np.dtype(jnp.bfloat16)
int8, int16, int32, int64 = map(np.dtype, ("int8", "int16", "int32", "int64"))
uint8, uint16, uint32, uint64 = map(np.dtype, ("uint8", "uint16", "uint32", "uint64"))
complex64, complex128 = map(np.dtype, ("complex64", "complex128"))
bool = np.dtype("bool")
string = np.dtype("O")


def as_dtype(type_value: DTypeLike) -> np.dtype:
    """The type of a name, a class or a type."""
    return np.dtype(type_value)
