"""Random numbers seeded for each test, so that they do not depend on the tests that ran before.

RNG = generator(__name__)
"""

import zlib

import numpy as np

_generators: dict[str, np.random.Generator] = {}


def generator(module):
    """A module's generator: seeded by the module's name while it is imported, and anew for each test, see `reseed`."""
    return _generators.setdefault(module, np.random.default_rng(zlib.crc32(module.encode())))


def reseed(test):
    """Seed every module's generator by the module and the test; conftest.py calls this before each test."""
    for module, rng in _generators.items():
        seed = [zlib.crc32(name.encode()) for name in (module, test)]
        rng.bit_generator.state = np.random.default_rng(seed).bit_generator.state
