"""`masquerade doctor`: what works here, and the mend of what does not."""

from dataclasses import asdict
from pathlib import Path

import click

from .output import emit_json, note


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(as_json: bool) -> int:
    """What works here: torch and CUDA, faiss, decoders, optional packages, face nets, the mend.

    Ends with 0 unless something that every command needs is broken.

    \b
    Example:
      masquerade doctor
    """
    from ..core.health import checks
    from ..modalities.health import face_checks

    found = []
    for check in checks(Path.cwd(), face_checks()):
        found.append(check)
        if not as_json:
            mend = f"  → {check.mend}" if check.mend else ""
            line = f"{check.state:<8}{check.group:<11}{check.name:<24}{check.detail}{mend}"
            click.echo(line)
    broken = [check for check in found if check.fatal]
    if as_json:
        emit_json({"ok": not broken, "checks": [asdict(check) for check in found]})
    else:
        missing = sum(check.state == "missing" for check in found)
        note(f"{len(broken)} broken, {missing} optional packages missing")
    return 1 if broken else 0
