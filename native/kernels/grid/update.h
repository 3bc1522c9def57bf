// Bodies of torch.optim.SGD with clipping by global norm, of torch.optim.Adam, and of the augmentation of images.
#pragma once

#include <math.h>

#include "grid.h"
#include "lanes.h"

namespace ddsas::grid {

/// v <- momentum v + g with g = clipped gradient + decay w; w <- w - rate v, or, after Nesterov, w - rate (g + momentum v).
struct SgdBody {
  Tensors to;
  Sgd how;

  DDSAS_BODY void operator()(int tensor, int64_t i) const {
    const float norm = *how.norm;
    if (!(norm - norm == 0)) return;  // infinite, or not a number
    const float scale = how.clip / (norm + 1e-6f);
    float *weight = to.weight[tensor] + i, *velocity = to.first[tensor] + i;
    const auto pushed = [&](float by) {
      float sum = how.momentum * by + how.decay * *weight;
      if (to.gradient[tensor] != nullptr) sum += (scale < 1 ? scale : 1.0f) * to.gradient[tensor][i];
      return sum;
    };
    const float moved = pushed(*velocity);
    *velocity = moved;
    *weight -= how.rate * (how.nesterov ? pushed(moved) : moved);
  }
};

/// m and v are running means of g and g^2 with g = gradient + decay w; w <- w - rate m^ / (sqrt(v^) + eps).
struct AdamBody {
  Tensors to;
  Adam how;

  DDSAS_BODY void operator()(int tensor, int64_t i) const {
    const double correction1 = 1 - pow(how.beta1, *how.steps), correction2 = sqrt(1 - pow(how.beta2, *how.steps));
    float *weight = to.weight[tensor] + i, *mean = to.first[tensor] + i, *square = to.second[tensor] + i;
    const float* given = to.gradient[tensor];
    const double gradient = (given != nullptr ? given[i] : 0.0f) + how.decay * *weight;
    *mean = static_cast<float>(how.beta1 * *mean + (1 - how.beta1) * gradient);
    *square = static_cast<float>(how.beta2 * *square + (1 - how.beta2) * gradient * gradient);
    const double root = sqrt(static_cast<double>(*square)) / correction2 + how.eps;
    *weight -= static_cast<float>(how.rate / correction1 * *mean / root);
  }
};

/// One pixel of one image: cropped, flipped, normalised, cut out. An index beyond the images gives zeros.
struct AugmentBody {
  Augment a;

  DDSAS_BODY void operator()(uint32_t index) const {
    const int x = index % a.width, y = index / a.width % a.height, image = index / (a.width * a.height);
    const int32_t* draw = a.draws + 5 * image;
    const int row = y + draw[0] - a.padding;
    const int column = (draw[2] != 0 ? a.width - 1 - x : x) + draw[1] - a.padding;
    const int half = a.cutout / 2, from_y = y - draw[3] + half, from_x = x - draw[4] + half;
    const bool hidden = draw[3] >= 0 && from_y >= 0 && from_y < 2 * half && from_x >= 0 && from_x < 2 * half;
    const int64_t source = a.indices[image];
    const bool known = source >= 0 && source < a.count;
    const bool inside = known && row >= 0 && row < a.height && column >= 0 && column < a.width;
    for (int c = 0; c < a.channels; ++c) {
      const int64_t from = ((source * a.channels + c) * a.height + row) * a.width + column;
      const float pixel = inside ? static_cast<float>(a.images[from]) : 0.0f;
      a.to[static_cast<int64_t>(index) * a.channels + c] = hidden || !known ? 0.0f : pixel * a.scale[c] + a.shift[c];
    }
  }
};

}  // namespace ddsas::grid
