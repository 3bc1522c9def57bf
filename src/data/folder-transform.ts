/** How settings say that images of a folder are cropped and changed: at random to train on, in the centre to evaluate. */
import {
  type EvaluationTransform,
  imagenetEvaluation,
  imagenetTraining,
  type Normalisation,
  type TrainingTransform,
} from './image-transform.ts'

/** What is left to chance. */
export interface FolderAugmentation {
  readonly flip: boolean
  /** Smallest share of the image's area that a crop takes. */
  readonly crop: number
  /** Brightness, contrast, saturation, hue; zeros: colours stay. */
  readonly jitter: readonly [number, number, number, number]
}

/** Pixels of an image that is evaluated. */
export interface EvaluatedSize {
  readonly imageSize: number
  /** Of the shorter side from which the centre is cut; 0: in ImageNet's proportion. */
  readonly resize: number
}

/** RandomResizedCrop, flip and ColorJitter. */
export function folderTraining(
  size: number,
  normalisation: Normalisation,
  { flip, crop, jitter }: FolderAugmentation,
): TrainingTransform {
  const [brightness, contrast, saturation, hue] = jitter
  const still = jitter.every((most) => most === 0)
  return {
    ...imagenetTraining,
    ...normalisation,
    size,
    scale: [crop, 1],
    flip,
    jitter: still ? undefined : { brightness, contrast, saturation, hue },
  }
}

/** Resize and CenterCrop. */
export function folderEvaluation(size: EvaluatedSize, { mean, std }: Normalisation): EvaluationTransform {
  return { mean, std, size: size.imageSize, resize: resizeOf(size) }
}

/** Pixels of the shorter side from which the centre is evaluated. */
export function resizeOf({ imageSize, resize }: EvaluatedSize): number {
  const { size, resize: usual } = imagenetEvaluation
  return resize === 0 ? Math.round((imageSize * usual) / size) : Math.max(imageSize, resize)
}
