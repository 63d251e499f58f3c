# What several kernels and Python must agree on: kernels cimport it from here, Python imports it from fastconv._constants. What is
# one kernel's own is in a `cpdef enum` of its file: Python reads it from the kernel's module. None of these enums has a name, as
# Python would make a class of it, which takes 0.2 ms.

cpdef enum:
    AXES = 6  # of a strided arrangement
    OFFSET_BITS = 48  # of an operand's address, below the base; see step.pxd
    WIDEST_PANEL = 3  # blocks of output channels that go through the register tile together

# how the packed weights of a matrix are stored
cpdef enum:
    FLOAT32_WEIGHTS
    BF16_WEIGHTS
    FLOAT16_WEIGHTS

# the kinds of activations, see activation.pxd
cpdef enum:
    CLIP
    LEAKY_RELU
    SIGMOID
    SILU
    TANH
    HARD_SIGMOID
    HARD_SWISH
    ELU
    SOFTPLUS
    FAKE_QUANTIZE
