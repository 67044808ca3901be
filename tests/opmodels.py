"""Small int8 models, one a kernel feature, made with the TensorFlow converter."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """A Keras graph `build(layers, input)` for inputs of `shape` (without the batch)."""

    name: str
    shape: tuple[int, ...]
    build: Callable[[Any, Any], Any]
    per_tensor_dense: bool = True
    batch: int = 1


def _conv(filters: int, kernel: Any, **options: Any) -> Callable[[Any, Any], Any]:
    return lambda k, x: k.layers.Conv2D(filters, kernel, bias_initializer="normal", **options)(x)


def _depthwise(kernel: Any, **options: Any) -> Callable[[Any, Any], Any]:
    return lambda k, x: k.layers.DepthwiseConv2D(kernel, bias_initializer="normal", **options)(x)


def _dense(units: int, **options: Any) -> Callable[[Any, Any], Any]:
    return lambda k, x: k.layers.Dense(units, bias_initializer="normal", **options)(x)


def _residual(k: Any, x: Any) -> Any:
    y = k.layers.Conv2D(5, 3, padding="same", activation="relu")(x)
    z = k.layers.Conv2D(5, 3, padding="same")(y)
    z = k.layers.ReLU()(k.layers.Add()([y, z]))
    z = k.layers.Add()([z, y, k.layers.Conv2D(5, 1)(x)])
    return k.layers.GlobalAveragePooling2D()(z)


def _har(k: Any, x: Any) -> Any:
    x = k.layers.Conv2D(16, (5, 1), strides=(2, 1), padding="same", activation="relu")(x)
    x = k.layers.Conv2D(32, (3, 1), padding="same", activation="relu")(x)
    x = k.layers.MaxPooling2D((2, 1))(x)
    x = k.layers.SeparableConv2D(33, (3, 1), activation="relu6")(x)
    x = k.layers.GlobalAveragePooling2D()(x)
    x = k.layers.Dense(24, activation="relu")(x)
    return k.layers.Dense(7, activation="softmax")(x)


def _conv1d(k: Any, x: Any) -> Any:
    x = k.layers.Conv1D(7, 3, dilation_rate=2, padding="causal", activation="relu")(x)
    x = k.layers.MaxPooling1D(2)(x)
    x = k.layers.Flatten()(x)
    return k.layers.Dense(5)(x)


def _relus(k: Any, x: Any) -> Any:
    # Pooling between keeps the converter from fusing the activation into a layer.
    x = k.layers.MaxPooling2D(2)(x)
    x = k.layers.ReLU()(x)
    x = k.layers.AveragePooling2D(2, strides=1)(x)
    return k.layers.ReLU(max_value=6.0)(x)


def _pads(k: Any, x: Any) -> Any:
    import tensorflow as tf

    class Pad(k.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            x = tf.pad(x, [[0, 0], [1, 0], [2, 1], [0, 0]])
            return tf.pad(x, [[0, 0], [0, 1], [0, 0], [1, 2]])

    return Pad()(x)


def _broadcast(k: Any, x: Any) -> Any:
    # (1, 4, 5, 3) + (1, 1, 1, 3) + (1, 4, 1, 3) + a constant of shape (3,)
    import tensorflow as tf

    class Sum(k.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            total = x + tf.reduce_mean(x, [1, 2], keepdims=True)
            total = tf.reduce_mean(x, [2], keepdims=True) + total
            return tf.nn.relu(total + tf.constant([0.5, -1.5, 2.0]))

    return Sum()(x)


def _means(k: Any, x: Any) -> Any:
    import tensorflow as tf

    class Means(k.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            x = tf.reduce_mean(x, axis=1)
            return tf.reduce_mean(x, axis=-1)

    return Means()(x)


def _squeeze(k: Any, x: Any) -> Any:
    import tensorflow as tf

    class Shapes(k.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            x = tf.expand_dims(x, 1)
            x = tf.nn.max_pool2d(x, 2, 1, "SAME")
            return tf.squeeze(x, [1])

    return Shapes()(x)


CASES = [
    Case("conv_har_same", (50, 1, 6), _conv(16, (5, 1), padding="same", activation="relu")),
    Case("conv_har_valid_stride", (50, 1, 6), _conv(9, (5, 1), strides=(2, 1))),
    Case("conv_3x3_same_c1", (7, 6, 1), _conv(4, 3, padding="same", activation="relu6")),
    Case("conv_3x3_stride2_c3", (9, 8, 3), _conv(5, 3, strides=2, padding="same")),
    Case("conv_dilated_c4", (11, 9, 4), _conv(3, (3, 2), dilation_rate=(2, 3))),
    Case("conv_dilated_same_c5", (6, 7, 5), _conv(2, 3, dilation_rate=2, padding="same")),
    Case("conv_1x1_c7", (5, 3, 7), _conv(6, 1, activation="relu")),
    Case("conv_1x1_stride_c8", (5, 7, 8), _conv(3, 1, strides=2)),
    Case("conv_whole_c9", (4, 5, 9), _conv(3, (4, 5), use_bias=False)),
    Case("conv_wide_kernel_c2", (6, 9, 2), _conv(3, (1, 5), strides=(1, 3), padding="same")),
    Case("conv_groups", (6, 5, 6), _conv(9, 3, groups=3, padding="same")),
    Case("conv_batch", (5, 4, 3), _conv(4, 3, padding="same"), batch=3),
    Case("depthwise_3x3_c1", (7, 6, 1), _depthwise(3, padding="same")),
    Case("depthwise_3x3_c6", (7, 6, 6), _depthwise(3, padding="same", activation="relu6")),
    Case("depthwise_5x1_c9", (50, 1, 9), _depthwise((5, 1), strides=(2, 2), padding="same")),
    Case("depthwise_dilated_c8", (9, 9, 8), _depthwise(3, dilation_rate=2, padding="same")),
    Case("depthwise_multiplier_c3", (6, 6, 3), _depthwise(3, depth_multiplier=3)),
    Case("depthwise_multiplier_c1", (6, 6, 1), _depthwise((2, 3), depth_multiplier=5)),
    Case("dense_per_tensor", (33,), _dense(10, activation="relu")),
    Case("dense_per_channel", (33,), _dense(10, activation="relu"), per_tensor_dense=False),
    Case("dense_small_no_bias", (3,), _dense(2, use_bias=False)),
    Case("dense_rows", (6, 10), _dense(7), per_tensor_dense=False),
    Case("average_pool_same", (7, 5, 5), lambda k, x: k.layers.AveragePooling2D(3, 2, "same")(x)),
    Case("max_pool_same", (7, 5, 7), lambda k, x: k.layers.MaxPooling2D((2, 3), 2, "same")(x)),
    Case("mean_spatial", (6, 5, 6), lambda k, x: k.layers.GlobalAveragePooling2D()(x)),
    Case("mean_long", (600, 1, 5), lambda k, x: k.layers.GlobalAveragePooling2D(keepdims=True)(x)),
    Case("mean_axes", (6, 5, 3), _means),
    Case("softmax_7", (7,), lambda k, x: k.layers.Softmax()(x)),
    Case("softmax_rows", (5, 40), lambda k, x: k.layers.Softmax()(x)),
    Case("softmax_500", (500,), lambda k, x: k.layers.Softmax()(x)),
    Case("add_residual", (8, 7, 4), _residual),
    Case("add_broadcast", (4, 5, 3), _broadcast),
    Case("relu_alone", (8, 8, 3), _relus),
    Case("pad", (4, 3, 3), _pads),
    Case("shapes", (5, 3), _squeeze),
    Case("conv1d_chain", (20, 3), _conv1d),
    Case("har_network", (50, 1, 6), _har),
]


def build(case: Case) -> bytes:
    """The case as an int8 .tflite file; the same bytes every time up to the converter's."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    seed = sum(case.name.encode())
    keras.utils.set_random_seed(seed)
    inputs = keras.Input(case.shape, batch_size=case.batch)
    model = keras.Model(inputs, case.build(keras, inputs))
    rng = np.random.default_rng(seed)

    def samples() -> Any:
        for _ in range(8):
            batch = rng.normal(0.3, 2.0, (case.batch, *case.shape))
            yield [batch.astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel_quantization_for_dense_layers = (
        case.per_tensor_dense
    )
    return bytes(converter.convert())
