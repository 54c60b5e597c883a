"""What `train.py` and `eval.py` do: flags in, library calls out.

`flags` defines the flags under TF-Slim's names, `run` turns errors into one sentence and exit
code 2, `train` and `evaluate` hold the two programs.
"""
