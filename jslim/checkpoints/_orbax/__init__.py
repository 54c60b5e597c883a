"""Trees in and out of a directory by Orbax, which only this folder and `_buckets` use.

Orbax copies a state to the host, writes it in a thread, in all processes together, and gives the
directory its name when it is whole. It does not notice a flipped byte, returns the request itself
for a name that it does not have, and casts where types differ. So `writing` adds to what Orbax
writes the sums of all arrays, taken from the very copies that are written, and `reading` gives the
sums of what comes back; `_restore` compares them. Arrays are read by TensorStore alone, under
Orbax's description of them: what Orbax does around it takes longer than the sums.

Orbax's `CheckpointManager` is not used for the choice and the deletion of steps: it counts broken
ones as kept, chooses what to delete before the new step is there, and deletes in place, so that a
kill leaves half a step under its number. Its `AsyncCheckpointer`, which does the work, is.
"""
