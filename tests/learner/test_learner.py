from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conftest import copied
from tests.learner.given import batch, experience, learner, prompts

from rethinker.errors import CheckpointError, RethinkerError
from rethinker.learner.learner import Objective, Optimisation, PolicyLearner
from rethinker.models.vlm import VLM
from rethinker.runs.codec import decode, encode
from rethinker.types import Experience, State


def gradient(made: PolicyLearner) -> torch.Tensor:
    """What the last update's clip left."""
    return torch.cat([p.grad.flatten() for p in made.vlm.module.parameters() if p.grad is not None]).double()


def gradient_of(vlm: VLM, chosen: list[Experience], **settings: float | bool) -> torch.Tensor:
    made = learner(vlm, **settings)
    made.update(chosen)
    return gradient(made)


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


def weights(made: PolicyLearner) -> dict[str, bytes]:
    return {name: weight.numpy().tobytes() for name, weight in made.named_weights()}


def through_disk(state: State) -> State:
    document, tensors = encode(state)
    return decode(json.loads(json.dumps(document)), copy.deepcopy(tensors))


def own(vlm: VLM, chosen: list[Experience], *, off: float = 0.0) -> list[Experience]:
    """The same experience with the policy's own log-probs, `off` nats beside them."""
    logprobs = learner(vlm).token_logprobs(chosen)
    return [replace(e, rollout=replace(e.rollout, logprobs=p + np.float32(off))) for e, p in zip(chosen, logprobs)]


# ---- accumulation ------------------------------------------------------------------------------------------------


def test_accumulation_over_micro_batches_is_exact(tiny_vlm: VLM) -> None:
    chosen = batch(tiny_vlm)
    whole = gradient_of(tiny_vlm, chosen, micro_batch_tokens=100_000)
    for budget in (1, 150):
        assert far(gradient_of(tiny_vlm, chosen, micro_batch_tokens=budget), whole) < 1e-5


def test_the_metrics_do_not_depend_on_the_micro_batches(tiny_vlm: VLM) -> None:
    chosen = batch(tiny_vlm)
    whole, split = (learner(tiny_vlm, micro_batch_tokens=n).update(chosen) for n in (100_000, 1))
    for name in ("loss", "imitation_loss", "ratio_mean", "clip_fraction", "entropy", "grad_norm", "engine_gap_max"):
        assert split[f"policy/{name}"].value == pytest.approx(whole[f"policy/{name}"].value, rel=1e-4), name


def test_sharing_prompts_changes_nothing_but_the_work(tiny_vlm: VLM) -> None:
    chosen = batch(tiny_vlm)
    assert (
        far(gradient_of(tiny_vlm, chosen, share_prompts=True), gradient_of(tiny_vlm, chosen, share_prompts=False))
        < 1e-4
    )


def test_a_redraw_counts_as_a_response_of_its_own(tiny_vlm: VLM) -> None:
    a, b, *_ = batch(tiny_vlm)
    redrawn = gradient_of(tiny_vlm, [a, b, a, a])
    apart = gradient_of(tiny_vlm, [a, b, replace(a), replace(a)])
    assert far(redrawn, apart) < 1e-5
    assert far(redrawn, gradient_of(tiny_vlm, [a, b])) > 1e-2


def test_the_order_of_the_choice_does_not_matter(tiny_vlm: VLM) -> None:
    chosen = batch(tiny_vlm)
    assert far(gradient_of(tiny_vlm, chosen[::-1]), gradient_of(tiny_vlm, chosen)) < 1e-5


def test_logprobs_come_back_in_the_order_asked(tiny_vlm: VLM) -> None:
    chosen, made = batch(tiny_vlm), learner(tiny_vlm, micro_batch_tokens=1)
    together = made.token_logprobs(chosen)
    for each, found in zip(chosen, together, strict=True):
        assert found.shape == each.rollout.token_ids.shape
        np.testing.assert_allclose(found, made.token_logprobs([each])[0], atol=1e-5)


# ---- what is skipped ---------------------------------------------------------------------------------------------


def broken(vlm: VLM) -> Experience:
    prompt = prompts(vlm)[1]
    return experience(prompt, sample=0, length=4, advantage=1.0, logprobs=np.array([-6, np.nan, -6, -6]))


