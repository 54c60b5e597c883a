"""Checkpoints: saving and restoring training states, and reading their variables.

    with CheckpointManager(train_dir, keep=5, save_interval_secs=600) as checkpoints:
        restored = restore_latest(train_dir, jax.eval_shape(make_state))
        ...
        if checkpoints.should_save():
            checkpoints.save(step, state, data_state=data_state, contract=contract)

Orbax writes and reads the arrays. This package makes sure that a checkpoint is complete, holds the
numbers that were saved, and fits the state that it is restored into.
"""

from jslim.checkpoints._assign import InitFn as InitFn
from jslim.checkpoints._assign import assign_from_checkpoint as assign_from_checkpoint
from jslim.checkpoints._assign import assign_from_checkpoint_fn as assign_from_checkpoint_fn
from jslim.checkpoints._assign import assign_from_values as assign_from_values
from jslim.checkpoints._assign import assign_from_values_fn as assign_from_values_fn
from jslim.checkpoints._differences import RestoreReport as RestoreReport
from jslim.checkpoints._format import BrokenCheckpoint as BrokenCheckpoint
from jslim.checkpoints._locate import all_checkpoints as all_checkpoints
from jslim.checkpoints._locate import exists as exists
from jslim.checkpoints._locate import latest_checkpoint as latest_checkpoint
from jslim.checkpoints._locate import resolve as resolve
from jslim.checkpoints._locate import step_to_resume as step_to_resume
from jslim.checkpoints._manager import CheckpointManager as CheckpointManager
from jslim.checkpoints._marks import clear_done as clear_done
from jslim.checkpoints._marks import has_ended as has_ended
from jslim.checkpoints._marks import is_done as is_done
from jslim.checkpoints._marks import mark_done as mark_done
from jslim.checkpoints._marks import mark_stopped as mark_stopped
from jslim.checkpoints._readers import CheckpointReader as CheckpointReader
from jslim.checkpoints._readers import checkpoint_step as checkpoint_step
from jslim.checkpoints._readers import list_variables as list_variables
from jslim.checkpoints._readers import load_variables as load_variables
from jslim.checkpoints._readers import open_checkpoint as open_checkpoint
from jslim.checkpoints._readers import read_contract as read_contract
from jslim.checkpoints._restore import Restored as Restored
from jslim.checkpoints._restore import restore as restore
from jslim.checkpoints._restore import restore_latest as restore_latest
from jslim.checkpoints._safetensors import save_safetensors as save_safetensors
from jslim.checkpoints._steps import StepInfo as StepInfo
from jslim.checkpoints._steps import list_steps as list_steps
from jslim.checkpoints._waiting import checkpoints_iterator as checkpoints_iterator
from jslim.checkpoints._waiting import new_weights as new_weights
from jslim.checkpoints._waiting import wait_for_new_checkpoint as wait_for_new_checkpoint
from jslim.checkpoints._weights import Weights as Weights
from jslim.checkpoints._weights import describe as describe
from jslim.checkpoints._weights import moving_averages as moving_averages
from jslim.checkpoints._weights import read_weights as read_weights
from jslim.checkpoints._weights import restore_variables as restore_variables
from jslim.checkpoints._weights import takes_averages as takes_averages
from jslim.core import tf_slim_names as _tf_slim_names

_tf_slim_names.answer_in(__name__)
