"""Energy of operations and accesses, as the authors of the chip compare machines."""

from eieio.model.energy import EnergyTable

__all__ = ["EYERISS"]

#: Chen, Emer, Sze, ISCA 2016, table IV: 1, 1, 2, 6 and 200 for words of 16 bits, in units of a
#: multiply-accumulate of 16 bits, which is all multiplication here.
EYERISS = EnergyTable("Eyeriss, 65 nm", "MAC", multiply=4.0, add=0.0, register=2.0, array=4.0,
                      buffer=12.0, outer=400.0)
