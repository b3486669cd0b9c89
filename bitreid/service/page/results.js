// The answer: hits as cards, above and below the line where certainty ends.

import { pictureAddress } from "./api.js";
import { byId, html, say, show } from "./dom.js";
import { describe, figure } from "./figure.js";
import { cameraName, count, number, percent, personName, time } from "./words.js";

/** The hits of a search, and which of them are selected; `select` is called when others are, `name` to say who it is. */
export class Results {
  constructor({ more, select, name }) {
    Object.assign(this, { more, select, name, hits: [], selected: new Set(), addresses: [], loading: null });
  }

  clear() {
    this.loading?.abort();
    this.addresses.forEach(URL.revokeObjectURL);
    Object.assign(this, { hits: [], addresses: [], loading: null });
    byId("results").replaceChildren();
    byId("status").replaceChildren();
    byId("answer").classList.remove("nobody");
    this.selectNone();
  }

  selectNone() {
    this.selected.clear();
    for (const box of byId("results").querySelectorAll("input.select")) box.checked = false;
    this.select(this.selected);
  }

  /** Show an answer; `body` groups the parts, `asked` says what was searched for. */
  show(answer, body, info, asked) {
    this.clear();
    this.hits = answer.hits;
    this.loading = new AbortController();
    const certain = answer.hits.filter((hit) => hit.certain), others = answer.hits.filter((hit) => !hit.certain);
    const [title, words] = conclusion(answer, certain, asked);
    byId("answer-title").textContent = title;
    const seen = Object.entries(answer.attributes ?? {}).filter(([, probability]) => probability > 0.5).map(([attribute]) => attribute);
    byId("status").replaceChildren(html("p", {}, words), ...(seen.length ? [html("p", { class: "recognised" }, `Recognised in your picture: ${describe(seen)}.`)] : []));
    byId("answer").classList.toggle("nobody", answer.nobody && answer.n_gallery > 0 && asked.kind !== "description");
    const places = [];
    const card = (hit) => this.#card(hit, body, info, asked);
    if (certain.length) places.push(html("ol", { class: "hits", "aria-label": "Certain" }, certain.map(card)));
    if (others.length && answer.threshold !== null) {
      places.push(html("h3", { class: "line" }, certain.length ? "Not certain" : "The nearest, though none is certain"));
    }
    if (others.length) places.push(html("ol", { class: "hits", "aria-label": certain.length ? "Not certain" : "Nearest" }, others.map(card)));
    byId("results").replaceChildren(...places);
    say(`${title}. ${words}`);
  }

  #card(hit, body, info, asked) {
    const name = personName(hit.person);
    const heading = html("h3", { class: hit.person === null ? "unnamed" : null }, name);
    const box = html("input", { type: "checkbox", class: "select", "aria-label": `Select ${name}, picture ${hit.id}` });
    box.addEventListener("change", () => {
      if (box.checked) this.selected.add(hit);
      else this.selected.delete(hit);
      this.select(this.selected);
    });
    // Who decides by keyboard need not pass all hits that follow.
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      if (!box.checked) box.click();
      this.name();
    });
    const where = hit.camera === null ? "camera unknown" : cameraName(hit.camera, hit.camera_name);
    const when = hit.time ? html("time", { datetime: hit.time }, time(hit.time)) : "time unknown";
    const more = html("button", { type: "button", class: "link", "aria-label": `More like picture ${hit.id}`, onclick: () => this.more(hit) }, "More like this");
    return html("li", { class: hit.certain ? "hit certain" : "hit" },
      this.#likeness(hit, info),
      html("div", { class: "facts" },
        html("div", { class: "top" }, heading, html("label", { class: "pick" }, box)),
        nearness(hit, info, asked),
        body.table(hit.part_distances),
        html("p", { class: "seen" }, html("span", {}, where), html("span", {}, when)),
        html("div", { class: "foot" }, more, html("details", {}, html("summary", {}, "Details"), details(hit)))));
  }

  #likeness(hit, info) {
    const wears = wearing(hit);
    const place = html("div", { class: "likeness" }, figure(wears));
    if (!hit.picture || !info.keeps_pictures) return place;
    pictureAddress(hit.picture, this.loading.signal).then((address) => {
      if (!address) return;
      this.addresses.push(address);
      place.replaceChildren(html("img", { src: address, alt: `Picture ${hit.id}: ${describe(wears)}` }));
    }, () => {}); // the figure stays
    return place;
  }
}

/** Return the names of the attributes that the code of a hit has. */
const wearing = (hit) => Object.values(hit.attributes ?? {}).flat();

function nearness(hit, info, asked) {
  const lines = [];
  if (hit.probability !== null) {
    lines.push(html("p", { class: "probability" }, html("strong", {}, percent(hit.probability)), " the same person"));
  }
  if (asked.kind === "description") {
    const wrong = Math.round(hit.distance);
    lines.push(html("p", { class: "distance" }, wrong ? `${wrong} of ${asked.n} differ` : `all ${asked.n} fit`));
  } else {
    const bits = number(Math.round(hit.distance * 10) / 10);
    lines.push(html("p", { class: "distance" }, `Distance ${bits} of ${number(asked.bits)} bits`));
  }
  if (hit.votes > 1) lines.push(html("p", { class: "distance" }, `seen in ${count(hit.votes, "picture")}`));
  return html("div", {}, lines);
}

function details(hit) {
  const rows = [["Id", String(hit.id)], ["Wears", describe(wearing(hit))], ["Tracklet", hit.tracklet], ["Source", hit.source]];
  if (hit.metadata) rows.push(...Object.entries(hit.metadata).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]));
  const known = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return html("dl", { class: "details" }, known.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value))));
}

/** Return a title and a sentence that say what was found. */
function conclusion(answer, certain, asked) {
  const among = `${count(answer.n_gallery, "picture")} compared`;
  if (!answer.n_gallery) {
    if (!asked.limited) {
      const empty = "The gallery is empty. Add pictures of people, cut to one person each, and search among them.";
      return ["Nothing to compare", asked.kind === "item" ? "No other picture is in the gallery." : empty];
    }
    const missing = answer.unmet.length ? `: none has ${answer.unmet.join(" or ")}` : "";
    return ["Nothing to compare", `No picture in the gallery is within these limits${missing}.`];
  }
  if (!answer.hits.length) return ["Nobody found", `${among}, and none of them fits.`];
  if (asked.kind === "description") {
    const best = Math.round(answer.hits[0].distance);
    return best ? ["Nobody fits in all", `${among}. The nearest are shown.`] : ["By clothing", `${among}; those that fit best come first.`];
  }
  if (answer.threshold === null) {
    const why = asked.parts ? "by parts of the body nobody knows which hits are certain" : "this gallery is not calibrated, so nobody knows which hits are certain";
    return ["The nearest", `${among}; ${why}.`];
  }
  if (answer.nobody) {
    const least = answer.threshold < 0 ? "In so large a gallery no distance is near enough to be certain." : `To be certain among so many, one would have to be within ${number(answer.threshold)} bits.`;
    return ["Nobody in the gallery, as far as can be told", `${among}. ${least}`];
  }
  return [`${count(certain.length, "certain hit")}`, `${among}; up to ${number(answer.threshold)} bits a hit is certain. Of 100 searches for people who are not there, about one finds somebody by mistake.`];
}
