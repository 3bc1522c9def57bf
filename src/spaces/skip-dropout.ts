/** Dropout after skip connections (P-DARTS, section 3.3 of its paper): else a supernet takes them, which train fastest, for the best. */
import { dropout, functional, type Sequence } from '../nn/index.ts'

/** The layers of a candidate in a supernet; `skipDropout`: with a layer `dropout` after one that passes its input on unchanged. */
export function candidateLayers(layers: Sequence, skipDropout = false): Sequence {
  return skipDropout && layers.length === 0 ? [functional(dropout)] : layers
}
