"use strict";
// One response: first answer, trigger, second look, each cut into its tokens; and why it was scored so.
(() => {
  const { el, signed } = Rethinker;

  const LOOKS = { none: "looked once", own: "looked twice by itself", forced: "kept second look" };

  /** How a response looked, by [kind, where the second look begins, where its own words do]. */
  function look(rollout, marker) {
    if (rollout.trigger) return ["forced", rollout.trigger[0], rollout.trigger[1]];
    const found = rollout.text.search(marker);
    return found < 0 ? ["none", null, null] : ["own", found, found];
  }

  const OUTCOMES = { ok: "right", wrong: "wrong", unparsed: "no answer found", timeout: "check timed out", error: "check failed" };

  /** "wrong → right" and the like; null where there was no first answer, or its verdict is not known. */
  function change(rollout) {
    if (rollout.firstRight === null || rollout.firstRight === undefined) return null;
    return `${rollout.firstRight ? "right" : "wrong"} → ${rollout.outcome === "ok" ? "right" : "wrong"}`;
  }

  function reason(rollout, answer) {
    const extracted = rollout.extracted === null ? "no final answer was found in the text" : ["the final answer found is ", code(rollout.extracted)];
    const right = answer === null || answer === undefined ? null : ["; the right answer is ", code(answer)];
    const first = rollout.first === null ? null : ["; before the second look it was ", code(rollout.first), rollout.firstRight === null ? "" : rollout.firstRight ? ", right" : ", wrong"];
    const cut = rollout.finish === "length" ? "; the response was cut at the limit of tokens" : null;
    return el("p", { class: "reason" }, el("b", {}, `${capital(OUTCOMES[rollout.outcome] ?? rollout.outcome)}: `), extracted, right, first, cut, ".", rollout.detail ? ` ${rollout.detail}` : "");
  }

  const code = (text) => el("code", {}, text);
  const capital = (text) => text[0].toUpperCase() + text.slice(1);

  /** The text of [start, end) in spans, one per token, coloured by how unlikely each was. */
  function tokens(rollout, start, end, heat) {
    if (!heat || !rollout.lengths) return [rollout.text.slice(start, end)];
    const spans = [];
    let at = 0;
    rollout.lengths.forEach((length, place) => {
      const from = Math.max(at, start), to = Math.min(at + length, end);
      if (to > from) {
        const tenths = rollout.surprise[place], p = Math.exp(-tenths / 10);
        const level = Math.min(5, Math.floor(tenths / 5) + (tenths >= 1 ? 1 : 0));
        spans.push(el("span", { class: `token h${level}`, title: `p ${p > 0.95 ? "> 0.95" : p < 0.001 ? "< 0.001" : `≈ ${p.toPrecision(2)}`}` }, rollout.text.slice(from, to)));
      }
      at += length;
    });
    return spans;
  }

  /** Where a text goes on after the blank at a place. */
  const pastBlank = (text, at) => at + text.slice(at).search(/\S|$/);

  function body(rollout, marker, heat) {
    const [kind, start, own] = look(rollout, marker), end = rollout.text.length;
    const part = (name, from, to, extra = null) => el("div", { class: "said" }, el("h5", {}, name, extra), el("p", { class: "text" }, tokens(rollout, pastBlank(rollout.text, from), to, heat)));
    if (kind === "none") return [part("Response", 0, end)];
    const trigger = kind === "forced" ? el("p", { class: "trigger" }, el("span", { class: "hidden" }, "Trigger, put there: "), rollout.text.slice(start, own).trim()) : null;
    return [
      part("First answer", 0, start),
      el("div", { class: "second" }, trigger, part(kind === "forced" ? "Second look, forced" : "Second look, its own", own, end)),
    ];
  }

  function advantage(rollout, most) {
    const share = Math.min(1, Math.abs(rollout.advantage) / (most || 1));
    return el("span", { class: "advantage", title: "advantage" },
      el("i", { "aria-hidden": "true", class: rollout.advantage < 0 ? "less" : "more", style: { width: `${50 * share}%` } }),
      el("span", {}, signed(rollout.advantage)));
  }

  Object.assign(Rethinker, { look, change, reason, body, advantage, OUTCOMES, LOOKS });
})();
