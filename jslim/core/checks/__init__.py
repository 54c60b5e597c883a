"""Checks of arguments; all of them word their errors alike.

Each check takes `(where, name, value)` first: the function that was called (with its scope, if it
has one; `''` for no function), the name of the argument, and its value. It raises an error such as

    conv2d at 'net/Conv': stride must be at least 1, got 0; give ...

The text after the semicolon is `hint`: what to do. `refusal` makes such an error for a rule that
only one place has.
"""

from jslim.core.checks._annotated import Annotated as Annotated
from jslim.core.checks._annotated import annotated as annotated
from jslim.core.checks._annotated import fits as fits
from jslim.core.checks._arrays import Array as Array
from jslim.core.checks._arrays import axis as axis
from jslim.core.checks._arrays import floating as floating
from jslim.core.checks._arrays import floating_dtype as floating_dtype
from jslim.core.checks._arrays import integers as integers
from jslim.core.checks._arrays import numbers_in as numbers_in
from jslim.core.checks._arrays import rank as rank
from jslim.core.checks._arrays import same_shape as same_shape
from jslim.core.checks._arrays import shape as shape
from jslim.core.checks._functions import INITIALIZER as INITIALIZER
from jslim.core.checks._functions import REGULARIZER as REGULARIZER
from jslim.core.checks._functions import Kind as Kind
from jslim.core.checks._functions import function_of as function_of
from jslim.core.checks._functions import kinds_of as kinds_of
from jslim.core.checks._numbers import count as count
from jslim.core.checks._numbers import not_negative as not_negative
from jslim.core.checks._numbers import number as number
from jslim.core.checks._numbers import positive_integer as positive_integer
from jslim.core.checks._numbers import positive_integers as positive_integers
from jslim.core.checks._numbers import seconds as seconds
from jslim.core.checks._numbers import whole_number as whole_number
from jslim.core.checks._values import function as function
from jslim.core.checks._values import given as given
from jslim.core.checks._values import instance as instance
from jslim.core.checks._values import known as known
from jslim.core.checks._values import one_of as one_of
from jslim.core.checks._wording import choices as choices
from jslim.core.checks._wording import refusal as refusal
from jslim.core.checks._wording import shown as shown
