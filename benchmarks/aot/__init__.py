"""What the compilers of TPUs and GPUs make of a training step, without such a device.

`targets` says which chips there are, `programs` compiles a step for one in a process of its own,
`hlo` reads the program that comes out, `costs` counts what it computes and moves.
"""
