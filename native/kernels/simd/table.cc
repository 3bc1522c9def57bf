// The table of vector kernels for one instruction set; compiled once for each (see native/CMakeLists.txt).
//
// DDSAS_INSTRUCTIONS names the set and its namespace, DDSAS_WIDTH floats fit a register, DDSAS_REGISTERS there are.
#include "kernels.h"
#include "mix.h"
#include "pointwise.h"
#include "pool.h"
#include "separable.h"

namespace ddsas {
namespace DDSAS_INSTRUCTIONS {

extern const Kernels table;
const Kernels table = {
    Path::DDSAS_INSTRUCTIONS,
    separable_scratch,
    pointwise_scratch,
    rectify,
    separable_forward,
    separable_backward,
    pointwise_forward,
    pointwise_backward,
    max_pool_forward,
    max_pool_backward,
    avg_pool_forward,
    avg_pool_backward,
    moments,
    mix_forward,
    mix_dot,
    channel_sum,
    whole_gradient,
};

}  // namespace DDSAS_INSTRUCTIONS
}  // namespace ddsas
