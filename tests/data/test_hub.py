from pathlib import Path

import pytest

from rethinker.data.hub import located
from rethinker.errors import DatasetError


def test_a_file_or_folder_that_is_here_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "set").mkdir()
    assert located("some/set") == Path("some/set")
    assert located(str(tmp_path / "some")) == tmp_path / "some"


@pytest.mark.parametrize("path", ["folder/rows.parquet", "/absolute/path", "one/two/three", "rows.parquet"])
def test_what_is_no_hub_name_is_never_asked_for(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", None)
    assert located(path) == Path(path)


def test_without_a_network_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DatasetError, match=r"hiyouga/geometry3k is no file or folder here, .*not be had from the hub"):
        located("hiyouga/geometry3k")
    with pytest.raises(DatasetError, match=r"hf download hiyouga/geometry3k .*; then set data\.path=FOLDER"):
        located("hiyouga/geometry3k")


def test_parquet_files_alone_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def fetch(name: str, **options: object) -> str:
        asked.update(options, name=name)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    assert located("some/set", revision="v1") == tmp_path
    assert asked == {"name": "some/set", "repo_type": "dataset", "revision": "v1", "allow_patterns": "*.parquet"}
