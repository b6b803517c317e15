"""The compiled kernels for the processor."""
