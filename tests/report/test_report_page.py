"""A person opens the report of a real, short run in a browser: reads, filters, searches, follows links."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from benchmarks.made_runs import make_run
from tests.e2e.runs import rethinker, train
from tests.pages import Open, Visit

from rethinker.report.write import write_folder, write_page
from rethinker.runs.ablation import summarise
from rethinker.runs.ablation import write as write_ablation

ROOT = Path(__file__).parents[2]
HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"><!-- \u2028 "


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, chromium: object) -> Path:
    """Three steps of the tiny recipe, with fewer problems than it has."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    settings = (
        "train.steps=3",
        "train.updates_per_episode=1",
        "threads=1",
        "sampler.queries=4",
        "evaluation.every=1",
        "evaluation.validation_problems=4",
        "evaluation.test_problems=4",
        "trackers.tensorboard=false",
    )
    train(ROOT / "recipes" / "tiny.yaml", folder, *settings)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up run that holds everything a page can show, and a model that tries to break out of its text."""
    folder = tmp_path_factory.mktemp("runs") / "made"
    make_run(folder, steps=12, groups=4, problems=16, says=HOSTILE, answer="<b>6</b>")
    return folder


def address(path: Path, fragment: str = "") -> str:
    return path.resolve().as_uri() + fragment


def found(visit: Visit) -> int:
    return int(visit.page.text_content(".found").split()[0].replace(",", ""))


def test_end_of_run_report_says_how_it_went_and_asks_for_nothing(run: Path, visit: Open) -> None:
    seen = visit(address(run / "report.html"))
    text = seen.page.inner_text("#outcome")
    assert "Did it learn?" in text
    assert "on 4 problems, greedy" in text
    assert found(seen) == 3 * 4 * 8
    assert "All 96 recorded responses" in seen.page.inner_text("#rollouts")
    seen.page.mouse.wheel(0, 20_000)
    seen.page.wait_for_selector("#health .chart svg")
    assert seen.page.locator("#health figure").count() >= 12
    assert seen.said == []
    assert seen.asked == []


def test_real_response_stands_with_image_answer_verdict_and_coloured_tokens(run: Path, visit: Open) -> None:
    seen = visit(address(run / "report.html"))
    seen.page.wait_for_function("document.querySelector('.problem img').naturalWidth > 0")
    assert "Right answer" in seen.page.inner_text(".problem")
    assert "the final answer found is" in seen.page.inner_text(".reason") or "no final answer" in seen.page.inner_text(
        ".reason"
    )
    assert seen.page.locator(".response.open .token").count() > 3
    assert seen.page.locator(".response").count() == 8


def test_filters_search_and_keys_choose_what_is_read(made: Path, visit: Open, tmp_path: Path) -> None:
    write_page([made], tmp_path / "page.html")
    page = (seen := visit(address(tmp_path / "page.html"))).page
    everything = found(seen)
    page.select_option("select[name=change]", "right → wrong")
    changed = found(seen)
    assert 0 < changed < everything
    assert set(page.locator(".found-list .tag").all_inner_texts()) == {"right → wrong"}
    page.get_by_role("button", name="Clear").click()
    assert found(seen) == everything
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    page.keyboard.type("problem 7 ")
    assert found(seen) == 8 * 3
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.wait_for_url(re.compile("%2F7/"))
    page.keyboard.press("j")
    assert "How many cells of problem 7" in page.inner_text(".question")
    assert "This problem over training" in page.inner_text(".again")


def test_link_leads_to_its_response(made: Path, visit: Open, tmp_path: Path) -> None:
    write_page([made], tmp_path / "page.html")
    seen = visit(address(tmp_path / "page.html"))
    seen.page.select_option("select[name=look]", "forced")
    link = seen.page.locator(".found-list a").nth(2)
    words, fragment = link.locator(".item-words").inner_text(), link.get_attribute("href")
    assert fragment is not None
    again = visit(address(tmp_path / "page.html", fragment))
    assert again.page.locator(".response.open .trigger").count() == 1
    assert again.page.inner_text(".response.open .said .text")[:30] == words[:30]
    lost = visit(address(tmp_path / "page.html", "#rollout/made/99/none/0"))
    assert "is not on this page" in lost.page.inner_text(".found")


def test_what_a_model_wrote_is_text(made: Path, visit: Open, tmp_path: Path) -> None:
    write_page([made], tmp_path / "page.html")
    seen = visit(address(tmp_path / "page.html"))
    assert seen.page.title() == "made"
    assert HOSTILE.strip()[:40] in seen.page.inner_text(".response.open")
    assert "<b>6</b>" in seen.page.inner_text(".problem")
    assert seen.page.locator("main script, main b:text('6')").count() == 0
    assert seen.said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(made: Path, visit: Open, tmp_path: Path, scheme: str) -> None:
    write_page([made], tmp_path / "page.html")
    seen = visit(address(tmp_path / "page.html"), scheme=scheme)
    draw_all(seen)
    seen.page.locator("details").first.evaluate("each => { each.open = true }")
    assert seen.serious() == []


def test_phone_shows_all_without_scrolling_sideways(made: Path, visit: Open, tmp_path: Path) -> None:
    write_page([made], tmp_path / "page.html")
    seen = visit(address(tmp_path / "page.html"), width=390, height=844)
    draw_all(seen)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 390


def test_every_chart_has_a_sentence_and_its_numbers(made: Path, visit: Open, tmp_path: Path) -> None:
    write_page([made], tmp_path / "page.html")
    page = visit(address(tmp_path / "page.html")).page
    figures = page.locator("figure")
    assert figures.count() > 20
    for number in range(figures.count()):
        assert len(figures.nth(number).locator(".words").inner_text()) > 10
        figures.nth(number).locator("summary").click()
        figures.nth(number).locator("tbody tr").first.wait_for(state="attached")  # made when they are asked for


def test_runs_stand_side_by_side_with_what_differs(made: Path, visit: Open, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(made, other)
    (other / "config.yaml").write_text((made / "config.yaml").read_text().replace("1.0e-06", "5.0e-06"))
    write_page([made, other], tmp_path / "page.html")
    seen = visit(address(tmp_path / "page.html"))
    draw_all(seen)
    compared = seen.page.inner_text("#compare")
    assert "1 of 3 settings differ" in compared
    assert "learner.lr" in compared
    seen.page.select_option("select[name=run]", "other")
    assert found(seen) == 12 * 4 * 8
    assert seen.said == []
    assert seen.serious() == []


@pytest.fixture
def arms(made: Path, tmp_path: Path) -> Path:
    """Two arms of two seeds, of the made-up run."""
    folder = tmp_path / "ablation"
    runs = {arm: [folder / f"{arm}-seed{seed}" for seed in range(2)] for arm in ("grpo", "ssr-forced-rethinking")}
    for run in (run for of_arm in runs.values() for run in of_arm):
        shutil.copytree(made, run)
    found = summarise(runs, contrasts=[("ssr-forced-rethinking", "grpo")], about={"seeds": "2"})
    write_ablation(found, folder)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_ablation_stands_first_arm_by_arm(arms: Path, visit: Open, tmp_path: Path, scheme: str) -> None:
    write_page([arms], tmp_path / "page.html")
    seen = visit(address(tmp_path / "page.html"), scheme=scheme)
    draw_all(seen)
    assert seen.page.inner_text("h1") == "Ablation of 2 arms"
    assert seen.page.locator("main > section").first.get_attribute("id") == "ablation"
    curves = seen.page.locator("#ablation figure", has_text="Means over the seeds.")
    assert curves.count() == 4
    assert "ssr-forced-rethinking" in curves.first.locator(".legend").inner_text()
    assert seen.page.locator("#runs option").count() == 4
    assert seen.said == []
    assert seen.serious() == []


def test_folder_of_everything_holds_every_response(made: Path, visit: Open, tmp_path: Path) -> None:
    write_folder([made], tmp_path / "all")
    index = visit(address(tmp_path / "all" / "index.html"))
    index.page.locator(".parts a").first.click()
    index.page.wait_for_selector(".response.open")
    assert found(index) == 12 * 4 * 8
    assert index.said == []
    assert index.serious() == []


def test_command_writes_where_it_is_told_and_refuses_what_is_no_run(made: Path, tmp_path: Path, capsys) -> None:
    assert rethinker("report", made, "--to", tmp_path / "page.html") == 0
    assert (tmp_path / "page.html").stat().st_size < 15_000_000
    assert rethinker("report", tmp_path) == 1
    assert rethinker("report", tmp_path / "nowhere") == 1
    assert rethinker("report", made, made) == 1
    said = capsys.readouterr().err
    assert "holds no run" in said
    assert "there is no run folder" in said
    assert "--to report.html" in said


def draw_all(seen: Visit) -> None:
    """Scroll through the page, so that every chart is drawn."""
    for place in seen.page.locator(".chart").all():
        place.scroll_into_view_if_needed()
        place.locator("svg").first.wait_for()
