"""What instructions take on a Cortex-M4 without wait states, as published.

The rules look at an instruction and the one that ran before it, which is how Arm states them:

- Arm 100166 (Cortex-M4 Technical Reference Manual) 3.3.1: the table of instructions;
- Arm 100166 3.3.2, "Load/store timings": how loads and stores overlap;
- Arm 100166 7.2.3: the FPU's instructions;
- GCC's ``config/arm/cortex-m4.md`` and ``cortex-m4-fpu.md``, which say the same for schedulers;
- measured, https://compendium.i-0.nl/docs/control-flow/branch_timing: a taken branch takes two
  cycles, three to an instruction of 32 bits that does not lie in one word.

Arm leaves a refill of the pipeline between one and three cycles; :data:`DIRECT` and
:data:`INDIRECT` say what is taken here. Where operands decide (a division takes 2 to 12 cycles) the
most is taken. Not modelled: that integer instructions go on while the FPU divides, conditional
instructions that are skipped (they count as if executed), and fetches that compete with loads.
"""

from __future__ import annotations

from tinymia.device.cycles.disassembly import Instruction

DIRECT = 1
"""Cycles of a refill after a branch whose target is in the instruction."""
INDIRECT = 2
"""Cycles of a refill after a branch to where a register says."""
LOADED = 3
"""Cycles of a refill after a branch to what a load brought, as 3.3.2 says of LDR PC."""
DIVISION = 12
"""Cycles of SDIV and UDIV: 2 to 12, by the operands."""
EXCEPTION = 12
"""Cycles to enter or leave an exception (Arm 100166 3.9)."""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DATA = _names(
    """adc add addw adr and asr bfc bfi bic clz cmn cmp cpsid cpsie eor lsl lsr mla mls mov movt
    movw mrs msr mul mvn neg nop orn orr pkhbt pkhtb qadd qadd16 qadd8 qasx qdadd qdsub qsax qsub
    qsub16 qsub8 rbit rev rev16 revsh ror rrx rsb sadd16 sadd8 sasx sbc sbfx sel sev shadd16 shadd8
    shasx shsax shsub16 shsub8 smlabb smlabt smlad smladx smlal smlalbb smlalbt smlald smlaldx
    smlaltb smlaltt smlatb smlatt smlawb smlawt smlsd smlsdx smlsld smlsldx smmla smmlar smmls
    smmlsr smmul smmulr smuad smuadx smulbb smulbt smull smultb smultt smulwb smulwt smusd smusdx
    ssat ssat16 ssax ssub16 ssub8 sub subw sxtab sxtab16 sxtah sxtb sxtb16 sxth teq tst uadd16 uadd8
    uasx ubfx uhadd16 uhadd8 uhasx uhsax uhsub16 uhsub8 umaal umlal umull uqadd16 uqadd8 uqasx uqsax
    uqsub16 uqsub8 usad8 usada8 usat usat16 usax usub16 usub8 uxtab uxtab16 uxtah uxtb uxtb16
    uxth"""
)
# Two results.
_LONG = _names(
    "smlal smlalbb smlalbt smlald smlaldx smlaltb smlaltt smlsld smlsldx smull umaal umlal umull"
)
_NO_RESULT = _names("cmn cmp cpsid cpsie msr nop sev teq tst")
_DIVIDE = _names("sdiv udiv")
_LOADS = _names("ldr ldrb ldrh ldrsb ldrsh ldrt ldrbt ldrht ldrsbt ldrsht ldrex ldrexb ldrexh vldr")
_STORES = _names("str strb strh strt strbt strht strex strexb strexh vstr")
_DOUBLE = _names("ldrd strd")
_LOAD_SEVERAL = _names("ldm ldmia ldmdb ldmfd ldmea pop vldm vldmia vldmdb vpop")
_STORE_SEVERAL = _names("stm stmia stmdb stmfd stmea push vstm vstmia vstmdb vpush")
_MEMORY = _LOADS | _STORES | _DOUBLE | _LOAD_SEVERAL | _STORE_SEVERAL
_BRANCHES = _names("b bl bx blx cbz cbnz")
_TABLE = _names("tbb tbh")
_IT = _names("it itt ite ittt itte itet itee") | frozenset(
    "it" + a + b + c for a in "te" for b in "te" for c in "te"
)
_BARRIERS = _names("dmb dsb isb wfi wfe svc bkpt udf pld clrex yield")
_FPU_ONE = _names("vabs vadd vcmp vcmpe vcvt vcvtr vmov vmrs vmsr vmul vneg vnmul vsub vcvtb vcvtt")
_FPU_MULTIPLY_ADD = _names("vmla vmls vfma vfms vnmla vnmls vfnma vfnms")
_FPU_LONG = _names("vdiv vsqrt")
# Those whose result the next instruction has a cycle later.
_FPU_LATE = _names("vadd vsub vmul vnmul vcvt vcvtr vcvtb vcvtt") | _FPU_MULTIPLY_ADD | _FPU_LONG
_FPU = _FPU_ONE | _FPU_MULTIPLY_ADD | _FPU_LONG
KNOWN = _DATA | _DIVIDE | _MEMORY | _BRANCHES | _TABLE | _IT | _BARRIERS | _FPU
"""Mnemonics with a timing, without conditions, flags and widths."""

