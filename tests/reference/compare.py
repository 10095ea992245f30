"""Compare today's tree with an earlier commit: the same commands by both, and everything that they write.

Tensors must be equal to the last bit and every number must be the same. What has another name stands in `renamed.py`;
a key, a file or a number that differs and stands in no table there is listed, and the exit code is then 1.

    python tests/reference/compare.py --reference ebf7f61 --workdir /tmp/compare
"""

import signal
import sys
from importlib import import_module
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # "tests" is a package only from there
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an end that removes the worktree
    sys.exit(import_module("tests.reference.harness").main())
