"""jslim: TF-Slim as it would be written today, on JAX."""

from jslim import initializers as initializers
from jslim import regularizers as regularizers
from jslim._arg_scope import ArgScope as ArgScope
from jslim._arg_scope import add_arg_scope as add_arg_scope
from jslim._arg_scope import arg_scope as arg_scope
from jslim._arg_scope import arg_scope_explain as arg_scope_explain
from jslim._arg_scope import arg_scope_func_key as arg_scope_func_key
from jslim._arg_scope import arg_scoped_arguments as arg_scoped_arguments
from jslim._arg_scope import current_arg_scope as current_arg_scope
from jslim._arg_scope import has_arg_scope as has_arg_scope
from jslim._errors import DataError as DataError
from jslim._errors import RestoreError as RestoreError
from jslim._errors import ScopeError as ScopeError
from jslim.initializers import *  # noqa: F403
from jslim.model import AUTO_REUSE as AUTO_REUSE
from jslim.model import Model as Model
from jslim.model import VariableScope as VariableScope
from jslim.model import assign as assign
from jslim.model import call_linen as call_linen
from jslim.model import get_variable_scope as get_variable_scope
from jslim.model import is_initializing as is_initializing
from jslim.model import make_rng as make_rng
from jslim.model import variable_scope as variable_scope
from jslim.regularizers import *  # noqa: F403
from jslim.variables import add_model_variable as add_model_variable
from jslim.variables import filter_variables as filter_variables
from jslim.variables import get_global_step as get_global_step
from jslim.variables import get_local_variables as get_local_variables
from jslim.variables import get_model_variables as get_model_variables
from jslim.variables import get_or_create_global_step as get_or_create_global_step
from jslim.variables import get_trainable_variables as get_trainable_variables
from jslim.variables import get_unique_variable as get_unique_variable
from jslim.variables import get_variable_full_name as get_variable_full_name
from jslim.variables import get_variables as get_variables
from jslim.variables import get_variables_by_name as get_variables_by_name
from jslim.variables import get_variables_by_suffix as get_variables_by_suffix
from jslim.variables import get_variables_to_restore as get_variables_to_restore
from jslim.variables import global_variable as global_variable
from jslim.variables import local_variable as local_variable
from jslim.variables import model_variable as model_variable
from jslim.variables import variable as variable