_CYCLES = (
    dict.fromkeys(KNOWN, 1)
    | dict.fromkeys(_LOADS, 2)
    | dict.fromkeys(_DOUBLE | _TABLE | _FPU_MULTIPLY_ADD, 3)  # a table's: the load and the sum
    | dict.fromkeys(_FPU_LONG, 14)
    | dict.fromkeys(_DIVIDE, DIVISION)
)


def cycles(before: Instruction | None, here: Instruction) -> int:
    """Cycles of one instruction that runs behind another, memory without wait states.

    Args:
        before: what ran before it; None: not known, so nothing overlaps.
        here: the instruction.

    Returns:
        Its own cycles and, when ``before`` branched to it, those of the refill.

    Raises:
        DeviceError: it is none of the Cortex-M4's.
    """
    name = here.base(KNOWN)
    if before is None:
        return _alone(name, here)
    taken = before.address + before.size != here.address
    if taken:
        return _alone(name, here) + _refill(before, here)
    last = before.base(KNOWN)
    taking = _alone(name, here)
    if name in _IT:  # folded into an instruction of 16 bits
        return 0 if before.size == 2 else 1
    if name in _MEMORY:
        if here.address_registers & _computed(last, before):
            taking += 1  # nothing forwards a result to an address
        elif _overlap(last, before, name, here):
            taking = max(1, taking - 1)
    if last in _FPU_LATE and _consumes(name, here) & before.named(0, 1):
        taking += 1
    return taking


def _alone(name: str, here: Instruction) -> int:
    """An instruction's own cycles, when nothing overlaps and no branch is taken."""
    if name in _LOAD_SEVERAL | _STORE_SEVERAL:
        return 1 + len(here.listed)
    if name in _LOADS | _STORES and not _single(name, here):
        return 3
    if name in _STORES and here.offset_by_register:
        return 2
    if name == "vmov" and len(here.named(0)) > 2:
        return 2  # two registers at once
    return _CYCLES[name]


def _refill(before: Instruction, here: Instruction) -> int:
    """Cycles that the pipeline takes to go on at another place."""
    name = before.base(KNOWN)
    across = 1 if here.wide_across_words else 0
    if name in ("b", "bl", "cbz", "cbnz"):
        return DIRECT + across
    if name in ("bx", "blx"):
        return INDIRECT + across
    if name in _LOADS | _LOAD_SEVERAL | _TABLE:
        return LOADED
    if name in _DATA and "pc" in before.operands:
        return INDIRECT + across
    return EXCEPTION


def _single(name: str, here: Instruction) -> bool:
    """Whether a load or store moves one word (VLDR and VSTR of a double move two)."""
    return not (name in ("vldr", "vstr") and here.operands.startswith("d"))


def _overlap(last: str, before: Instruction, name: str, here: Instruction) -> bool:
    """Whether a load or store starts while the load before it still waits for its data."""
    return (
        (last in _LOADS and _single(last, before))
        and (name in _LOADS | _STORES and _single(name, here))
        and not here.address_registers & before.named(0, 1)
    )


def _computed(name: str, before: Instruction) -> frozenset[str]:
    """Core registers that a data-processing instruction has written."""
    if name in _DATA - _NO_RESULT | _DIVIDE:
        return before.named(0, 2 if name in _LONG else 1)
    if name == "vmov" and before.operands.startswith(("r", "ip", "lr")):
        return before.named(0, 2)
    return frozenset()


def _consumes(name: str, here: Instruction) -> frozenset[str]:
    """FPU registers that an instruction needs when it starts."""
    if name in _FPU_MULTIPLY_ADD:
        return here.named(1)  # its sum is needed a cycle later
    if name in ("vcmp", "vcmpe", "vstr"):
        return here.named(0, 1) | here.named(1)
    if name in _FPU:
        return here.named(1)
    return frozenset(here.listed) if name in _STORE_SEVERAL else frozenset()
