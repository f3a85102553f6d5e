"use strict";
// Which curves tell whether a run is healthy, and what to read in each.
(() => {
  const { el, card } = Rethinker;
  const bins = (when) => ["0", "0.25", "0.5", "0.75", "1", "above"].map((edge, place) => ({
    name: `replay/magnitude_${when}/${edge}`,
    label: edge === "0" ? "0" : edge === "above" ? "> 1" : `≤ ${edge}`, colour: place,
  }));

  const CHARTS = [
    ["Learning", [
      { title: "Reward and accuracy", scale: "share", note: "Reward is the share of sampled responses that verified as right; accuracy is greedy, on held-out problems. Bars are 95 % intervals.",
        series: [{ name: "reward/mean", label: "reward, sampled", colour: 0 }, { name: "eval/accuracy", label: "accuracy, held out", colour: 1, sparse: true, trials: "eval/problems" }] },
      { title: "Groups", kind: "stack", scale: "share", note: "Only mixed groups carry an advantage. When they vanish, a batch teaches nothing unless it is refilled.",
        series: [{ name: "groups/all_wrong", label: "all wrong", colour: 1 }, { name: "groups/mixed", label: "mixed", colour: 0 }, { name: "groups/all_correct", label: "all right", colour: 2 }] },
      { title: "Effective batch", scale: "share", note: "The share of the sampled batch whose advantage is not zero: what an update could learn from without replay.",
        series: [{ name: "replay/effective", label: "effective share", colour: 0 }] },
      { title: "Lengths", scale: "zero", unit: "tokens", note: "Mean tokens of a prompt and of a sampled response.",
        series: [{ name: "tokens/response", label: "response", colour: 0 }, { name: "tokens/prompt", label: "prompt", colour: 5 }] },
    ]],
    ["Selective Sample Replay", [
      { title: "|Advantage| before replay", kind: "heat", scale: "share", colour: 0, note: "How strong the sampled batch is: all its weight in the bottom row would be a batch without a lesson.", series: bins("raw") },
      { title: "|Advantage| after replay", kind: "heat", scale: "share", colour: 2, note: "The same of the batch that was trained on: replay moves weight from the bottom row upwards.", series: bins("chosen") },
      { title: "Replay buffer", scale: "zero", unit: "responses", note: "Responses in the buffer, and how many of them were drawn for the batch.",
        series: [{ name: "replay/size", label: "in the buffer", colour: 5, smooth: false }, { name: "replay/drawn", label: "drawn", colour: 1 }] },
      { title: "Staleness", scale: "zero", unit: "syncs", note: "Syncs since a drawn response was stored, and, in a pipelined run, since a fresh one was sampled.",
        series: [{ name: "replay/age_mean", label: "replayed", colour: 1 }, { name: "pipeline/staleness", label: "fresh", colour: 0 }] },
    ]],
    ["Policy", [
      { title: "Importance ratio", scale: "free", rule: 1, unit: "ratio", note: "Current over old probability of sampled tokens, before any cap. It should stay near 1.",
        series: [{ name: "policy/ratio_mean", label: "mean ratio", colour: 0 }] },
      { title: "Clipped", scale: "small", note: "Sampled tokens whose gradient the clip held back.",
        series: [{ name: "policy/clip_fraction", label: "clipped", colour: 1 }, { name: "policy/dual_clip_fraction", label: "by the dual clip", colour: 3 }] },
      { title: "Entropy", scale: "zero", unit: "nats", note: "Of the policy at sampled tokens. A fall to zero is the end of exploring.",
        series: [{ name: "policy/entropy", label: "entropy", colour: 3 }] },
      { title: "Gradient norm", scale: "zero", note: "Before clipping.", series: [{ name: "policy/grad_norm", label: "norm", colour: 0 }] },
      { title: "Loss", scale: "free", note: "The policy term has no level to reach; imitation is nats per token of kept second looks.",
        series: [{ name: "policy/loss", label: "policy", colour: 0 }, { name: "policy/imitation_loss", label: "imitation", colour: 2 }] },
      { title: "Engine against learner", scale: "log", unit: "nats", note: "Difference between the log-probs of the sampling engine and of the learner, for the same tokens. Logarithmic.",
        series: [{ name: "policy/engine_gap_mean", label: "mean", colour: 0, smooth: false }, { name: "policy/engine_gap_max", label: "largest", colour: 1, smooth: false }] },
    ]],
    ["Machine", [
      { title: "Time by part", kind: "stack", scale: "seconds", note: "Seconds of a step, by what they were spent on.",
        series: [["generate", 0], ["verify", 1], ["rethink", 2], ["logprobs", 6], ["update", 3], ["sync", 4], ["save", 5], ["evaluate", 7]].map(([part, colour]) => ({ name: `time/${part}`, label: part, colour })) },
      { title: "Memory", scale: "bytes", note: "Of the process and all it started.", series: [{ name: "system/memory_bytes", label: "process tree", colour: 5, smooth: false }] },
      { title: "Responses without a verdict", scale: "small", note: "Shares of all first responses.",
        series: [{ name: "reward/unparsed", label: "no answer found", colour: 0 }, { name: "reward/timeout", label: "timeout", colour: 1 }, { name: "reward/error", label: "error", colour: 3 }] },
      { title: "Cut and padded", scale: "small", note: "Responses cut at the limit, those of them out of the loss, and padding in the learner's batches.",
        series: [{ name: "tokens/truncated", label: "cut", colour: 1 }, { name: "tokens/masked", label: "masked", colour: 3 }, { name: "tokens/padding", label: "padding", colour: 5 }] },
    ]],
  ];

  function health(runs) {
    const missing = [];
    const parts = CHARTS.map(([title, specs]) => {
      const cards = specs.map((spec) => card(spec, runs) ?? (missing.push(spec.title), null)).filter(Boolean);
      return cards.length ? [el("h3", { class: "part" }, title), el("div", { class: "cards" }, cards)] : null;
    });
    return [
      el("p", { class: "lead" }, "From 40 steps on, the faint line is each step and the strong one the mean of the last twentieth. Under each chart stand its sentence and its numbers."),
      ...parts,
      missing.length ? el("p", { class: "muted" }, `Not measured here: ${missing.join(", ")}.`) : null,
    ];
  }

  Object.assign(Rethinker, { health });
})();
