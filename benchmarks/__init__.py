"""What jslim costs: `python -m benchmarks` runs all, `python -m benchmarks.step` one of them.

NOTES.md says what was measured so far, and on what.
"""
