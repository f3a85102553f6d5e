"use strict";
// The first screen: did it learn, did looking twice help, is the run healthy.
(() => {
  const { el, svg, missing, percent, inPoints, smoothed, points, plain, duration, gigabytes, mean, count } = Rethinker;

  /** A share and its interval on a rule from 0 to 100 %. */
  function rule(marks) {
    return el("div", { class: "rule", "aria-hidden": "true" }, marks.map(({ value, interval, colour }) => [
      interval ? el("i", { style: { left: `${100 * interval[0]}%`, width: `${100 * (interval[1] - interval[0])}%`, background: colour } }) : null,
      el("b", { style: { left: `${100 * value}%`, background: colour } })]));
  }

  /** A small curve of shares, with its ends in words. */
  function trend(run, name, label, colour) {
    const found = points(run, name), line = found.length > 40 ? smoothed(found) : found;
    if (line.length < 3) return null;
    const [first, last] = [line[0], line.at(-1)], most = Math.max(0.1, ...line.map((each) => each.value));
    const at = ({ step, value }) => `${(300 * (step - first.step)) / (last.step - first.step)},${44 - (40 * value) / most}`;
    return el("div", { class: "trend" },
      svg("svg", { viewBox: "0 0 300 48", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("line", { x1: 0, x2: 300, y1: 44, y2: 44, stroke: "var(--line)" }),
        svg("polyline", { points: line.map(at).join(" "), fill: "none", stroke: colour, "stroke-width": 2, "vector-effect": "non-scaling-stroke" })),
      el("p", { class: "muted" }, `${label}, ${percent(first.value)} at step ${first.step} to ${percent(last.value)} at step ${last.step}`));
  }

  const between = (interval) => (interval ? `${(100 * interval[0]).toFixed(1)} to ${(100 * interval[1]).toFixed(1)} %` : "");

  function learned(run) {
    const found = run.summary, eyebrow = "Did it learn?";
    if (!found || missing(found.accuracy_before)) {
      const reward = points(run, "reward/mean");
      if (!reward.length) return answer(eyebrow, "Nothing is logged yet", "–", []);
      const tenth = Math.max(1, Math.floor(reward.length / 10));
      const early = average(reward.slice(0, tenth)), late = average(reward.slice(-tenth));
      return answer(eyebrow, "Reward so far, of sampled responses", `${percent(early)} → ${percent(late)}`, [
        rule([{ value: early, colour: "var(--c5)" }, { value: late, colour: "var(--c0)" }]),
        el("p", {}, "Means of the first and the last tenth of the steps. Held-out accuracy comes when the run ends.")]);
    }
    const change = found.accuracy_after - found.accuracy_before;
    const apart = found.accuracy_after_interval && found.accuracy_before_interval &&
      (found.accuracy_after_interval[0] > found.accuracy_before_interval[1] || found.accuracy_after_interval[1] < found.accuracy_before_interval[0]);
    const verdict = apart ? (change > 0 ? "Yes: the intervals are apart." : "It got worse: the intervals are apart.") : "Not for certain: the intervals overlap.";
    return answer(eyebrow, `Held-out accuracy, ${inPoints(change)}`, `${percent(found.accuracy_before)} → ${percent(found.accuracy_after)}`, [
      rule([{ value: found.accuracy_before, interval: found.accuracy_before_interval, colour: "var(--c5)" }, { value: found.accuracy_after, interval: found.accuracy_after_interval, colour: "var(--c0)" }]),
      el("p", {}, `${verdict} 95 % intervals ${between(found.accuracy_before_interval)} before and ${between(found.accuracy_after_interval)} after${found.problems ? `, on ${count(found.problems)} problems, greedy` : ""}.`),
      trend(run, "reward/mean", "Reward while training", "var(--c0)")]);
  }

  const average = (found) => found.reduce((sum, each) => sum + each.value, 0) / found.length;

  function helped(run) {
    const found = run.summary, eyebrow = "Did looking twice help?";
    const held = found && !missing(found.wrong_to_right);
    const gain = held ? found.wrong_to_right : mean(run, "rethink/wrong_to_right");
    const loss = held ? found.right_to_wrong : mean(run, "rethink/right_to_wrong");
    if (missing(gain)) return answer(eyebrow, "No second look is on record", "–", []);
    const where = held ? "held-out problems" : "sampled responses";
    const most = Math.max(gain, loss, 0.02);
    const bar = (name, value, colour) => el("div", { class: "bar" }, el("span", {}, name), el("i", { "aria-hidden": "true", style: { width: `${(45 * value) / most}%`, background: colour } }), el("b", {}, percent(value)));
    const net = gain - loss;
    const looks = held ? ` It looks twice unasked in ${percent(found.rethinking_after)} of them, ${percent(found.rethinking_before)} before training.` : "";
    return answer(eyebrow, `Net, of all ${where}`, inPoints(net), [
      el("div", { class: "bars" }, bar("wrong → right", gain, "var(--c2)"), bar("right → wrong", loss, "var(--c1)")),
      el("p", {}, `${gain + loss === 0 ? "No second look changed an answer." : net > 0 ? "It mended more than it broke." : net < 0 ? "It broke more than it mended." : "It changed as much for the better as for the worse."}${looks}`),
      trend(run, "rethink/spontaneous", "Looks twice unasked while training", "var(--c2)")]);
  }

  /** Each check: what was looked at, whether it is as it should be, and the figure. */
  function checks(run) {
    const last = (name) => {
      const found = points(run, name);
      return found.length ? average(found.slice(-Math.max(1, Math.floor(found.length / 10)))) : null;
    };
    const sum = (name) => points(run, name).reduce((total, each) => total + each.value, 0);
    const list = [
      ["Effective batch", last("replay/effective"), (v) => v >= 0.3, percent, "of the batch carries an advantage"],
      ["Mixed groups", last("groups/mixed"), (v) => v >= 0.2, percent, "of the groups"],
      ["Importance ratio", last("policy/ratio_mean"), (v) => Math.abs(v - 1) < 0.1, (v) => v.toFixed(3), "should stay near 1"],
      ["Clipped tokens", last("policy/clip_fraction"), (v) => v < 0.2, percent, "of sampled tokens"],
      ["Engine against learner", last("policy/engine_gap_mean"), (v) => v < 0.05, plain, "nats apart"],
      ["Entropy", last("policy/entropy"), (v) => v > 0.01, plain, "nats"],
      ["No answer found", last("reward/unparsed"), (v) => v < 0.2, percent, "of responses"],
      ["Cut at the limit", last("tokens/truncated"), (v) => v < 0.2, percent, "of responses"],
      ["Skipped updates", points(run, "policy/skipped").length ? sum("policy/skipped") : null, (v) => v === 0, count, "in all"],
      ["Checks that failed", missing(last("reward/error")) ? null : last("reward/error") + (last("reward/timeout") ?? 0), (v) => v < 0.01, percent, "of responses, timeouts too"],
    ];
    return list.filter(([, value]) => !missing(value)).map(([name, value, good, text, unit]) => ({ name, good: good(value), text: `${text(value)} ${unit}` }));
  }

  function healthy(run) {
    const found = checks(run), bad = found.filter((check) => !check.good);
    const facts = run.summary ? [`${duration(run.summary.seconds)}, ${gigabytes(run.summary.peak_memory_bytes)} at most.`] : [];
    return answer("Is the run healthy?", "Signs, over the last tenth of the steps", found.length ? `${found.length - bad.length} of ${found.length} good` : "–", [
      el("ul", { class: "checks" }, [...bad, ...found.filter((check) => check.good)].slice(0, Math.max(5, bad.length)).map((check) =>
        el("li", { class: check.good ? "good" : "bad" }, el("span", { class: "sign", "aria-hidden": "true" }, check.good ? "✓" : "!"), el("span", { class: "hidden" }, check.good ? "good: " : "look at: "), el("b", {}, check.name), ` ${check.text}`))),
      el("details", {}, el("summary", {}, "All signs, and where each is called good"), el("ul", { class: "checks" }, found.map((check) => el("li", { class: check.good ? "good" : "bad" }, el("span", { class: "sign", "aria-hidden": "true" }, check.good ? "✓" : "!"), el("b", {}, check.name), ` ${check.text}`))),
        el("p", { class: "muted" }, "Limits are rules of thumb, not tests: effective batch 30 %, mixed groups 20 %, ratio within 0.1 of 1, clipped, unparsed and cut below 20 %, gap below 0.05 nats, entropy above 0.01, failed checks below 1 %, no skipped update.")),
      ...facts.map((fact) => el("p", {}, fact))]);
  }

  function answer(question, what, figure, rest) {
    return el("section", { class: "answer" }, el("h2", {}, question), el("p", { class: "figure" }, figure), el("p", { class: "what" }, what), rest);
  }

  function outcome(runs) {
    return runs.map((run) => [runs.length > 1 ? el("p", { class: "part" }, run.name) : null, el("div", { class: "answers" }, learned(run), helped(run), healthy(run))]);
  }

  Object.assign(Rethinker, { outcome });
})();
