"""Where messages go: to a file for a stage of the workflow, to the terminal for the command line."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from danet.errors import UserError

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def stage(log: str) -> Iterator[None]:
    """Sends messages to the file `log`; a UserError ends the process with one line there and on stderr, exit code 2."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=log, filemode="w", level=logging.INFO, format=FORMAT)
    logging.captureWarnings(True)
    try:
        yield
    except UserError as error:
        logging.error("%s", error)
        print(f"danet: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        logging.exception("stopped")
        raise
