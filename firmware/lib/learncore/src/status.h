// Generated from firmware/protocol/protocol.toml. Do not edit.
// clang-format off
#pragma once

#include <stdint.h>

namespace tinymia {

enum class Status : uint8_t {
  kOk = 0,
  kBadRequest = 1,  // the board does not know this request or its length is wrong
  kNoBundle = 2,  // the board has no bundle
  kNoTail = 3,  // the board's bundle is a complete model without a trainable tail
  kBadSlot = 4,  // slot {a} is outside what the sample store holds ({b})
  kBadLabel = 5,  // label {a} is not one of the model's {b} classes
  kBadWindow = 6,  // a window of {a} bytes was sent, the model takes {b}
  kBadSetting = 7,  // training setting number {a} is out of range, by itself or beside the others
  kStepMismatch = 8,  // training was asked to go on at epoch {a}, the board stands at {b}
  kNoMembers = 9,  // no stored window is selected for training
  kBadPolicy = 10,  // there is no output policy {a} with {b} levels
  kBadLayer = 11,  // training cannot start at layer {a} of {b}
  kStoreTooLarge = 12,  // training like this leaves room for {b} windows, {a} are stored
  kWholeWindowsNeeded = 13,  // augmentation changes whole windows, but the store keeps what layer {a} reads
  kPrivacyRequired = 14,  // the bundle's privacy budget allows DP-SGD only, with at least its noise and at most its sampling rate, batch / expected_members (setting {a})
  kBudgetSpent = 15,  // {a} more steps of DP-SGD were asked for, the privacy budget has {b} left
  kNoEntropy = 21,  // the chip's generator of random numbers failed
  kAnswerTooLong = 22,  // answers of {a} bytes do not fit in a frame of {b}
  kNotInRelease = 23,  // a release build does not answer request {a}, which would tell data or weights
  kBudgetNeeded = 24,  // a release build trains under a privacy budget only, and the bundle has none
  kPolicyForbidden = 25,  // a release build answers under the bundle's output policy only: number {a}, with {b} levels
  kBadPart = 26,  // a part of a window was sent for byte {a}, byte {b} comes next
  kTrainingLeftOut = 27,  // this image was built without what trains layers from number {a} of {b} on
  kSettingLeftOut = 30,  // this image was built without training setting number {a}
  kGuardLeftOut = 31,  // this image was built without what guards answers
  kUpdatesLeftOut = 29,  // this image was built without what makes updates
  kNoShared = 51,  // of the shared tail {a} of {b} parameters are there
  kUpdateTooLarge = 52,  // the update does not fit: its parameter {a} needs more than {b} bytes
  kUpdateForbidden = 53,  // the bundle's rule for updates forbids this one: term {a} of the rule (1 clip norm, 2 noise, 3 masks, 4 number of updates; 0: there is no rule)
  kBadUpdate = 54,  // setting {a} of the update is out of range (1 clip norm, 2 units, 3 noise, 4 bytes a value; 5: a parameter of the shared tail is no number)
  kRoundOpen = 55,  // what was trained for an update answers nobody
  kNoMasks = 56,  // this firmware was built without masks for updates
  kBadPeer = 57,  // peer {a} cannot be: there is room for {b}, each is announced once behind MASK, and none is the board itself
  kBadShare = 58,  // the share for peer {a} is refused (1 it is not what that peer sealed, 2 the other kind was given, 3 no masked update was given: reason {b})
  kBundleTruncated = 16,  // the bundle on the board is truncated: it says {a} bytes, {b} are there
  kBundleVersion = 17,  // the bundle on the board has format version {a}, the firmware reads {b}
  kBundleChecksum = 18,  // the bundle on the board is damaged (checksum {a:#010x} instead of {b:#010x})
  kBundleMalformed = 19,  // the bundle on the board is malformed (section {a})
  kTailMismatch = 20,  // the tail takes {a} inputs, the backbone gives {b}
  kModelTruncated = 32,  // the model in the bundle is truncated (operator {a}, tensor {b}; 65535: neither)
  kModelMalformed = 33,  // the model in the bundle is not a valid .tflite file (operator {a}, tensor {b}; 65535: neither)
  kModelUnsupportedOp = 34,  // operator {a} of the model is number {b} of the .tflite schema, which the firmware does not have, or not in this variant
  kModelUnsupportedType = 35,  // operator {a} of the model has a tensor, number {b}, that is not int8, or a quantisation that the firmware does not have (65535: none)
  kModelUnsupportedShape = 36,  // operator {a} of the model has a tensor, number {b}, of a shape that the firmware does not have (65535: none)
  kArenaTooSmall = 37,  // the bundle needs {a} bytes of arena, the board has {b}
  kModelEnds = 38,  // the model has {a} inputs and {b} outputs, the firmware takes one of each
  kModelOpLeftOut = 40,  // operator {a} of the model is number {b} of the .tflite schema, which this image was built without
  kModelBiasScale = 39,  // operator {a} of the model has a bias, tensor {b}, whose scale is not that of its input times that of its weights
  kNoShape = 41,  // noise can be shaped where the last layer alone is trained, weights too, and the bundle holds a public shape ({b} rows), not from layer {a}
  kNoReferences = 42,  // training is to learn from {a} references at the layer where it starts, the bundle has {b} (MMD counts those with labels alone)
  kOneLayerOnly = 43,  // several heads were asked for, but training starts at layer {a} of {b}
  kBadGuard = 48,  // answer setting number {a} is out of range, by itself or beside the others
  kNoClassifier = 49,  // answers are to be guarded, or training is to be held against, classifier {a}, the bundle has {b}
  kAnswersSpent = 50,  // {a} answers were asked for, {b} are left
  kOddQuestions = 59,  // the questions of late are none that ordinary use asks (reason {a}: 1 changed copies of each other, 2 no signal), so the device answers no more
};

}  // namespace tinymia
