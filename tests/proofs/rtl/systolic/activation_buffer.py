"""Proofs of the activation buffer."""

from activation_words import follow_activation
from harness import Bug, Proof

from eieio.model.systolic.config import SystolicConfig
from eieio.rtl.systolic import activation_buffer

BITS = 2

PROOFS = tuple(
    Proof(f"activation_buffer{'_beside' if beside else ''}", "systolic/activation_buffer.py",
          "4 words of 4 activations of 2 bits in two groups: each activation of a word is what was "
          "written last, or 0 if it is beyond the pixel's channels"
          + (" or the word elsewhere" if beside else ""),
          lambda beside=beside: follow_activation(activation_buffer.ActivationBuffer(SystolicConfig(
              rows=4, columns=4, lanes=2, activation_depth=4, input_depth=4 * beside)), BITS),
          replaced=((activation_buffer, "ACTIVATION_BITS", BITS),),
          bugs=(Bug("each word is taken for its pixel's last one",
                    "lanes = ~(unused & last.replicate(config.rows))", "lanes = ~unused"),
                Bug("a lane too few is beyond the channels", ">= config.rows - row",
                    "> config.rows - row"),
                Bug("all groups are written with the first",
                    "ram.write_en.eq(self.write_groups[group])",
                    "ram.write_en.eq(self.write_groups[0])")))
    for beside in (False, True))
