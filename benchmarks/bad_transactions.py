"""Sends random bad transactions to an engine in its shell, and checks what becomes of them.

    python benchmarks/bad_transactions.py --transactions 1040 --seed 0
    python benchmarks/bad_transactions.py --engine systolic --transactions 1040

Transactions are truncated, corrupted, foreign, too long, in the wrong order, or cut off by a reset
(:mod:`eieio.sim.bad_transactions`). Each must give its error code or bus response; the inference
that follows must be right, and its counters, too. Batches alternate between streams and buses that
never stall and ones that stall at random. Exits with status 1 if anything differs. The engine is
built into the cache (``EIEIO_CACHE``, or else ``build/cache``): the first run takes longer.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from eieio.sim.bad_transactions import BadTransactions
from eieio.sim.runner import SimulationError
from eieio.sim.shell_session import build_shell
from eieio.sim.sparse import session as sparse
from eieio.sim.systolic import session as systolic

BATCH = 130
STALLS = (0.0, 0.2, 0.5)
TIMEOUT = 3600
ENGINES = {"sparse": (sparse.CONFIG, sparse.small_session),
           "systolic": (systolic.CONFIG, systolic.small_session)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transactions", type=int, default=1040,
                        help="bad transactions in all (default: 1040)")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything (default: 0)")
    parser.add_argument("--engine", choices=list(ENGINES), default="sparse",
                        help="engine (default: sparse)")
    options = parser.parse_args()

    started = time.monotonic()
    config, make_session = ENGINES[options.engine]
    build = build_shell(config)
    counts: Counter[str] = Counter()
    transfers: Counter[str] = Counter()
    failures = 0
    for batch in range(-(-options.transactions // BATCH)):
        session = make_session(options.seed * 1000 + batch)
        transactions = BadTransactions(session, options.seed * 1000 + batch)
        transactions.add(min(BATCH, options.transactions - batch * BATCH))
        with tempfile.TemporaryDirectory() as folder:
            try:
                shown = session.run(build, Path(folder), stall=STALLS[batch % len(STALLS)],
                                    timeout=TIMEOUT)
            except (SimulationError, AssertionError) as error:
                print(f"Batch {batch}: {error}", file=sys.stderr)
                failures += 1
                continue
        counts += transactions.counts
        transfers += Counter(shown["transfers"])
    print("| transaction | times |\n|---|---:|")
    for kind, count in sorted(counts.items()):
        print(f"| {kind.replace('_', ' ')} | {count} |")
    print(f"\n{counts.total()} bad transactions, each with its error and a right inference after "
          f"it; {transfers['read data']} reads, {transfers['write response']} writes, "
          f"{transfers['output']} beats of output; batches that failed: {failures}")
    print(f"took {time.monotonic() - started:.0f} s", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