def test_a_step_that_is_not_finite_is_skipped_and_counted(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm)
    before = weights(made)
    metrics = made.update([broken(tiny_vlm), *batch(tiny_vlm)])
    assert metrics["policy/skipped"].value == 1
    assert not math.isfinite(metrics["policy/grad_norm"].sum)
    assert weights(made) == before
    assert made.update(batch(tiny_vlm))["policy/skipped"].value == 0
    assert weights(made) != before
    assert all(torch.isfinite(weight).all() for _, weight in made.named_weights())


def test_a_loss_that_is_not_finite_is_skipped_even_where_its_gradient_is(tiny_vlm: VLM) -> None:
    """The cap of a stale sample stops the gradient of its token, not the token's loss."""
    made = learner(tiny_vlm)
    made.policy_synced(1)
    before = weights(made)
    metrics = made.update([broken(tiny_vlm), *batch(tiny_vlm)])
    assert math.isfinite(metrics["policy/grad_norm"].sum)
    assert not math.isfinite(metrics["policy/loss"].sum)
    assert metrics["policy/skipped"].value == 1
    assert weights(made) == before


def test_a_ratio_that_overflows_where_the_clip_holds_spoils_no_update(tiny_vlm: VLM) -> None:
    """An engine that put next to nothing on a token: e^200 is no float32, and the clip cuts it off."""
    good, idle, *rest = own(tiny_vlm, batch(tiny_vlm))
    far_off = own(tiny_vlm, [replace(good, advantage=0.5), replace(idle, advantage=0.0)], off=-200.0)
    made = learner(tiny_vlm)
    metrics = made.update([*far_off, *rest])
    assert metrics["policy/skipped"].value == 0
    assert math.isfinite(metrics["policy/loss"].value)
    assert math.isfinite(metrics["policy/grad_norm"].value)


def test_too_many_in_a_row_stop_the_run(tiny_vlm: VLM) -> None:
    made, bad, good = learner(tiny_vlm, max_nonfinite=3), [broken(tiny_vlm)], batch(tiny_vlm)[:1]
    for chosen in (bad, bad, good, bad, bad):
        made.update(chosen)
    with pytest.raises(RethinkerError, match=r"3 updates in a row had no finite loss .*lower learner\.lr"):
        made.update(bad)


def test_an_empty_choice_is_skipped_and_keeps_the_schedule_going(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm)
    before = weights(made)
    metrics = made.update([])
    assert (metrics["policy/skipped"].value, metrics["policy/grad_norm"].value) == (1, 0)
    assert metrics["policy/loss"].value is None
    assert weights(made) == before
    assert made.step == 1
    assert metrics["policy/lr"].value > made.update([])["policy/lr"].value


def test_an_empty_choice_reports_the_same_names_as_any_other(tiny_vlm: VLM) -> None:
    assert learner(tiny_vlm).update([]).keys() == learner(tiny_vlm).update(batch(tiny_vlm)).keys()


# ---- the engine's gap, and the reference -------------------------------------------------------------------------


def test_the_gap_to_the_engine_is_read_from_the_first_update_after_a_sync(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm)
    chosen = own(tiny_vlm, batch(tiny_vlm), off=0.25)
    first = made.update(chosen)
    assert first["policy/engine_gap_mean"].value == pytest.approx(0.25, abs=1e-4)
    assert first["policy/engine_gap_max"].value == pytest.approx(0.25, abs=1e-4)
    second = made.update(own(tiny_vlm, batch(tiny_vlm), off=3.0))
    assert second["policy/engine_gap_mean"].value == first["policy/engine_gap_mean"].value
    made.policy_synced(1)
    synced = [replace(e, rollout=replace(e.rollout, policy_version=1)) for e in chosen]
    third = made.update(synced)
    assert third["policy/engine_gap_max"].value > 0.3  # the weights have moved since


def test_stale_samples_are_not_in_the_gap(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm)
    made.policy_synced(1)
    stale, *rest = own(tiny_vlm, batch(tiny_vlm), off=5.0)
    fresh = [replace(e, rollout=replace(e.rollout, policy_version=1)) for e in own(tiny_vlm, rest)]
    assert made.update([stale, *fresh])["policy/engine_gap_max"].value < 1e-3


