"""Fuzzing: any bytes for the readers of files, mutations of valid models, and random networks in every configuration.

    python -m tests.fuzz --minutes 60

runs all targets on all cores, guided by what of the package they reach; needs the extra `fuzz`. The tests here run each for a
moment, always with the same inputs.
"""
