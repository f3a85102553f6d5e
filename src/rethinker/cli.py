"""The command line. Heavy imports happen inside the commands, so that `rethinker --help` answers at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from rethinker.commands.compare_arguments import add_compare_commands
from rethinker.commands.data_arguments import add_data_commands
from rethinker.commands.evaluate_arguments import add_eval_command
from rethinker.commands.inference_arguments import add_inference_commands
from rethinker.commands.report_arguments import add_report_commands
from rethinker.commands.score_arguments import add_score_command
from rethinker.commands.settings import split_settings
from rethinker.doctor import MISSING_OPERATOR
from rethinker.errors import ConfigError, Interrupted, RethinkerError
from rethinker.redaction import redacted


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `rethinker` command: exits 0, 1 after an error, 130 or 143 after a signal."""
    console = Console(stderr=True)
    parsed = _parsed(arguments)
    try:
        sys.exit(parsed.command(parsed) or 0)
    except Interrupted as stop:
        console.print(str(stop), highlight=False, soft_wrap=True, markup=False)
        sys.exit(stop.exit_code)
    except RethinkerError as error:
        console.print("[red]error:[/red]", end=" ")
        console.print(redacted(str(error)), highlight=False, soft_wrap=True, markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except (ImportError, RuntimeError) as error:
        if not _is_broken_torchvision(error):
            raise
        console.print("[red]error:[/red] torchvision cannot be loaded here; `rethinker doctor` says how to mend it")
        sys.exit(1)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What was asked; files and overrides may stand after options too, which argparse alone would not take."""
    parser = _parser()
    parsed, late = parser.parse_known_args(arguments)
    if late:
        if "recipe" not in parsed or any(part.startswith("-") for part in late):
            parser.error(redacted(f"unrecognized arguments: {' '.join(late)}"))
        parsed.recipe = [*parsed.recipe, *late]
    return parsed


def _is_broken_torchvision(error: BaseException | None) -> bool:
    """Whether an import failed for want of torchvision's operators (a CUDA build beside a CPU torch)."""
    while error is not None:
        if MISSING_OPERATOR in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rethinker", description="Train vision-language models to reason better and to look twice."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train by a recipe, or go on with a run")
    train.add_argument("recipe", nargs="*", metavar="FILE|key=value", help="YAML files, then dotted overrides")
    train.add_argument("--resume", type=Path, metavar="RUN", help="go on with the run in this folder")
    train.set_defaults(command=_train)

    export = commands.add_parser("export", help="write a run's model as a folder for transformers and vLLM")
    export.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    export.add_argument("--to", type=Path, required=True, metavar="DIR", help="where the model folder goes")
    export.add_argument("--merge", action="store_true", help="add the adapter to its base: a whole model")
    export.add_argument("--checkpoint", default="best", metavar="best|last|STEP", help="default: best")
    export.set_defaults(command=_export)

    plan = commands.add_parser("plan", help="parameters, memory and time of a recipe, before anything is loaded")
    plan.add_argument("recipe", nargs="+", metavar="FILE|key=value", help="YAML files, then dotted overrides")
    plan.add_argument("--gpus", type=int, default=1, metavar="N", help="GPUs that share the model (default 1)")
    plan.add_argument("--memory", type=float, metavar="G", help="GB of one GPU (default: what the kind has)")
    plan.add_argument("--gpu", default="H100", metavar="KIND", help="kind of GPU (default H100)")
    plan.add_argument("--tensor-parallel", type=int, default=0, metavar="T", help="GPUs of an engine (default: chosen)")
    plan.add_argument("--engine-gpus", type=int, default=0, metavar="E", help="GPUs that only generate (default: none)")
    plan.add_argument("--staleness", type=int, default=0, metavar="K", help="episodes generated ahead (default 0)")
    plan.set_defaults(command=_plan)

    ablate = commands.add_parser("ablate", help="GRPO, + Filter, + SSR, + Forced Rethinking from one recipe")
    ablate.add_argument("recipe", nargs="+", metavar="FILE|key=value")
    ablate.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds per arm (default 3)")
    ablate.add_argument("--jobs", type=int, default=1, metavar="N", help="runs at a time (default 1)")
    ablate.add_argument("--to", type=Path, default=Path("ablations"), metavar="DIR", help="where runs and results go")
    ablate.set_defaults(command=_ablate)

    warmup = commands.add_parser("warmup", help="make, or measure, the tiny VLM's warm start")
    settings = "settings; without any those of the shipped weights, which recipes/warmup.yaml spells out"
    warmup.add_argument("recipe", nargs="*", metavar="FILE|key=value", help=settings)
    new = Path("warm-start")
    warmup.add_argument("--to", type=Path, default=new, metavar="DIR", help=f"new model folder (default {new})")
    warmup.add_argument("--measure", action="store_true", help="print the five figures of a base instead")
    warmup.add_argument("--model", default="tiny", help="the base to measure (default tiny)")
    warmup.set_defaults(command=_warmup)

    _add_gym_commands(commands)
    add_data_commands(commands)
    add_eval_command(commands)
    add_score_command(commands)
    add_compare_commands(commands)
    add_report_commands(commands)
    add_inference_commands(commands)

    doctor = commands.add_parser("doctor", help="what is installed, what works here, what to do about what does not")
    doctor.set_defaults(command=_doctor)
    return parser


