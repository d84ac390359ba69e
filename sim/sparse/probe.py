"""Counts what the PEs of a sparse engine do, beside what its ports tell, for a trace of a run.

The module that :func:`probed_engine` writes passes all ports of the engine on, and looks into its
PEs.
"""

from eieio.model.sparse.config import SparseConfig
from eieio.rtl.sparse.entry_fetch import pair_layout
from eieio.sim.sparse.preload import pass_through

__all__ = ["PROBED", "probed_engine"]

#: Name of the module around the engine.
PROBED = "probed_engine"


def probed_engine(config: SparseConfig, engine: str) -> str:
    """Write a module around an engine in Verilog.

    Its ports are those of the engine, and ``decodes``, cycles in which a PE decodes, and
    ``empties``, those of them for an empty column, both summed over the PEs; and ``last_decode``,
    what ``running_cycles`` was in the last cycle in which a PE decoded.

    Parameters
    ----------
    config : SparseConfig
        Configuration of the engine.
    engine : :class:`str`
        Name of the engine's module.
    """
    ports, connections = pass_through(config)
    none = pair_layout(config)["none"].offset
    decodes = [f"engine.pe_{pe}.decode" for pe in range(config.pes)]
    decoding = ", ".join(f"{decode}.consume" for decode in decodes)
    empty = ", ".join(f"{decode}.pair[{none}] & ~{decode}.left_over" for decode in decodes)
    return f"""module {PROBED} (
{ports},
  output reg [47:0] decodes,
  output reg [47:0] empties,
  output reg [31:0] last_decode
);
  {engine} engine (
{connections}
  );
  wire [{config.pes - 1}:0] decoding = {{{decoding}}};
  wire [{config.pes - 1}:0] empty = decoding & {{{empty}}};
  reg [8:0] decoding_count, empty_count;
  integer pe;
  always @* begin
    decoding_count = 0;
    empty_count = 0;
    for (pe = 0; pe < {config.pes}; pe = pe + 1) begin
      decoding_count = decoding_count + decoding[pe];
      empty_count = empty_count + empty[pe];
    end
  end
  always @(posedge clk)
    if (rst) begin
      decodes <= 0;
      empties <= 0;
      last_decode <= 0;
    end else begin
      decodes <= decodes + decoding_count;
      empties <= empties + empty_count;
      if (|decoding) last_decode <= running_cycles;
    end
endmodule
"""
