#include "trainer.h"

namespace tinymia {

void Needs::Add(const TrainSettings& s) {
  gradient = gradient || s.batch != 1 || !IsPlain(s) || s.is_private();
  const uint32_t kept = s.optimizer == Optimizer::kAdam ? 2 : s.optimizer == Optimizer::kMomentum;
  moments = kept > moments ? kept : moments;
  best.Raise(s.patience > 0);
  dropout.Raise(s.dropout > 0);
  mixup.Raise(s.mixup > 0);
  clipping.Raise(s.clip_norm > 0);
  privacy.Raise(s.is_private());
  augmentation.Raise(s.augments());
  heads.Raise(s.heads);
  teaching.Raise(s.teacher_epochs > 0);
  own.Raise(s.teacher_epochs > 0 && s.references == 0);
  references.Raise(s.references);
  reshaped.Raise(IsReshaped(s));
  adversary.Raise(s.adversary > 0);
  rivalry.Raise(s.adversary_rate > 0);
  likeness.Raise(s.mmd > 0);
  stacking.Raise(s.stacking > 0);
  screening.Raise(s.screen > 0);
  slopes.Raise(adversary || likeness);
  objective.Raise(reshaped || slopes);
  bent.Raise(mixup || teaching || objective);
  batch_loss.Raise(s.relax_loss > 0 || rivalry || likeness);
  preparation.Raise(batch_loss || privacy);
  compression.Raise(s.weight_bits > 0 || s.prune > 0);
  shape.Raise(s.shaped > 0);
  pull.Raise(s.base_pull > 0);
}

template class Trainer<float>;

}  // namespace tinymia
