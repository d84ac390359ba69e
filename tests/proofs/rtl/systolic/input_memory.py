"""Proofs of the input memory."""

from activation_words import follow_activation
from harness import Bug, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic import input_memory

BITS = 2

PROOFS = (
    Proof("input_memory", "systolic/input_memory.py",
          "two halves of 2 words of 4 activations of 2 bits, in two groups: each activation is "
          "what was written last to its half, or 0 if it is beyond the pixel's channels or is "
          "elsewhere",
          lambda: follow_activation(input_memory.InputMemory(SystolicConfig(
              rows=4, columns=4, lanes=2, activation_depth=4, input_depth=2)), BITS),
          replaced=((input_memory, "ACTIVATION_BITS", BITS),),
          bugs=(Bug("the half that is written is also the one that is read",
                    "Cat(self.read_half, self.read_addr)", "Cat(self.write_half, self.read_addr)"),
                Bug("all groups are written with the first",
                    "ram.write_en.eq(self.write_groups[group])",
                    "ram.write_en.eq(self.write_groups[0])"))),
)
