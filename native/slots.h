// The table of tensors that JavaScript names by an integer slot; used from the JavaScript thread only.
#pragma once

#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>

namespace ddsas {

/// Stores a tensor and returns its slot; the lowest freed slot is used first come, last freed.
int32_t put(at::Tensor tensor);

/// The tensor in a slot. Throws std::out_of_range naming the slot if it is empty (freed or never given).
at::Tensor& at_slot(int32_t slot);

/// Empties a slot. Throws like at_slot, so that a double free is an error and not a corruption.
void free_slot(int32_t slot);

/// How many slots are in use.
int32_t live_slots();

}  // namespace ddsas
