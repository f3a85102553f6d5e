"""LogicVista's dataset.json."""

from fuzz.fenced import FOLDER
from rethinker.data.logicvista import LogicVistaSource
from rethinker.data.tables import open_table
from rethinker.errors import DataError, DatasetError

SEEDS = (
    b'{"0": {"question": "A or B?", "answer": "A, B", "imagename": "0.png", "skill": ["x"]}}',
    b'{"0": {"question": "q", "answer": "A", "imagename": "../../etc/passwd"}, "1": [], "": null}',
    b"[]",
)


def check(data: bytes) -> None:
    path = FOLDER / "dataset.json"
    path.write_bytes(data)
    try:
        source = LogicVistaSource(path)
    except DatasetError:
        return
    for index in range(min(len(source), 8)):
        try:
            source.outline(index)
        except DataError:
            continue
    assert len(open_table(path)) == len(source)
