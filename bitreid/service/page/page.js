// The page: what is asked, what is answered, and what is decided.

import { call, key, Problem, withPictures } from "./api.js";
import { Description } from "./attributes.js";
import { Body } from "./body.js";
import { askForKey, openAdd, openDelete, openMerge, prepareDialogs, tooLarge } from "./dialogs.js";
import { byId, html, say, show } from "./dom.js";
import { showGallery, welcome } from "./gallery.js";
import { Limits } from "./limits.js";
import { Pictures } from "./pictures.js";
import { Results } from "./results.js";
import { count, explain } from "./words.js";

const FINAL = ["filter_error", "bad_request", "picture_error", "unsupported_media", "too_large", "wrong_model", "item_not_found"]; // the same again would not help
const WAIT_MS = 250; // changes that come together make one search

const PARTS_W = 10_000; // items whose parts are compared in a gallery that cannot compare those of all, such as one on Milvus

let partsHow = {};
let keyOfInfo = null; // `info` says what this key may do
let info = null, body = null, like = null, running = null, waiting = null;

const ask = byId("ask");
const mode = () => (like ? "item" : ask.elements.mode.value);
const soon = () => { clearTimeout(waiting); waiting = setTimeout(() => ready() && search(), WAIT_MS); };
const pictures = new Pictures({ chosen: () => (pictures.files.length ? search(true) : leave()), boxed: soon, refused: refuse });
const description = new Description(byId("attributes"), soon);
const limits = new Limits(soon);
const results = new Results({ more: searchLike, select: showSelected, name: () => byId("decide-person").focus() });

function ready() {
  if (mode() === "picture") return pictures.files.length > 0;
  return mode() === "item" || Object.keys(description.wanted).length > 0;
}

async function load() {
  try {
    info = await call("v1/info");
    keyOfInfo = key.get();
    showGallery(info);
    document.body.classList.toggle("searching", !info.scopes.includes("write"));
    if (!body) {
      body = new Body(info.contract.parts, soon);
      description.show(info.contract.attributes);
      const fits = info.contract.attributes.length > 0;
      ask.querySelector("[value=description]").closest("label").hidden = !fits;
    }
    showKey();
    return true;
  } catch (error) {
    byId("answer-title").textContent = "No answer";
    fail(error, start);
    return false;
  }
}

async function start() {
  byId("problem").replaceChildren();
  if (!(await load()) || running) return;
  if (ready()) search(); // what was chosen while the service was asked about its gallery
  else leave();
}

function stop() {
  running?.abort();
  running = null;
  byId("answer").removeAttribute("aria-busy");
}

/** Show what is in the gallery instead of an answer. */
function leave() {
  stop();
  results.clear();
  byId("answer-title").textContent = "In this gallery";
  if (info) byId("status").replaceChildren(welcome(info, add));
}

/** Search; `comes` says that the answer is waited for, and is to be seen where it lies below what is asked. */
async function search(comes = false) {
  clearTimeout(waiting);
  stop();
  byId("problem").replaceChildren();
  if (comes) show(false, byId("done"));
  if (!info && !(await load())) return;
  if (!ready()) {
    const what = mode() === "picture" ? ["No picture is chosen.", "Choose, drop or paste one first."] : ["Nothing is described.", "Press what the person wears."];
    showProblem(what);
    return;
  }
  const large = mode() === "picture" && tooLarge(pictures.files, info.limits);
  if (large) {
    results.clear();
    showProblem(explain(new Problem("too_large"), info.limits), large);
    return;
  }
  stop(); // one that began while the service was asked about its gallery
  const current = (running = new AbortController());
  byId("answer").setAttribute("aria-busy", "true");
  try {
    const [answer, asked] = await answered(current.signal);
    if (current.signal.aborted) return;
    if (key.get() !== keyOfInfo && !(await load())) return; // another key was asked for meanwhile
    results.show(answer, body, info, asked);
    if (comes) toAnswer();
    nameKnown(answer.hits);
  } catch (error) {
    if (error.name === "AbortError") return;
    results.clear();
    byId("answer-title").textContent = "No answer";
    fail(error, () => search(comes));
  } finally {
    if (running === current) stop();
  }
}

function toAnswer() {
  const answer = byId("answer");
  if (answer.getBoundingClientRect().top > innerHeight * 0.6) answer.scrollIntoView();
}

/** Return the answer of the service, and what was asked. */
async function answered(signal) {
  const k = Number(byId("k").value), where = limits.where;
  if (mode() === "description") {
    const wanted = description.wanted;
    const answer = await call("v1/search/attributes", { body: { wanted, k, where }, signal });
    return [first(answer), { kind: "description", n: Object.keys(wanted).length, limited: where !== null }];
  }
  const parts = body.chosen, request = { k, where, parts, by: byId("by").value };
  const asked = { kind: mode(), limited: where !== null, parts: parts.length > 0, bits: parts.length ? parts.reduce((sum, name) => sum + body.bits.get(name), 0) : info.contract.n_bits };
  const send = () => {
    const own = parts.length ? { ...request, ...partsHow } : request;
    const sent = like ? { ...own, id: like.id } : withPictures({ ...own, ...pictures.request }, pictures.files);
    return call("v1/search", { body: sent, signal });
  };
  try {
    return [first(await send()), asked];
  } catch (error) {
    if (error.kind !== "unsupported" || !parts.length || partsHow.w) throw error;
    partsHow = { w: PARTS_W };
    return [first(await send()), asked];
  }
}

