"""One of the processes of :func:`eieio.training.parallel.processes.run_processes`; a program.

It takes a folder, its rank, how many processes there are, the seconds that they have, whether they
are connected, and how many threads PyTorch has.
"""

import pickle
import sys
from datetime import timedelta
from pathlib import Path


def main() -> None:
    """Call the function that the folder holds, and leave its result there."""
    folder, rank, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    connected = sys.argv[5] == "1"
    job, arguments = pickle.loads((folder / "job").read_bytes())
    # What does not need PyTorch, which takes long to load, does without.
    if connected or "torch" in sys.modules:
        import torch

        torch.set_num_threads(int(sys.argv[6]))
        torch.use_deterministic_algorithms(True)
    if connected:
        from torch import distributed

        distributed.init_process_group(
            "gloo", store=distributed.FileStore(str(folder / "store"), count), rank=rank,
            world_size=count, timeout=timedelta(seconds=float(sys.argv[4])))
    result = pickle.dumps(job(rank, count, *arguments))
    if connected:
        # Nobody leaves while another one still wants something.
        distributed.barrier()
        distributed.destroy_process_group()
    (folder / f"result-{rank}").write_bytes(result)


if __name__ == "__main__":
    main()
