// What most files take from libtorch and Node-API, compiled once for all of them where each is compiled by itself. Each file
// still includes what it uses.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <napi.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>