const first = (answer) => answer.queries?.[0] ?? answer;

function fail(error, again) {
  const problem = error instanceof Problem ? error : new Problem("page", error.message);
  const detail = ["filter_error", "bad_request", "picture_error", "wrong_model", "unauthorised", "forbidden"].includes(problem.kind) ? problem.message : "";
  showProblem(explain(problem, info?.limits), detail, FINAL.includes(problem.kind) ? null : again);
  byId("answer").removeAttribute("aria-busy");
}

/** Return a problem in words, as elements. */
function told(error) {
  if (!(error instanceof Problem)) return [html("p", {}, error.message)];
  const [what, advice] = explain(error, info?.limits);
  return [html("p", {}, html("strong", {}, what), " ", advice)];
}

function showProblem([what, advice], detail = "", again = null) {
  const said = detail && detail !== what ? html("p", { class: "said" }, detail) : null;
  const button = again && html("button", { type: "button", onclick: again }, "Try again");
  byId("problem").replaceChildren(...[html("p", {}, html("strong", {}, what), " ", advice), said, button].filter(Boolean));
}

function refuse(file) {
  showProblem(explain(new Problem("picture_error")), `${file.name} is of the type ${file.type}.`);
}

// Modes.

function showMode() {
  const now = mode();
  show(now === "picture", byId("by-picture"));
  show(now === "item", byId("by-item"));
  show(now === "description", byId("by-description"));
  show(now !== "description" && body?.groups, byId("parts"));
  show(now !== "description", byId("by-place"));
}

function searchLike(hit) {
  like = hit;
  byId("item-name").textContent = hit.person === null ? String(hit.id) : `${hit.id} (${hit.person})`;
  ask.elements.mode.value = "picture";
  showMode();
  search();
  byId("answer").focus();
}

// Decisions.

function showSelected(selected) {
  show(selected.size, byId("decide"));
  document.body.classList.toggle("deciding", selected.size > 0);
  byId("selected-count").textContent = `${count(selected.size, "picture")} selected`;
  if (selected.size) say(`${count(selected.size, "picture")} selected. Enter to say who it is.`);
}

function nameKnown(hits) {
  const known = new Set([...byId("people").children].map((option) => option.value));
  for (const { person } of hits) if (person !== null) known.add(person);
  byId("people").replaceChildren(...[...known].sort().map((value) => html("option", { value })));
}

async function decide(action) {
  const person = byId("decide-person").value.trim();
  if (!person) {
    byId("decide-person").focus();
    showProblem(["Who?", "Enter the name of the person first."]);
    return;
  }
  try {
    const answer = await call(`v1/persons/${action}`, { body: { ids: [...results.selected].map((hit) => hit.id), person } });
    const n = answer.items, verb = n === 1 ? "shows" : "show";
    await done({ words: action === "confirm" ? `${count(n, "picture")} now ${verb} ${person}.` : `${count(n, "picture")} no longer ${verb} ${person}.`, undo: true });
  } catch (error) {
    fail(error, () => decide(action));
  }
}

async function undo() {
  try {
    const { undone } = await call("v1/persons/undo", { method: "POST" });
    await done({ words: undone ? `Undone: ${undone}.` : "There is no decision to undo." });
  } catch (error) {
    fail(error, undo);
  }
}

/** Say what was done, and show the gallery and the answer as they are now. */
async function done({ words, undo: undoable = false }) {
  byId("problem").replaceChildren();
  byId("done-words").textContent = words;
  show(true, byId("done"));
  show(undoable, byId("done-undo"));
  results.selectNone();
  if (await load()) await (ready() ? search() : leave());
  byId("answer").focus({ preventScroll: true });
  say(words);
}

function add() {
  openAdd(info, { tell: told, done });
}

function showKey() {
  byId("open-key").textContent = key.get() ? "Change key" : "Key";
}

async function changeKey() {
  if (await askForKey(false, true)) {
    stop();
    start();
  }
  showKey();
}

prepareDialogs();
key.ask = async (wrong) => { const given = await askForKey(wrong); showKey(); return given; };
ask.addEventListener("submit", (event) => { event.preventDefault(); search(true); });
for (const radio of ask.querySelectorAll("[name=mode]")) {
  radio.addEventListener("change", () => { like = null; showMode(); if (ready()) search(); else leave(); });
}
for (const id of ["k", "by"]) byId(id).addEventListener("change", soon);
byId("item-clear").addEventListener("click", () => { like = null; showMode(); if (ready()) search(); else leave(); });
byId("attributes-clear").addEventListener("click", () => { description.clear(); leave(); });
byId("select-none").addEventListener("click", () => results.selectNone());
byId("decide-form").addEventListener("submit", (event) => { event.preventDefault(); decide("confirm"); });
byId("reject").addEventListener("click", () => decide("reject"));
byId("delete").addEventListener("click", () => openDelete([...results.selected], { tell: told, done }));
byId("undo").addEventListener("click", undo);
byId("done-undo").addEventListener("click", undo);
byId("done-close").addEventListener("click", () => show(false, byId("done")));
byId("open-add").addEventListener("click", () => (info ? add() : start()));
byId("open-merge").addEventListener("click", () => openMerge({ tell: told, done }));
byId("open-key").addEventListener("click", changeKey);
start();
