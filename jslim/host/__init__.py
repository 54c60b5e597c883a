"""The machine: its files, paths, processes and memory, and what is read from outside."""
