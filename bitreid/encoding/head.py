"""A Ray cluster of this machine that ends with its standard input: `python -m bitreid.encoding.head [PROCESSORS]`.

Ray starts its processes with Python code between fork and exec, which now and then never returns in a process that
has threads of other libraries; this one has none.
"""

import logging
import sys
from typing import Any


def main() -> None:
    """Start a cluster, print its address, and wait."""
    import ray

    processors = int(sys.argv[1]) if len(sys.argv) > 1 else None
    started: Any = ray.init(  # not all of it is typed
        "local", num_cpus=processors, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
    )
    print(started.address_info["gcs_address"], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
