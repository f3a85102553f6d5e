"use strict";
// What the model said: a list that is filtered, and beside it one problem with its whole group.
(() => {
  const { el, plural, count, look, change, reason, body, advantage, OUTCOMES, LOOKS, filters, passing, blank, signed } = Rethinker;
  const AT_ONCE = 50;

  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

  const address = (entry) => `#rollout/${[entry.run.name, entry.group.step, entry.group.problem, entry.rollout.sample].map(encodeURIComponent).join("/")}`;

  /** Every response of the page, in the order of steps. */
  function entriesOf(runs) {
    return runs.flatMap((run) => {
      const marker = new RegExp(`\\b${escaped(run.config?.evaluation?.marker ?? "wait")}\\b`, "i");
      return run.rollouts.groups.flatMap((group) => group.rollouts.map((rollout) => ({
        run, group, rollout, marker, family: group.family + (group.level ? `, level ${group.level}` : ""), look: look(rollout, marker)[0], change: change(rollout),
      })));
    });
  }

  class Browser {
    constructor(runs) {
      this.runs = runs;
      this.entries = entriesOf(runs);
      this.wanted = blank();
      this.heat = true;
      this.shown = AT_ONCE;
      this.found = this.entries;
      this.chosen = null;
      this.status = el("p", { class: "found", role: "status" });
      this.list = el("ol", { class: "found-list", "aria-label": "Responses found" });
      this.detail = el("div", { class: "detail" });
      this.more = el("button", { type: "button", class: "quiet", onclick: () => { this.shown += AT_ONCE; this.fill(); } }, "Show more");
      this.form = el("div", {}, filters(this.entries, runs, this.wanted, () => this.filter()));
      this.section = el("div", { class: "browser" },
        el("p", { class: "lead" }, this.sampled()), this.form,
        el("div", { class: "panes" }, el("div", { class: "left" }, this.status, this.list, this.more), this.detail),
        el("p", { class: "muted keys" }, "Keys: ", ...["j next", "k previous", "/ search", "h heat of tokens"].flatMap((key) => [el("kbd", {}, key[0]), `${key.slice(1)}   `])));
      addEventListener("keydown", (event) => this.key(event));
      this.filter();
    }

    /** "N of M": what of the run is on this page. */
    sampled() {
      return this.runs.map((run) => {
        const held = run.rollouts.groups.reduce((sum, group) => sum + group.rollouts.length, 0), total = run.rollouts.total;
        const name = this.runs.length > 1 ? `${run.name}: ` : "";
        if (!total) return `${name}No responses are on record.`;
        return held === total ? `${name}All ${plural(total, "recorded response")}. ` : `${name}${count(held)} of ${plural(total, "recorded response")}: whole groups, those with a kept second look or a changed answer first, then evenly over the steps. `;
      }).join(" ");
    }

    filter() {
      this.found = passing(this.entries, this.wanted);
      this.shown = AT_ONCE;
      this.status.textContent = `${plural(this.found.length, "response")} found${this.found.length === this.entries.length ? "" : ` of ${count(this.entries.length)}`}`;
      this.fill();
      if (!this.chosen && this.found.length) this.show(this.found.find((entry) => entry.look === "forced") ?? this.found.find((entry) => entry.look === "own") ?? this.found[0]);
    }

    fill() {
      this.list.replaceChildren(...this.found.slice(0, this.shown).map((entry) => this.item(entry)));
      this.more.hidden = this.found.length <= this.shown;
    }

    item(entry) {
      const { rollout, group } = entry, right = rollout.outcome === "ok";
      return el("li", {}, el("a", { href: address(entry), class: "item", "aria-current": entry === this.chosen ? "true" : null },
        el("span", { class: right ? "sign good" : "sign bad", "aria-hidden": "true" }, right ? "✓" : "✗"),
        el("span", { class: "item-text" },
          el("span", { class: "item-head" }, el("span", { class: "hidden" }, `${OUTCOMES[rollout.outcome]}, `), `step ${group.step} · ${entry.family || group.problem} · ${signed(rollout.advantage)}`),
          el("span", { class: "item-words" }, rollout.text.slice(0, 90).replaceAll(/\s+/g, " ")),
          entry.look === "none" ? null : el("span", { class: `tag ${entry.look}` }, entry.change ?? LOOKS[entry.look]))));
    }

    /** Show a response with its group; `moved` when a person asked for it. */
    show(entry, moved = false) {
      this.chosen = entry;
      for (const link of this.list.querySelectorAll("a")) {
        if (link.getAttribute("href") === address(entry)) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      const { run, group } = entry;
      const right = group.rollouts.filter((each) => each.outcome === "ok").length;
      this.detail.replaceChildren(
        el("div", { class: "problem" },
          group.images.map((name, place) => (run.rollouts.images[name] ? el("img", { src: run.rollouts.images[name], alt: `Image ${place + 1} of the problem` }) : el("p", { class: "muted" }, "The image is no longer on record."))),
          el("div", {},
            el("p", { class: "muted" }, `${this.runs.length > 1 ? `${run.name} · ` : ""}step ${group.step} · ${group.problem}`),
            el("h3", { class: "question", tabindex: "-1" }, group.question.replaceAll("<image>", "").trim()),
            group.answer ? el("p", {}, "Right answer ", el("code", {}, group.answer)) : null,
            el("p", { class: "muted" }, `${right} of ${plural(group.rollouts.length, "response")} right.`),
            this.again(entry))),
        el("label", { class: "heat" }, el("input", { type: "checkbox", checked: this.heat, onchange: (event) => { this.heat = event.target.checked; this.show(this.chosen); } }), "Colour tokens by how unlikely they were",
          el("span", { class: "scale", "aria-hidden": "true" }, [0, 1, 2, 3, 4, 5].map((level) => el("i", { class: `token h${level}` }))), el("span", { class: "muted" }, "p 1 → below 0.1")),
        el("div", { class: "group" }, this.group(entry)));
      if (moved) this.detail.querySelector(".response.open")?.scrollIntoView({ block: "nearest" });
    }

    group(entry) {
      const most = Math.max(...entry.group.rollouts.map((each) => Math.abs(each.advantage)));
      return this.entries.filter((each) => each.group === entry.group).map((each) => {
        const { rollout } = each, open = each === entry, right = rollout.outcome === "ok";
        return el("article", { class: open ? "response open" : "response" },
          el("a", { class: "bar-head", href: address(each), "aria-expanded": null, "aria-current": open ? "true" : null },
            el("span", { class: right ? "sign good" : "sign bad", "aria-hidden": "true" }, right ? "✓" : "✗"),
            el("span", {}, `Response ${rollout.sample + 1}, ${OUTCOMES[rollout.outcome]}`),
            el("span", { class: "muted" }, rollout.extracted === null ? "no answer" : Rethinker.shortText(rollout.extracted)),
            each.look === "none" ? null : el("span", { class: `tag ${each.look}` }, each.change ?? LOOKS[each.look]),
            el("span", { class: "push muted" }, `reward ${Number(rollout.reward.toFixed(3))}`),
            advantage(rollout, most)),
          open ? el("div", { class: "open-text" }, body(rollout, each.marker, this.heat), reason(rollout, entry.group.answer)) : null);
      });
    }

    /** The same problem at other steps of the run. */
    again({ run, group }) {
      const times = run.thinking?.again[group.problem];
      if (!times) return null;
      return el("p", { class: "again" }, "This problem over training: ", times.map(([step, right, size], place) => {
        const other = this.entries.find((each) => each.run === run && each.group.problem === group.problem && each.group.step === step);
        const text = `step ${step}: ${right} of ${size} right`;
        const here = step === group.step;
        return [place ? " → " : "", here ? el("b", {}, text) : other ? el("a", { href: address(other) }, text) : text];
      }));
    }

    /** Follow a link to a response; whether it is on this page. */
    follow(hash) {
      const parts = hash.slice("#rollout/".length).split("/").map(decodeURIComponent);
      const [name, step, problem, sample] = parts;
      const entry = this.entries.find((each) => each.run.name === name && each.group.step === Number(step) && each.group.problem === problem && each.rollout.sample === Number(sample));
      if (entry) this.show(entry, true);
      return Boolean(entry);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.closest?.("input, select, textarea");
      if (event.key === "Escape" && typing) event.target.blur();
      if (typing) return;
      const move = { j: 1, k: -1 }[event.key];
      if (move) {
        const next = this.found[Math.max(0, this.found.indexOf(this.chosen) + move)];
        if (next) { if (this.found.indexOf(next) >= this.shown) { this.shown += AT_ONCE; this.fill(); } location.hash = address(next); }
      } else if (event.key === "/") {
        event.preventDefault();
        this.form.querySelector("input[type=search]").focus();
      } else if (event.key === "h" && this.chosen) {
        this.heat = !this.heat;
        this.show(this.chosen);
      }
    }

    /** Take in groups that are new on the page. */
    add(run, rollouts) {
      run.rollouts.total = rollouts.total;
      run.rollouts.groups.push(...rollouts.groups);
      Object.assign(run.rollouts.images, rollouts.images);
      this.entries = entriesOf(this.runs);
      const { chosen, shown } = this;
      this.found = passing(this.entries, this.wanted);
      if (chosen) this.chosen = this.entries.find((entry) => entry.rollout === chosen.rollout) ?? null;
      this.section.querySelector(".lead").textContent = this.sampled();
      this.filter();
      this.shown = shown;
    }
  }

  Rethinker.shortText = (text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text);
  Object.assign(Rethinker, { Browser });
})();