def test_weights_that_have_moved_are_not_compared_with_the_engine(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm)
    made.policy_synced(1)
    stale = own(tiny_vlm, batch(tiny_vlm))
    assert made.update(stale)["policy/engine_gap_max"].value is None  # nothing current to compare
    current = [replace(e, rollout=replace(e.rollout, policy_version=1)) for e in stale]
    assert made.update(current)["policy/engine_gap_max"].value is None  # too late


def test_a_gap_waits_for_an_update_that_has_samples(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm)
    made.update([])
    metrics = made.update(own(tiny_vlm, batch(tiny_vlm), off=0.5))
    assert metrics["policy/engine_gap_mean"].value == pytest.approx(0.5, abs=1e-4)


def test_the_kl_to_the_reference_is_0_at_the_start_and_grows(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm, reference=copied(tiny_vlm), kl=0.1)
    divergences = [made.update(batch(tiny_vlm))["policy/kl"].value for _ in range(3)]
    assert divergences[0] == pytest.approx(0, abs=1e-9)
    assert divergences[2] > 1e-5


def test_the_reference_reads_the_policys_batch_and_prepares_no_images_again(
    tiny_vlm: VLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = learner(tiny_vlm, reference=copied(tiny_vlm), kl=0.1)
    assert made.reference is not None
    monkeypatch.setattr(made.reference, "processor", None)
    assert made.update(batch(tiny_vlm))["policy/kl"].value == pytest.approx(0, abs=1e-9)


def test_a_kl_without_a_reference_is_refused(tiny_vlm: VLM) -> None:
    with pytest.raises(ValueError, match=r"kl_coefficient=0\.1 needs a reference"):
        PolicyLearner(tiny_vlm, objective=Objective(kl_coefficient=0.1), optimisation=Optimisation(steps=1, lr=1.0))


# ---- state -------------------------------------------------------------------------------------------------------


def test_two_updates_equal_one_save_load_and_one_to_the_bit(tiny_vlm: VLM) -> None:
    first, second = batch(tiny_vlm)[:3], batch(tiny_vlm)[2:]
    unbroken, broken_off, resumed = learner(tiny_vlm), learner(tiny_vlm), learner(tiny_vlm)
    unbroken.update(first)
    broken_off.update(first)
    resumed.load_state_dict(through_disk(broken_off.state_dict()))
    wanted, found = unbroken.update(second), resumed.update(second)
    assert weights(resumed) == weights(unbroken)
    assert found == wanted
    assert encode(resumed.state_dict())[0] == encode(unbroken.state_dict())[0]


def test_a_loaded_learner_shares_no_memory_with_the_state(tiny_vlm: VLM) -> None:
    saved, loaded = learner(tiny_vlm), learner(tiny_vlm)
    saved.update(batch(tiny_vlm))
    state = saved.state_dict()
    loaded.load_state_dict(state)
    held = loaded.state_dict()["moments"]
    for name, moments in state["moments"].items():
        assert all(held[name][key].data_ptr() != value.data_ptr() for key, value in moments.items())
    before = encode(saved.state_dict())[1]
    kept = copy.deepcopy(before)
    loaded.update(batch(tiny_vlm))
    assert all(torch.equal(before[name], kept[name]) for name in kept)


def test_all_of_a_state_goes_where_its_weight_is(tiny_vlm: VLM) -> None:
    """The fused optimiser wants its step count there, too; the meta device stands for one that is not the CPU."""
    saved, loaded = learner(tiny_vlm), learner(tiny_vlm)
    saved.update(batch(tiny_vlm)[2:4])
    for weight in loaded.vlm.module.parameters():
        torch.utils.swap_tensors(weight, torch.nn.Parameter(weight.to("meta")))
    loaded.load_state_dict(saved.state_dict())
    moments = loaded.state_dict()["moments"].values()
    assert {value.device.type for each in moments for value in each.values()} == {"meta"}


def test_a_state_of_another_model_is_refused(tiny_vlm: VLM) -> None:
    made = learner(tiny_vlm)
    state = made.state_dict()
    state["weights"] = {f"other.{name}": weight for name, weight in state["weights"].items()}
    with pytest.raises(CheckpointError, match="of another model"):
        made.load_state_dict(state)
