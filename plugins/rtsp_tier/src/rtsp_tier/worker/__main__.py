"""Entry of the worker process. Messages come on stdin and go out on stdout; nothing else is written to stdout."""

import os
import sys

from rtsp_tier.worker.memory import return_memory


def main() -> int:
    """Run the worker until stdin ends; return its exit status."""
    return_memory()
    sink = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not look like a message

    from rtsp_tier.messages import MessageError
    from rtsp_tier.worker.program import Program, WorkerStuck
    from rtsp_tier.worker.threads import report

    _log_to_captures_only()
    try:
        Program(0, sink).run()
    except MessageError as error:
        sys.stderr.write(f"rtsp_tier.worker: {error}\n")
        return 2
    except (OSError, WorkerStuck) as error:
        sys.stderr.write(report(error) + "\n")
        return 1
    return 0


def _log_to_captures_only() -> None:
    """Let `av.logging.Capture` see libav's warnings. They go nowhere else: they name URLs with their passwords."""
    import logging

    import av.logging

    av.logging.set_libav_level(av.logging.WARNING)
    av.logging.set_level(av.logging.WARNING)
    av.logging.set_skip_repeated(False)
    logger = logging.getLogger("libav")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    # A thread that waits for a stream would delay the interpreter's end.
    os._exit(status)
