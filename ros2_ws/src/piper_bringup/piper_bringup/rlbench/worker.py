"""RLBench for two arms in its own environment, asked over a socket; `link.py` starts this and is the other end.

    python worker.py --root RLBENCH_ROOT --socket PATH [--image-px 128]

Runs in the Python that RLBench and PyRep are installed in (3.8, no ROS), which also needs msgpack, with the variables
that CoppeliaSim wants. Somebody listens at PATH. What the program prints, its C code included, goes to stderr. Ends
when the other end does. Not run against CoppeliaSim.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# A script's folder leads the path, where our names would hide others'. Ours come last instead.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
sys.path.append(str(Path(__file__).resolve().parents[2]))

try:
    from piper_bringup.rlbench.commands import Commands
    from piper_bringup.robotwin import serving
except ImportError as missing:
    sys.exit(f"worker: {sys.executable} lacks {missing.name}: pip install numpy msgpack there")

IMAGE_PX = 128  # PerAct2 evaluates with: peract_bimanual/conf/eval.yaml:11


def main() -> None:
    """Serves from the checkout's folder."""
    parser = argparse.ArgumentParser(description="RLBench for two arms over a socket")
    parser.add_argument("--root", type=Path, required=True, help="folder of the checkout of markusgrotz/RLBench")
    parser.add_argument("--socket", required=True, help="where somebody listens for this worker")
    parser.add_argument("--image-px", type=int, default=IMAGE_PX, help="side of its square pictures")
    arguments = parser.parse_args()
    if not 16 <= arguments.image_px <= 1024:
        parser.error(f"--image-px is {arguments.image_px}; valid: 16 to 1024")
    root = arguments.root.resolve()
    serving.run(arguments.socket, root, Commands(root, arguments.image_px).known)


if __name__ == "__main__":
    main()
