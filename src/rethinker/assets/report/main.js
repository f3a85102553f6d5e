"use strict";
// Puts the page together, follows its links, and, where it is served live, asks for what is new.
(() => {
  const { el, Browser, plural, count } = Rethinker;
  const given = JSON.parse(document.getElementById("data").textContent);
  const runs = given.runs, charts = Boolean(Rethinker.health);
  const sections = {};
  let shown = runs.length <= 3 ? runs : [runs[0]];

  function section(id, title, make) {
    const body = el("div", {});
    const place = el("section", { id, "aria-labelledby": `${id}-title` }, el("h2", { id: `${id}-title`, class: "title" }, title), body);
    sections[id] = () => {
      Rethinker.forget?.(body);
      body.replaceChildren(...[make()].flat(Infinity).filter(Boolean));
    };
    sections[id]();
    return place;
  }

  function head() {
    const steps = runs.map((run) => (run.metrics?.step ?? []).at(-1)).filter(Boolean);
    const states = [...new Set(runs.map((run) => (run.summary ? "finished" : "not finished")))];
    const about = charts ? `${runs.length > 1 ? `${plural(runs.length, "run")} · ` : ""}${steps.length ? `${plural(Math.max(...steps), "step")}` : "no step yet"} · ${states.join(", ")}` : "Responses";
    document.getElementById("head").replaceChildren(
      el("h1", {}, given.ablation ? `Ablation of ${plural(Object.keys(given.ablation.arms).length, "arm")}` : runs.length === 1 ? runs[0].name : runs.map((run) => run.name).slice(0, 4).join(" · ") + (runs.length > 4 ? " …" : "")),
      el("p", { class: "muted" }, about, given.live ? el("span", { id: "live", class: "live", role: "status" }, " live") : null),
      charts ? el("nav", { "aria-label": "Sections" }, Object.entries({ ablation: given.ablation ? "Ablation" : null, outcome: "Outcome", thinking: "Rethinking", rollouts: "Responses", health: "Health", compare: runs.length > 1 ? "Compare" : null, configuration: "Configuration" }).filter(([, name]) => name).map(([id, name]) => el("a", { href: `#${id}` }, name))) : el("nav", { "aria-label": "Pages" }, el("a", { href: given.index }, "All of the report")));
  }

  function chooser() {
    const choose = el("select", { id: "runs", onchange: () => { shown = [runs[Number(choose.value)]]; for (const id of ["outcome", "health", "thinking"]) sections[id](); } }, runs.map((run, place) => el("option", { value: place }, run.name)));
    return el("label", { class: "chooser" }, "Outcome, rethinking and health of ", choose);
  }

  function configurations() {
    return runs.map((run) => el("details", {}, el("summary", {}, runs.length > 1 ? run.name : "Resolved configuration"), el("pre", { tabindex: "0" }, JSON.stringify(run.config, null, 2))));
  }

  function parts() {
    if (!given.parts?.length) return null;
    return el("ul", { class: "parts" }, given.parts.map((part) => el("li", {}, el("a", { href: part.file }, part.title), `, ${plural(part.responses, "response")}`)));
  }

  const browser = new Browser(runs);
  const main = document.getElementById("main");
  head();
  if (charts) {
    main.replaceChildren(
      ...(given.ablation ? [section("ablation", "Ablation", () => Rethinker.ablation(given.ablation, runs))] : []),
      runs.length > 3 ? chooser() : "",
      section("outcome", "Outcome", () => Rethinker.outcome(shown)),
      section("thinking", "Rethinking", () => Rethinker.thinking(shown)),
      section("rollouts", "What it said", () => [given.parts?.length ? el("p", {}, "Every response is on these pages:") : null, parts(), browser.section]),
      section("health", "Health", () => Rethinker.health(shown)),
      ...(runs.length > 1 ? [section("compare", "Compare", () => Rethinker.compare(runs, given.ablation))] : []),
      section("configuration", "Configuration", configurations));
    document.getElementById("outcome-title").classList.add("hidden");
  } else {
    main.replaceChildren(section("rollouts", "What it said", () => browser.section));
  }

  function follow() {
    if (!location.hash.startsWith("#rollout/")) return;
    if (browser.follow(location.hash)) return;
    browser.status.textContent = "The response that this link names is not on this page; --all writes every one.";
  }
  addEventListener("hashchange", follow);
  if (location.hash.startsWith("#rollout/")) {
    follow();
    document.getElementById("rollouts").scrollIntoView();
  }

  // ---- live ----

  let pause = given.live?.seconds;

  async function ask() {
    const [run] = runs, steps = run.metrics.step ?? [];
    const state = document.getElementById("live");
    try {
      const token = new URLSearchParams(location.search).get("token") ?? "";
      const answer = await fetch(`changes?after=${steps.at(-1) ?? 0}&mark=${given.live.mark}&seen=${given.live.seen}&ended=${Boolean(run.summary)}`, { headers: { authorization: `Bearer ${token}` }, cache: "no-store" });
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      const news = await answer.json();
      pause = news.seconds;
      take(run, news);
      state.textContent = " live";
    } catch (error) {
      state.textContent = ` not answering: ${error.message}`;
    }
    setTimeout(ask, 1000 * pause);
  }

  function take(run, news) {
    if (news.anew) return location.reload();
    if (!news.changed) return undefined;
    const before = (run.metrics.step ?? []).length, more = (news.metrics.step ?? []).length;
    for (const name of new Set([...Object.keys(run.metrics), ...Object.keys(news.metrics)])) {
      run.metrics[name] = [...(run.metrics[name] ?? Array(before).fill(null)), ...(news.metrics[name] ?? Array(more).fill(null))];
    }
    Object.assign(run, { summary: news.summary, thinking: news.thinking });
    Object.assign(given.live, { mark: news.mark, seen: news.seen });
    browser.add(run, news.rollouts);
    head();
    for (const id of ["outcome", "thinking", "health"]) sections[id]();
    return undefined;
  }

  if (given.live) setTimeout(ask, 1000 * pause);
  Object.assign(Rethinker, { browser, count });
})();
