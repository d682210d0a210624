"""A command line in a process of its own: what the process tests start."""

import os
import resource
import sys
from pathlib import Path

from masquerade.cli.main import call


def run(words, errors=None, file_bytes=None):
    """Run `masquerade WORDS`, stderr to the file `errors`, files limited to `file_bytes`."""
    os.setsid()
    if errors is not None:
        sys.stderr = Path(errors).open("w", buffering=1)  # noqa: SIM115 - as long as the process
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    sys.exit(call(words))


def hold(folder, unit, told):
    """Claim a unit and keep it until killed."""
    from masquerade.generators.engine.folder import Claims

    claims = Claims(folder)
    told.send(claims.take(unit))
    told.recv()
