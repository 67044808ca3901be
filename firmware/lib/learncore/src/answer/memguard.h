// MemGuard (Jia et al., CCS 2019): an answer is changed until a classifier of members cannot tell.
#pragma once

#include "classifier.h"
#include "keyed.h"

namespace tinymia {

// Phase I: a fixed number of steps of the answer's logits down the classifier's output, each of a
// fixed length, which halves whenever that changes sign; the label is kept. Of all answers on the
// way the one counts that the classifier is least sure of. Phase II: it is given with the
// probability that keeps the expected distance from the true answer within `distortion`.
void Confuse(const Classifier& classifier, float distortion, const SecretKey& query, float* answer,
             uint32_t n, float* scratch);

}  // namespace tinymia
