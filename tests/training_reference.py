"""Fine-tuning once more, in float64 with TensorFlow's gradients: what the core is checked against.

Written from the definitions of the options, not from the core's code; only what a seed draws
(order, dropout, mixup) follows the core's counters, through a Philox of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
PURPOSE = {"order": 1, "holdout": 2, "mixup": 3, "dropout": 4}


def philox(key: int, *counter: int) -> list[int]:
    """Philox4x32-10 (Salmon et al., SC 2011)."""
    c = list(counter)
    k = [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [
            (p1 >> 32) ^ c[1] ^ k[0],
            p1 & 0xFFFFFFFF,
            (p0 >> 32) ^ c[3] ^ k[1],
            p0 & 0xFFFFFFFF,
        ]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def shuffle(key: int, epoch: int, items: list[int], purpose: str = "order") -> list[int]:
    """Fisher and Yates from the end, four words of a counter at a time."""
    out, words = list(items), []
    for n, i in enumerate(range(len(out), 1, -1)):
        if n % 4 == 0:
            words = philox(key, n // 4, epoch, 0, PURPOSE[purpose])
        j = words[n % 4] * i >> 32
        out[i - 1], out[j] = out[j], out[i - 1]
    return out


@dataclass
class Graph:
    """Layers behind the boundary, with their parameters in float64."""

    layers: Sequence[Any]  # records with the fields of layer.h
    first: int
    biases_only: bool
    values: F64  # the bundle's parameters
    theta: list[Any] = field(default_factory=list)  # tf.Variables, in the core's order

    def __post_init__(self) -> None:
        import tensorflow as tf

        self._tf = tf
        self._weights: dict[int, tuple[Any, Any]] = {}
        for i, layer in list(enumerate(self.layers))[self.first :]:
            if not layer.weight_count:
                continue
            at = layer.weights
            w = self.values[at : at + layer.weight_count]
            b = self.values[at + layer.weight_count :][: layer.bias_count]
            weights, bias = tf.Variable(w, dtype=tf.float64), tf.Variable(b, dtype=tf.float64)
            self._weights[i] = weights, bias
            self.theta += [bias] if self.biases_only else [weights, bias]
        self.is_weight = [False] if self.biases_only else [True, False]

    def forward(self, x: Any, dropout: Any = None) -> Any:
        """Logits (classes,) of one example's features, flat."""
        tf = self._tf
        outputs = {self.layers[self.first].input: x}
        for i, layer in list(enumerate(self.layers))[self.first :]:
            value = outputs[layer.input]
            if dropout is not None and i == len(self.layers) - 1:
                value = tf.reshape(value, [-1]) * dropout
            shape = (1, layer.in_h, layer.in_w, layer.in_c)
            y = self._layer(i, layer, tf.reshape(value, shape), outputs)
            if layer.activation == 1:
                y = tf.nn.relu(y)
            elif layer.activation == 2:
                y = tf.clip_by_value(y, 0.0, 6.0)
            outputs[i + 1] = y
        return tf.reshape(y, [-1])

    def _layer(self, i: int, layer: Any, x: Any, outputs: dict[int, Any]) -> Any:  # noqa: PLR0911
        tf, kind = self._tf, int(layer.kind)
        if kind == 6:
            return x + tf.reshape(outputs[layer.other], x.shape)
        if kind == 1:
            weights, bias = self._weights[i]
            flat = tf.reshape(x, [-1])
            return tf.linalg.matvec(tf.reshape(weights, (layer.out_c, flat.shape[0])), flat) + bias
        window, stride = (layer.kernel_h, layer.kernel_w), (layer.stride_h, layer.stride_w)
        need = [
            (o - 1) * s + k
            for o, s, k in zip((layer.out_h, layer.out_w), stride, window, strict=True)
        ]
        before = (layer.pad_top, layer.pad_left)
        pads = [
            (b, max(0, n - b - size))
            for b, n, size in zip(before, need, (layer.in_h, layer.in_w), strict=True)
        ]

        def padded(value: Any, fill: float = 0.0) -> Any:
            out = tf.pad(value, [(0, 0), *pads, (0, 0)], constant_values=fill)
            return out[:, : need[0], : need[1]]

        if kind == 5:
            return tf.nn.max_pool2d(padded(x, -np.inf), window, stride, "VALID")
        if kind == 4:
            total = tf.nn.avg_pool2d(padded(x), window, stride, "VALID")
            return total / tf.nn.avg_pool2d(padded(tf.ones_like(x)), window, stride, "VALID")
        weights, bias = self._weights[i]
        if kind == 2:
            ohwi = tf.reshape(weights, (layer.out_c, *window, layer.in_c))
            kernel = tf.transpose(ohwi, (1, 2, 3, 0))
            return tf.nn.conv2d(padded(x), kernel, stride, "VALID") + bias
        kernel = tf.reshape(weights, (*window, layer.in_c, layer.out_c // layer.in_c))
        if stride[0] != stride[1]:  # TensorFlow's depthwise convolution has one stride
            dense = tf.concat(
                [
                    tf.nn.conv2d(
                        padded(x)[..., c : c + 1], kernel[:, :, c : c + 1], stride, "VALID"
                    )
                    for c in range(layer.in_c)
                ],
                axis=3,
            )
            return dense + bias
        strides = (1, *stride, 1)
        return tf.nn.depthwise_conv2d(padded(x), kernel, strides, "VALID") + bias


@dataclass
class Trained:
    """theta after each epoch, and each epoch's mean loss; ``ways`` that RelaxLoss went."""

    theta: list[F64]
    losses: list[float]
    held_out: list[float]
    clipped: int
    ways: set[str] = field(default_factory=set)


def train(  # noqa: PLR0912
    graph: Graph, features: F64, labels: NDArray[Any], members: Sequence[int], s: Any, epochs: int
) -> Trained:
    """Train ``epochs`` epochs; ``features`` (n, inputs) float64, ``members`` slots, ``s`` settings.

    All options but DP noise and augmentation.
    """
    tf = graph._tf
    classes = graph.layers[-1].out_c
    weights = [i % 2 == 0 and not graph.biases_only for i in range(len(graph.theta))]
    moment = [np.zeros(v.shape) for v in graph.theta]
    second = [np.zeros(v.shape) for v in graph.theta]
    held: list[int] = []
    pool = list(members)
    if s.holdout:
        pool = shuffle(s.seed, 0, pool, "holdout")
        n = max(1, len(pool) * s.holdout // 100)
        held, pool = pool[:n], pool[n:]
    out = Trained([], [], [], 0)
    updates, best, best_theta, worse, stopped = 0, np.inf, None, 0, False
    base = [v.numpy() for v in graph.theta]
    pruned = [np.zeros(v.shape, np.bool_) for v in graph.theta]
    for epoch in range(epochs):
        if stopped:
            out.theta.append(flat(graph))
            continue
        factor = 1.0
        if s.schedule == 1:
            factor = max(0.0, 1 - epoch / s.schedule_epochs)
        elif s.schedule == 2:
            factor = 0.5 * (1 + np.cos(np.pi * min(epoch / s.schedule_epochs, 1.0)))
        rate = s.learning_rate * factor
        order = shuffle(s.seed, epoch, pool)
        total = 0.0
        for start in range(0, len(order), s.batch):
            chosen = order[start : start + s.batch]
            gradient = [np.zeros(v.shape) for v in graph.theta]
            low = s.relax_loss and batch_loss(graph, features, labels, s, epoch, start, chosen) < (
                float(np.float32(s.relax_loss))
            )
            out.ways.add(("up", "flat")[epoch % 2] if low else "down")
            for position, slot in enumerate(chosen, start):
                x, target = features[slot], np.eye(classes)[labels[slot]]
                if s.mixup:
                    partner, mix = mixed(s, epoch, position, order)
                    x = mix * x + (1 - mix) * features[partner]
                    target = mix * target + (1 - mix) * np.eye(classes)[labels[partner]]
                smooth = target * (1 - s.label_smoothing) + s.label_smoothing / classes
                dropout = None
                if s.dropout:
                    dropout = tf.constant(factors(s, epoch, position, graph.layers[-1]))
                with tf.GradientTape() as tape:
                    log_p = tf.nn.log_softmax(graph.forward(tf.constant(x), dropout))
                    loss = objective(log_p, smooth, s, int(labels[slot]), bool(low), epoch)
                g = [np.asarray(v) for v in tape.gradient(loss, graph.theta)]
                total -= float(np.sum(target * log_p.numpy()))
                norm = np.sqrt(sum(float((v**2).sum()) for v in g))
                if s.clip_norm and norm > s.clip_norm:
                    g = [v * (s.clip_norm / norm) for v in g]
                    out.clipped += 1
                gradient = [a + v for a, v in zip(gradient, g, strict=True)]
            updates += 1
            for i, variable in enumerate(graph.theta):
                w = variable.numpy()
                mean = gradient[i] / len(chosen) + (s.l2 * w if weights[i] else 0.0)
                mean = mean + s.base_pull * (w - base[i])
                if s.optimizer == 1:
                    moment[i] = s.momentum * moment[i] + mean
                    step = moment[i]
                elif s.optimizer == 2:
                    moment[i] = s.momentum * moment[i] + (1 - s.momentum) * mean
                    second[i] = s.beta2 * second[i] + (1 - s.beta2) * mean**2
                    step = (moment[i] / (1 - s.momentum**updates)) / (
                        np.sqrt(second[i] / (1 - s.beta2**updates)) + 1e-7
                    )
                else:
                    step = mean
                variable.assign(np.where(pruned[i], 0.0, w - rate * step))
        if epoch + 1 >= s.compress_after:
            for variable, is_weight, gone in zip(graph.theta, weights, pruned, strict=True):
                if is_weight:
                    variable.assign(compressed(variable.numpy(), gone, s))
        out.losses.append(total / len(order))
        if s.patience:
            losses = [
                -float(tf.nn.log_softmax(graph.forward(tf.constant(features[i])))[labels[i]])
                for i in held
            ]
            now = float(np.mean(losses))
            out.held_out.append(now)
            if now < best:
                best, best_theta, worse = now, [v.numpy() for v in graph.theta], 0
            else:
                worse += 1
            stopped = worse >= s.patience
            if stopped and best_theta is not None:
                for variable, value in zip(graph.theta, best_theta, strict=True):
                    variable.assign(value)
        out.theta.append(flat(graph))
    return out


def objective(log_p: Any, target: F64, s: Any, label: int, low: bool, epoch: int) -> Any:
    """An example's loss, of which TensorFlow takes the gradient.

    Args:
        log_p: (classes,), log-probabilities.
        target: (classes,), with mixup and smoothing.
        s: settings.
        label: of the example, where it has one.
        low: whether RelaxLoss' mini-batch is below its level.
        epoch: counted from 0.
    """
    import tensorflow as tf

    loss = -tf.reduce_sum(target * log_p)
    p = tf.exp(log_p)
    if s.focal_loss:
        loss = loss * (1 - p[label]) ** s.focal_loss
    if low and epoch % 2 == 0:
        return -loss
    if low:
        own = float(p[label])
        flat_target = np.full(len(target), (1 - own) / (len(target) - 1))
        flat_target[label] = own
        return -tf.reduce_sum(flat_target * log_p)
    return loss + s.confidence_penalty * tf.reduce_sum(p * log_p)


def batch_loss(
    graph: Graph,
    features: F64,
    labels: NDArray[Any],
    s: Any,
    epoch: int,
    start: int,
    chosen: list[int],
) -> float:
    """Mean cross-entropy of a mini-batch."""
    tf, losses = graph._tf, []
    for position, slot in enumerate(chosen, start):
        dropout = None
        if s.dropout:
            dropout = tf.constant(factors(s, epoch, position, graph.layers[-1]))
        logits = graph.forward(tf.constant(features[slot]), dropout)
        losses.append(-float(tf.nn.log_softmax(logits)[labels[slot]]))
    return float(np.mean(losses))


def compressed(w: F64, gone: NDArray[np.bool_], s: Any) -> F64:
    """A layer's weights behind an epoch; ``gone``, those that are pruned, is brought up to date."""
    if s.prune:
        count = int(np.ceil(w.size * s.prune))
        gone |= np.abs(w) <= np.sort(np.abs(w), axis=None)[count - 1]
        w = np.where(gone, 0.0, w)
    if s.weight_bits:
        step = np.abs(w).max() / (2 ** (s.weight_bits - 1) - 1)
        w = np.rint(w / step) * step
    return w


def flat(graph: Graph) -> F64:
    """theta as one vector, in the core's order."""
    return np.concatenate([v.numpy().ravel() for v in graph.theta])


def factors(s: Any, epoch: int, position: int, last: Any) -> F64:
    """Dropout's factors on the last layer's inputs."""
    n = last.in_h * last.in_w * last.in_c
    words: list[int] = []
    for block in range((n + 3) // 4):
        words += philox(s.seed, block, epoch, position, PURPOSE["dropout"])
    uniform = (np.array(words[:n], np.uint64) >> np.uint64(8)).astype(np.float64) / 2**24
    rate = float(np.float32(s.dropout))
    return np.where(uniform < rate, 0.0, 1 / (1 - rate))


def mixed(s: Any, epoch: int, position: int, order: list[int]) -> tuple[int, float]:
    """Partner's slot and the example's own weight, drawn from Beta(alpha, alpha), alpha <= 1.

    Johnk's algorithm (Devroye 1986, section IX.3.5).
    """
    words = iter([w for b in range(17) for w in philox(s.seed, b, epoch, position, 3)])
    partner = order[next(words) * len(order) >> 32]
    alpha = float(np.float32(s.mixup))
    for _ in range(32):
        u, v = ((next(words) >> 9) + 0.5) / 2**23, ((next(words) >> 9) + 0.5) / 2**23
        x, y = u ** (1 / alpha), v ** (1 / alpha)
        if x + y <= 1:
            return partner, x / (x + y)
    return partner, 0.5
