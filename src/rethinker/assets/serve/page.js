// Asks /v1/chat/completions and shows the looks of the answer as they come. What a model wrote is only ever set as text.
"use strict";

const part = (id) => document.getElementById(id);
let image = null, asking = null;

function make(kind, name, text = "") {
  const made = document.createElement(kind);
  made.className = name;
  made.textContent = text;
  return made;
}

function say(id, text) {
  part(id).textContent = text;
  part(id).hidden = !text;
}

// ---- the image ----

function take(file) {
  if (!file) return;
  if (!file.type.startsWith("image/")) return say("error", `${file.name || "This"} is not an image.`);
  say("error", "");
  if (image) URL.revokeObjectURL(part("shown").src);
  image = file;
  part("shown").src = URL.createObjectURL(file);
  part("shown").hidden = part("remove").hidden = false;
  part("hint").hidden = true;
}

function remove() {
  URL.revokeObjectURL(part("shown").src);
  image = null;
  part("file").value = "";
  part("shown").removeAttribute("src");
  part("shown").hidden = part("remove").hidden = true;
  part("hint").hidden = false;
}

function asDataUrl(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(reader.error);
    reader.readAsDataURL(file);
  });
}

// ---- the answer ----

function lookOf(number) {
  const there = part("looks").children[number];
  if (there) return there;
  const look = make("article", number ? "look again" : "look");
  look.append(make("h2", "", number ? (number > 1 ? `Second look ${number}` : "Second look") : "First answer"));
  if (number) look.append(make("p", "trigger"));
  look.append(make("div", "text"));
  part("looks").append(look);
  return look;
}

function conclude(rethink) {
  const verdict = part("verdict");
  verdict.replaceChildren("Answer: ", make("strong", "", rethink.answer ?? "none was boxed"));
  if (rethink.looks.length > 1) {
    const first = rethink.looks[0].answer ?? "none";
    verdict.append(make("span", rethink.changed ? "tag changed" : "tag",
      rethink.changed ? `changed, first: ${first}` : "unchanged"));
  }
  verdict.hidden = false;
}

function follow(chunk) {
  if (chunk.error) throw new Error(chunk.error.message);
  const [choice] = chunk.choices;
  if (!choice) return;
  const { content, look, kind } = choice.delta;
  if (content && look !== undefined) {
    const shown = lookOf(look).querySelector(kind === "trigger" ? ".trigger" : ".text");
    shown.append(shown.textContent ? content : content.trimStart());
  }
  if (choice.rethink) conclude(choice.rethink);
  if (choice.finish_reason === "length") say("error", "It ran out of tokens before it was done.");
}

async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let held = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (held + value).split("\n\n");
    held = events.pop();
    for (const event of events)
      if (event.startsWith("data: ") && event !== "data: [DONE]") follow(JSON.parse(event.slice(6)));
  }
}

function headers() {
  const token = part("token").value.trim();
  return { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
}

async function failure(reply) {
  if (reply.status === 401) {
    part("key").hidden = false;
    part("token").focus();
    return "This server asks for its access token.";
  }
  const said = await reply.json().catch(() => null);
  return said?.error?.message ?? `The server answered with status ${reply.status}.`;
}

async function ask(event) {
  event.preventDefault();
  if (asking) return;
  asking = new AbortController();
  part("looks").replaceChildren();
  say("error", "");
  say("verdict", "");
  say("status", "Thinking …");
  part("ask").disabled = true;
  part("stop").hidden = false;
  let ended = "";
  try {
    const shown = image ? [{ type: "image_url", image_url: { url: await asDataUrl(image) } }] : [];
    const reply = await fetch("/v1/chat/completions", {
      method: "POST", headers: headers(), signal: asking.signal,
      body: JSON.stringify({
        messages: [{ role: "user", content: [...shown, { type: "text", text: part("question").value }] }],
        temperature: 0, stream: true, rethink: part("rethink").value,
      }),
    });
    if (!reply.ok) throw new Error(await failure(reply));
    await read(reply.body);
  } catch (error) {
    if (error.name === "AbortError") ended = "Stopped.";
    else say("error", error.message);
  }
  asking = null;
  say("status", ended);
  part("ask").disabled = false;
  part("stop").hidden = true;
}

// ---- what the reader does ----

const drop = part("drop");
for (const kind of ["dragenter", "dragover", "dragleave", "drop"])
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files[0]);
  });
part("file").addEventListener("change", (event) => take(event.target.files[0]));
part("remove").addEventListener("click", remove);
part("form").addEventListener("submit", ask);
part("stop").addEventListener("click", () => asking?.abort());
part("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); part("form").requestSubmit(); }
});
document.addEventListener("paste", (event) => take([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
