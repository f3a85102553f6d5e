"""A run's configuration: a YAML file, and overrides, one a line behind a zero byte."""

from fuzz.fenced import FOLDER
from fuzz.targets import parts, text
from rethinker.config import Config
from rethinker.config_files import load, to_yaml
from rethinker.errors import ConfigError

SEEDS = (
    b"seed: 3\nlearner:\n  lr: 1e-5\n  betas: [0.9, 0.95]\0train.steps=32\ndata.kind=jsonl\ndata.path=a",
    b"data: {kind: mixture, parts: [{data: {kind: gym}, weight: 2}]}\nmodel: &a {path: x}\0sampler.queries=0x10",
    b"rethink: {kind: none}\nreplay: {kind: nothing}\nsampler:\n  first: {temperature: .inf}\0learner.lr=!!int ''",
    b"a: &a [1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nseed: [*b,*b,*b,*b]\0verifier.function=a:b",
    b"%YAML 1.1\n---\n? x\n: !!timestamp 2001-01-01\n...\0evaluation.benchmarks=[mmmu_pro=vision]",
    b"\0objective.kind=clip\nseed=123\ntrain.nope=1\nlearner.lr=abc",
)


def check(data: bytes) -> None:
    written, overrides = parts(data, 2)
    file = FOLDER / "settings.yaml"
    if written:
        file.write_bytes(written)
    try:
        config = load([file] if written else [], text(overrides).split("\n") if overrides else [])
    except ConfigError as error:
        assert len(str(error)) < 100_000
        return
    assert isinstance(config, Config)
    again = FOLDER / "again.yaml"
    again.write_text(to_yaml(config), encoding="utf-8")
    assert load([again]) == config
