"""`rethinker watch`: the page of a run that goes on, for who knows the token, through kills and resumes."""

from __future__ import annotations

import json
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.made_runs import make_run
from tests.pages import Open

from rethinker.errors import ConfigError, RunFolderError
from rethinker.report.reading import RunReader
from rethinker.report.watching import LONGEST_SECONDS, SECONDS, LiveRun, Watch, open_server, pause_after

STEPS = 6

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever the machine's proxy


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    make_run(folder, steps=STEPS, groups=2, problems=4)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "live"
    (folder / "rollouts" / "images").mkdir(parents=True)
    return folder


def go_on(whole: Path, run: Path, first: int, last: int) -> None:
    """Let the run do steps `first` to `last` of the whole one."""
    shutil.copy(whole / "config.yaml", run)
    shutil.copytree(whole / "rollouts" / "images", run / "rollouts" / "images", dirs_exist_ok=True)
    lines = (whole / "metrics.jsonl").read_text().splitlines(keepends=True)
    with (run / "metrics.jsonl").open("a") as file:
        for step in range(first, last + 1):
            shutil.copy(whole / "rollouts" / f"{step:06d}.jsonl.gz", run / "rollouts")
            file.write(lines[step - 1])


def begun(live: LiveRun) -> tuple[str, int]:
    """What a page that was loaded now would hold: mark and seen."""
    text = live.page()
    data = text.split('id="data">')[1].split("</script>")[0]
    told = json.loads(data)["live"]
    return told["mark"], told["seen"]


def test_page_is_told_of_new_steps_alone(whole: Path, run: Path) -> None:
    go_on(whole, run, 1, 2)
    live = LiveRun(RunReader(run))
    mark, seen = begun(live)
    assert live.changes(after=2, mark=mark, seen=seen, ended=False) == {"changed": False}
    go_on(whole, run, 3, 4)
    news = live.changes(after=2, mark=mark, seen=seen, ended=False)
    assert news["metrics"]["step"] == [3, 4]
    assert {group["step"] for group in news["rollouts"]["groups"]} == {3, 4}
    assert news["seen"] == 4
    shutil.copy(whole / "summary.json", run)
    assert live.changes(after=4, mark=news["mark"], seen=4, ended=False)["summary"]["problems"] == 1000
    assert live.changes(after=4, mark=news["mark"], seen=4, ended=True) == {"changed": False}


def test_a_page_whose_answers_cost_more_asks_less_often() -> None:
    """Half a percent of a core, as far as the longest pause allows."""
    assert pause_after(0.001) == SECONDS
    assert pause_after(0.05) == 10
    assert pause_after(5.0) == LONGEST_SECONDS


def test_half_written_line_waits_for_its_end(whole: Path, run: Path) -> None:
    go_on(whole, run, 1, 2)
    live = LiveRun(RunReader(run))
    mark, seen = begun(live)
    line = (whole / "metrics.jsonl").read_text().splitlines(keepends=True)[2]
    with (run / "metrics.jsonl").open("a") as file:
        file.write(line[:40])
        file.flush()
        assert live.changes(after=2, mark=mark, seen=seen, ended=False) == {"changed": False}
        file.write(line[40:])
    assert live.changes(after=2, mark=mark, seen=seen, ended=False)["metrics"]["step"] == [3]


def test_page_that_holds_what_a_resume_cut_back_is_made_anew(whole: Path, run: Path) -> None:
    go_on(whole, run, 1, 4)
    live = LiveRun(RunReader(run))
    mark, seen = begun(live)
    kept = (run / "metrics.jsonl").read_text().splitlines(keepends=True)[:2]
    (run / "aside").write_text("".join(kept))
    (run / "aside").replace(run / "metrics.jsonl")
    for step in (3, 4):
        (run / "rollouts" / f"{step:06d}.jsonl.gz").unlink()
    assert live.changes(after=4, mark=mark, seen=seen, ended=False) == {"anew": True}
    assert begun(live)[1] == 2


def test_run_without_a_step_can_be_watched(run: Path) -> None:
    (run / "config.yaml").write_text("seed: 0\n")
    live = LiveRun(RunReader(run))
    mark, seen = begun(live)
    assert live.changes(after=0, mark=mark, seen=seen, ended=False) == {"changed": False}


@pytest.fixture
def served(whole: Path, run: Path) -> Iterator[Watch]:
    go_on(whole, run, 1, 3)
    with open_server(run, host="127.0.0.1", port=0, token=None) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def fetched(url: str) -> tuple[int, str]:
    try:
        with DIRECT.open(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_nobody_sees_anything_without_the_token(served: Watch) -> None:
    bare = served.url.partition("?")[0]
    assert fetched(bare)[0] == 403
    assert fetched(f"{bare}?token=wrong")[0] == 403
    assert fetched(f"{bare}changes?after=0")[0] == 403
    assert fetched(served.url)[0] == 200
    token = served.url.partition("?")[2]
    assert fetched(f"{bare}../../config.yaml?{token}")[0] == 404
    assert fetched(f"{bare}changes?after=x&{token}")[0] == 400


def test_other_addresses_need_a_token_of_ones_own(run: Path) -> None:
    (run / "config.yaml").write_text("seed: 0\n")
    with pytest.raises(ConfigError, match="--token"):
        open_server(run, host="0.0.0.0", port=0, token=None)
    with pytest.raises(ConfigError, match="3 characters"):
        open_server(run, host="0.0.0.0", port=0, token="abc")
    with pytest.raises(ConfigError, match="--port 70000"):
        open_server(run, host="127.0.0.1", port=70000, token=None)
    with pytest.raises(RunFolderError, match="holds no run"):
        open_server(run / "rollouts", host="127.0.0.1", port=0, token=None)


def test_open_page_follows_the_run(whole: Path, run: Path, served: Watch, visit: Open) -> None:
    seen = visit(served.url)
    page = seen.page
    assert "3 steps · not finished" in page.inner_text("#head")
    go_on(whole, run, 4, STEPS)
    shutil.copy(whole / "summary.json", run)
    page.get_by_text("6 steps · finished").wait_for()
    assert "27.0 % → 74.0 %" in page.inner_text("#outcome")
    assert page.inner_text(".found").startswith(f"{STEPS * 2 * 8} responses")
    assert seen.said == []
    assert {url.partition("?")[0].rpartition("/")[2] for url in seen.asked} == {"", "changes"}
