"""Files of benchmarks, of predictions and of verdicts: JSON, JSON lines, gzipped or not. The first byte says which."""

import gzip

from fuzz.fenced import FOLDER
from rethinker.errors import DatasetError
from rethinker.evaluation.predictions import read_predictions
from rethinker.evaluation.published import published_rows
from rethinker.evaluation.results import read_results

ENDINGS = {b"j": ".json", b"l": ".jsonl", b"J": ".json.gz", b"L": ".jsonl.gz", b"p": ".jsonl.gz"}
PACKED = gzip.compress(b'{"id": 1, "answer": 2}\n', mtime=0)
SEEDS = (
    b'j{"1": {"id": 1, "answer": "2", "image": "../secret.png"}}',
    b'j[{"id": "a", "answer": [1]}, 3]',
    b'l{"id": "a", "answer": null, "response": "r"}\n{"id": "b", "score": 1, "extracted": null, "labels": {"x": ["y"]}}',
    b'L{"id": "a", "score": 0.5, "extracted": "1", "tokens": 3, "sample": 1, "outcome": "error"}',
    b"p" + PACKED,
    b"p" + PACKED[:-9],
    b"p" + PACKED[:12] + b"\xff\xff\xff" + PACKED[15:],
)


class _Question:
    id = "a"


def check(data: bytes) -> None:
    kind, content = data[:1], data[1:]
    path = FOLDER / f"file{ENDINGS.get(kind, '.jsonl')}"
    path.write_bytes(gzip.compress(content, 1, mtime=0) if kind in b"JL" and kind else content)
    for read in (
        lambda: published_rows(path, needs=["id", "answer"]),
        lambda: read_predictions(path, [_Question()]),
        lambda: read_results(path),
    ):
        try:
            read()
        except DatasetError:
            continue
