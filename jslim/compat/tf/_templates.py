"""`tf.make_template`: a function that makes its variables once, and reads them from then on."""

from collections.abc import Callable
from typing import Any

from jslim.core.access import frame, is_running
from jslim.core.names import VariableScope
from jslim.core.scopes import variable_scope


def make_template(
    name_: str,
    func_: Callable[..., Any],
    create_scope_now_: bool = False,
    unique_name_: str | None = None,
    custom_getter_: Callable[..., Any] | None = None,
    **kwargs: Any,
) -> Callable[..., Any]:
    """The function in a variable scope of its own, whose first call makes the variables.

    Differs from TensorFlow: each call of a model function begins anew, and so a template may be
    made outside of it.

    Args:
      name_: The name of the scope; another template of this name gets a number.
      func_: The function.
      create_scope_now_: Whether the scope stands where the template is made; else it stands where
        it is first called.
      unique_name_: The name of the scope, as it is.
      custom_getter_: As of `tf.variable_scope`.
      **kwargs: Arguments of the function.
    """

    made = object()  # stands for the template among the scopes of a model

    def scope_of_run() -> VariableScope:
        blocks = frame("tf.make_template").run.blocks
        if made not in blocks:
            with variable_scope(unique_name_, name_, custom_getter=custom_getter_) as scope:
                blocks[made] = scope
        return blocks[made]

    def called(*args: Any, **keywords: Any) -> Any:
        scope = scope_of_run()
        with variable_scope(scope):
            result = func_(*args, **{**kwargs, **keywords})
        scope.reuse_variables()
        return result

    if create_scope_now_ and is_running():
        scope_of_run()
    return called
