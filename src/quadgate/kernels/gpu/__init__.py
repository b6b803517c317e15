"""The LSTM on NVIDIA GPUs: Triton, CUDA C++ and a graph of steps, one signature."""
