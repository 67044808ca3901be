"""Sums of updates under homomorphic encryption: CKKS (Cheon et al. 2017) by TenSEAL.

Between a gateway, which has its devices' updates and the public key, and a server, which adds
ciphertexts and cannot read them; whoever has the secret key reads the sum. TenSEAL wraps Microsoft
SEAL and has wheels for every Python here; OpenFHE's wheels are tied to one Ubuntu each.
"""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinymia.errors import StudyError

DEGREE, PRIMES, SCALE_BITS = 4096, (55, 54), 40
"""The smallest ring that has 128-bit security beside numbers of that scale; sums need no levels, so
one prime holds them and the other is SEAL's own. The degree is SEAL-Embedded's, too."""

SEAL_EMBEDDED = {
    "source": "Natarajan and Dai, SEAL-Embedded, TCHES 2021(3)",
    "board": "nRF52840, Cortex-M4F at 64 MHz",
    "degree": 4096,
    "milliseconds": 737,
    "ram_bytes": 136 * 1024,
}
"""Published, not measured here: asymmetric encryption of one CKKS ciphertext on a Cortex-M4."""


@dataclass(frozen=True)
class Homomorphic:
    """What one round under encryption costs.

    Attributes:
        devices, parameters: of the sum.
        ciphertexts: that an update takes.
        bytes_up, bytes_down: of an encrypted update, and of the encrypted sum.
        bytes_context: of the public context, once.
        bytes_plain: of an update as float32.
        encrypt_ms, add_ms, decrypt_ms: of one update, of adding one, of reading the sum; here.
        worst_error: of a weight's mean, in units of the largest of them.
        m4_ms, m4_ram: what encrypting on a Cortex-M4 would take, **reckoned** from
            :data:`SEAL_EMBEDDED`: the published time for each ciphertext.
        m4_arena: bytes that this project's firmware has on its Cortex-M4 (STM32F405) in all.
    """

    devices: int
    parameters: int
    ciphertexts: int
    bytes_up: int
    bytes_down: int
    bytes_context: int
    bytes_plain: int
    encrypt_ms: float
    add_ms: float
    decrypt_ms: float
    worst_error: float
    m4_ms: float
    m4_ram: int
    m4_arena: int = 128 * 1024

    @property
    def fits_m4(self) -> bool:
        """Whether the published RAM is there."""
        return self.m4_ram <= self.m4_arena


def tenseal() -> Any:
    """TenSEAL; raises StudyError where it is not installed."""
    try:
        import tenseal as found
    except ImportError as error:
        raise StudyError(
            f"Homomorphic sums need the package tenseal: {error}.",
            "Install it with `pip install 'tinymia[homomorphic]'`; it needs Python 3.11 or newer.",
        ) from error
    return found


def aggregate(updates: NDArray[np.float64]) -> Homomorphic:
    """Encrypt updates one by one, add them under encryption, read the sum, and measure.

    Args:
        updates: (devices, P) float64.

    Raises:
        StudyError: TenSEAL is missing, or the sum is not that of the updates.
    """
    tenseal()  # before anything else: it may be missing
    return _elsewhere(updates) if "tensorflow" in sys.modules else _aggregate(updates)


# SEAL warns on standard output, so what is found goes another way.
_ALONE = """
import os, pickle, sys
found = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)
do, updates = pickle.load(sys.stdin.buffer)
pickle.dump(do(updates), found)
found.close()
"""


def _elsewhere(updates: NDArray[np.float64]) -> Homomorphic:
    """The same in a process of its own: TenSEAL writes nothing beside TensorFlow's protobuf."""
    done = subprocess.run(
        [sys.executable, "-c", _ALONE],
        input=pickle.dumps((_aggregate, updates)),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise StudyError(f"Homomorphic sums failed: {lines[-1] if lines else done.returncode}")
    found: Homomorphic = pickle.loads(done.stdout)  # of the process that this one began
    return found


def _aggregate(updates: NDArray[np.float64]) -> Homomorphic:
    library = tenseal()
    devices, count = updates.shape
    context = library.context(
        library.SCHEME_TYPE.CKKS, poly_modulus_degree=DEGREE, coeff_mod_bit_sizes=list(PRIMES)
    )
    context.global_scale = 2**SCALE_BITS
    public = context.serialize(save_secret_key=False)
    gateway = library.context_from(public)
    began = time.perf_counter()
    sent = [library.ckks_vector(gateway, row.tolist()).serialize() for row in updates]
    encrypted = time.perf_counter()
    whole = library.ckks_vector_from(gateway, sent[0])
    for other in sent[1:]:
        whole += library.ckks_vector_from(gateway, other)
    answer = whole.serialize()
    added = time.perf_counter()
    opened = library.ckks_vector_from(context, answer)
    found = np.array(opened.decrypt())
    read = time.perf_counter()
    wanted = updates.sum(axis=0)
    scale = max(float(np.abs(wanted).max()), 1e-12)
    worst = float(np.abs(found - wanted).max()) / scale
    if not worst < 0.1:
        raise StudyError(f"The decrypted sum is off by {worst:.2g} of its largest number.")
    texts = math.ceil(count / (DEGREE // 2))
    return Homomorphic(
        devices,
        count,
        texts,
        len(sent[0]),
        len(answer),
        len(public),
        4 * count,
        1e3 * (encrypted - began) / devices,
        1e3 * (added - encrypted) / max(1, devices - 1),
        1e3 * (read - added),
        worst,
        float(texts * SEAL_EMBEDDED["milliseconds"]),  # type: ignore[operator]
        int(SEAL_EMBEDDED["ram_bytes"]),  # type: ignore[call-overload]
    )
