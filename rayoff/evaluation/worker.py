"""What a process for evaluations runs: ``python -m rayoff.evaluation.worker DESCRIPTOR``.

It is told the arguments of its ``Simulation`` first, then lists of jobs, each of which it
answers by the list of what was earned, and ends with the pipe.
"""

import signal
import sys
from multiprocessing.connection import Connection

from rayoff.evaluation.simulation import Simulation


def main(descriptor: int) -> None:
    """Serve until the other end of the pipe is closed.

    Args:
        descriptor: of the pipe, as this process has it.
    """
    # A terminal and `timeout` signal all processes of a group. The trial decides what it still
    # needs; this process ends with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    with Connection(descriptor) as connection:
        try:
            simulation = Simulation(*connection.recv())
            while True:
                jobs = connection.recv()
                connection.send([simulation.rollout(policy, seeds) for policy, seeds in jobs])
        except (EOFError, ConnectionError):
            return


if __name__ == "__main__":
    main(int(sys.argv[1]))
