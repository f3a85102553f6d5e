"""The process that hands a run's records to one tracking service: `python -m rethinker.runs.service_process SETTINGS`.

SETTINGS is a JSON object: `kind` (of `SERVICES`), `project`, `run`, `folder`, `settings`, `parent`. Records come over
stdin, a JSON object a line: `{"step", "metrics"}` or `{"step", "responses"}`. A record that the service does not take
is said on stderr, and the next one is tried. Ends with its input, or with its parent.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from rethinker.rewards.serving import die_with
from rethinker.runs.services import SERVICES, Account, Service


def main(argument: str) -> int:
    """Hand on records until there are no more; 1 if any was not taken."""
    given = json.loads(argument)
    die_with(given["parent"])
    records = os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())  # a library that asks for a key gets none
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    account = Account(
        project=given["project"], run=given["run"], folder=Path(given["folder"]), settings=given["settings"]
    )
    service = SERVICES[given["kind"]](account)
    refused = sum(not _handed_on(service, json.loads(line)) for line in records)
    service.close()
    return int(refused > 0)


def _handed_on(service: Service, record: dict[str, Any]) -> bool:
    try:
        if "metrics" in record:
            service.log(record["step"], record["metrics"])
        else:
            service.show(record["step"], record["responses"])
    except Exception as error:  # noqa: BLE001 (whatever a service's library raises, the next record may be taken)
        sys.stderr.write(f"step {record['step']} was not taken: {type(error).__name__}: {error}\n")
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
