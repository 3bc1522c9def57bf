// The table of tensors that JavaScript names by an integer slot: a vector and a list of its free places.
#include "slots.h"

#include <stdexcept>
#include <string>

namespace ddsas {

namespace {
std::vector<at::Tensor> table;
std::vector<int32_t> unused;
}  // namespace

int32_t put(at::Tensor tensor) {
  if (unused.empty()) {
    table.push_back(std::move(tensor));
    return static_cast<int32_t>(table.size() - 1);
  }
  const int32_t slot = unused.back();
  unused.pop_back();
  table[slot] = std::move(tensor);
  return slot;
}

at::Tensor& at_slot(int32_t slot) {
  if (slot < 0 || slot >= static_cast<int32_t>(table.size()) || !table[slot].defined())
    throw std::out_of_range("tensor slot " + std::to_string(slot) + " is empty: the tensor was disposed");
  return table[slot];
}

void free_slot(int32_t slot) {
  at_slot(slot) = at::Tensor();
  unused.push_back(slot);
}

int32_t live_slots() { return static_cast<int32_t>(table.size() - unused.size()); }

}  // namespace ddsas