def _add_gym_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    gym = commands.add_parser("gym", help="the procedural problems")
    kinds = gym.add_subparsers(required=True, metavar="COMMAND")
    kinds.add_parser("list", help="families and levels").set_defaults(command=_gym_list)
    preview = kinds.add_parser("preview", help="draw a contact sheet")
    preview.add_argument("--to", type=Path, default=Path("gym.png"), metavar="PNG")
    preview.set_defaults(command=_gym_preview)


def _train(parsed: argparse.Namespace) -> None:
    from rethinker.commands.train import resume, start

    files, overrides = split_settings(parsed.recipe)
    if parsed.resume is not None:
        resume(parsed.resume, files, overrides)
    elif not parsed.recipe:
        raise ConfigError("rethinker train needs a recipe: rethinker train recipes/tiny.yaml, or --resume RUN")
    else:
        start(files, overrides)


def _export(parsed: argparse.Namespace) -> None:
    from rethinker.commands.export import export

    export(parsed.run, parsed.to, merge=parsed.merge, which=parsed.checkpoint)


def _plan(parsed: argparse.Namespace) -> int:
    from rethinker.commands.plan import plan
    from rethinker.commands.plan_cluster import Hardware

    if parsed.gpus < 1:
        raise ConfigError(f"--gpus {parsed.gpus}: must be above 0")
    if parsed.memory is not None and parsed.memory <= 0:
        raise ConfigError(f"--memory {parsed.memory:g}: must be above 0")
    if min(parsed.tensor_parallel, parsed.engine_gpus, parsed.staleness) < 0:
        raise ConfigError("--tensor-parallel, --engine-gpus and --staleness must not be below 0")
    files, overrides = split_settings(parsed.recipe)
    hardware = Hardware(
        kind=parsed.gpu,
        gpus=parsed.gpus,
        gigabytes=parsed.memory,
        tensor_parallel=parsed.tensor_parallel,
        engine_gpus=parsed.engine_gpus,
        staleness=parsed.staleness,
    )
    return 0 if plan(files, overrides, hardware) else 1


def _ablate(parsed: argparse.Namespace) -> None:
    from rethinker.commands.ablate import ablate

    files, overrides = split_settings(parsed.recipe)
    ablate(files, overrides, seeds=parsed.seeds, jobs=parsed.jobs, folder=parsed.to)


def _warmup(parsed: argparse.Namespace) -> None:
    from rethinker.commands.warmup import make, measure

    files, overrides = split_settings(parsed.recipe)
    if parsed.measure:
        measure(parsed.model, files, overrides)
    else:
        make(files, overrides, folder=parsed.to)


def _gym_list(parsed: argparse.Namespace) -> None:  # noqa: ARG001
    from rethinker.commands.gym import list_families

    list_families()


def _gym_preview(parsed: argparse.Namespace) -> None:
    from rethinker.commands.gym import draw_preview

    draw_preview(parsed.to)


def _doctor(parsed: argparse.Namespace) -> int:  # noqa: ARG001
    from rethinker.commands.doctor import report

    return report()
