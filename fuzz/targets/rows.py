"""Rows of a JSON-lines file, with pictures beside it; also as `rethinker data` selects and rewrites them."""

import io
import os

from fuzz.fenced import FOLDER
from fuzz.targets.pictures import SEEDS as PICTURES
from rethinker.data.encoded import ImageFile
from rethinker.data.jsonl import JsonlSource
from rethinker.data.tables import open_table
from rethinker.errors import DataError, DatasetError

HERE = FOLDER / "rows"
HERE.mkdir(exist_ok=True)
(HERE / "sub").mkdir(exist_ok=True)
(HERE / "a.png").write_bytes(PICTURES[0])
(FOLDER / "secret.png").write_bytes(PICTURES[0])
for name, there in (("link.png", "/etc/passwd"), ("up", ".."), ("pipe", "/dev/zero")):
    if not (HERE / name).is_symlink():
        os.symlink(there, HERE / name)

SEEDS = (
    b'{"question": "<image> how many?", "answer": "3", "image": "a.png", "id": "x"}\n{"problem": 1, "answer": 2.5}',
    b'{"question": "q", "answer": "B", "choices": ["1", "2"], "images": ["./sub/../a.png", null], "category": 7}',
    b'{"question": "q", "answer": "\\\\boxed{1/2}", "image": "link.png"}\n{"question": "\\ud800", "answer": "1"}',
    b'{"question": "q", "answer": "a", "image": "up/secret.png"}\n{"question":"q","answer":"a","image":"../secret.png"}',
    b'{"question": "q", "answer": "a", "image": "pipe"}\n{"question":"q","answer":"a","image":"http://a/b.png"}\nnull',
    b'{"question": "q", "answer": "a", "image": {"bytes": null, "path": "/etc/passwd"}, "verifier": "latex"}',
    b'{"question": "q", "answer": "a", "image": "data:image/png;base64,iVBORw0KGgo="}\n{"question": 1e999, "a": NaN}',
)


def check(data: bytes) -> None:
    path = HERE / "rows.jsonl"
    path.write_bytes(data)
    try:
        source = JsonlSource(path, max_pixels=10_000)
    except DatasetError:
        return
    for index in range(min(len(source), 8)):
        assert source.id(index)
        try:
            row = source.row(index)
            for image in row.images:
                if isinstance(image, ImageFile):
                    assert os.path.realpath(image.path).startswith(f"{HERE}{os.sep}"), image.path
            source.outline(index)
            problem = source[index]
        except DataError:
            continue
        assert problem.answer.strip() or problem.choices
    table = open_table(path)
    assert len(table) == len(source)
    table.write(io.BytesIO(), range(min(len(table), 4)), added={"rate": [0.5] * len(table)})
