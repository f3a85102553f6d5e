"""A run's folder as the report and `watch` read it: configuration, metrics, summary, responses, picture."""

import gzip
import json

from fuzz.fenced import FOLDER
from fuzz.targets import parts
from fuzz.targets.pictures import SEEDS as PICTURES
from rethinker.errors import RunFolderError
from rethinker.report.document import document
from rethinker.report.page import page
from rethinker.report.reading import RunReader
from rethinker.report.watching import LiveRun

RUN = FOLDER / "run"
IMAGES = RUN / "rollouts" / "images"
IMAGES.mkdir(parents=True, exist_ok=True)
NAME = "0" * 64
(FOLDER / "secret.png").write_bytes(PICTURES[0])
ROW = {
    **{"problem_id": "gym/bars-1/train/0", "question": "q", "answer": "1", "category": None, "source": None},
    **{"sample": 0, "prompt": "p", "response": "Wait, </script>\\boxed{1}", "token_ids": [1], "token_lengths": [24]},
    **{"logprobs": [-0.5], "reward": 1.0, "outcome": "ok", "extracted": "1", "detail": "", "first_answer": None},
    **{"first_outcome": None, "length_penalty": 0.0, "advantage": 0.5, "forced_span": None, "trigger": None},
    **{"finish_reason": "stop", "policy_version": 0, "image_ids": [NAME]},
}
LINE = json.dumps(ROW).encode()
CONFIG, METRICS = b"evaluation: {marker: wait}\nseed: 0\n", b'{"step": 1, "reward/mean": 0.5}\n'


def seed(
    config: bytes = CONFIG,
    metrics: bytes = METRICS,
    summary: bytes = b"",
    row: bytes = LINE,
    image: bytes = PICTURES[0],
) -> bytes:
    return b"\0".join((config, metrics, summary, row, image))


SEEDS = (
    seed(summary=b'{"problems": 10, "accuracy_before": 0.1}'),
    seed(row=LINE + b"\n" + LINE.replace(b'"trigger": null', b'"trigger": "Wait"'), summary=b'{"a": 1e999}'),
    seed(row=LINE.replace(NAME.encode(), b"../../../secret")),
    seed(config=b"evaluation: x", metrics=b'{"step": 1, "a": NaN}\n{"step": 2, "a": 1e999}\n[1]\n'),
    seed(config=b"evaluation: {marker: 7}", row=b"[1, 2]\n" + LINE, summary=b"[" * 50),
    seed(row=LINE.replace(b"[-0.5]", b'["x", null, {}]'), image=b"GIF89a"),
    seed(config=b"a: &a [1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a]\nc: [*b,*b,*b]\nd: !!int ''", row=LINE[:-40]),
)


def check(data: bytes) -> None:
    config, metrics, summary, rows, image = parts(data, 5)
    (RUN / "config.yaml").write_bytes(config)
    (RUN / "metrics.jsonl").write_bytes(metrics)
    (RUN / "summary.json").unlink(missing_ok=True)
    if summary:
        (RUN / "summary.json").write_bytes(summary)
    packed = rows if rows[:2] == b"\x1f\x8b" else gzip.compress(rows, 1, mtime=0)
    (RUN / "rollouts" / "000001.jsonl.gz").write_bytes(packed)
    (IMAGES / f"{NAME}.png").write_bytes(image)
    try:
        run = RunReader(RUN)
        run.refresh()
        text = page(document([run], ablation=None), title=run.name, charts=False)
        LiveRun(run).changes(after=0, mark="", seen=0, ended=False)
    except RunFolderError:
        return
    assert len(text) < 3_000_000
    told = text.partition('id="data">')[2].partition("</script>")[0]
    assert "<" not in told
    json.loads(told, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} on the page, which no browser reads")
