// The parts of a code as parts of a body: stripes from head to feet, and what tells of the whole.

import { byId, html, show } from "./dom.js";
import { percent } from "./words.js";

const WHOLE = "whole", HEAD = "head", UPPER = "upper", LOWER = "lower";
const TITLES = { [HEAD]: "Head", [UPPER]: "Upper body", [LOWER]: "Lower body", [WHOLE]: "As a whole" };
const ORDER = [HEAD, UPPER, LOWER, WHOLE];
const NECK = 0.15, WAIST = 0.5; // shares of a person's height, from above
const STRIPE = /^stripe\d+$/;
const CHANCE = 0.5; // share of bits that differ between codes of people who have nothing to do with each other

/** Names and bits of the parts of a code, grouped by where they are on the body. */
export class Body {
  /** Take the parts of a gallery's codes, `{name: bits, ...}`, and offer those that a search can be limited to. */
  constructor(parts, changed) {
    const names = Object.keys(parts), stripes = names.filter((name) => STRIPE.test(name));
    this.bits = new Map(Object.entries(parts));
    this.groups = new Map(ORDER.map((group) => [group, []]));
    for (const name of names) this.groups.get(groupOf(name, stripes.length)).push(name);
    const offered = [HEAD, UPPER, LOWER].filter((group) => this.groups.get(group).length);
    const place = byId("parts");
    place.replaceChildren(place.querySelector("legend"), ...[["", "Whole"], ...offered.map((group) => [group, TITLES[group].replace(" body", "")])]
      .map(([value, title]) => html("label", {}, html("input", { type: "radio", name: "part", value, checked: value === "" }), html("span", {}, title))));
    place.onchange = changed;
    show(offered.length, place);
  }

  /** Return the names of the parts that were chosen; none for all. */
  get chosen() {
    const value = byId("parts").querySelector(":checked")?.value;
    return value ? this.groups.get(value) : [];
  }

  /** Return a small table of how much each part of the body differs, or null if nothing is told of it. */
  table(distances) {
    if (!distances) return null;
    const rows = ORDER.flatMap((group) => {
      const names = this.groups.get(group).filter((name) => name in distances);
      const bits = names.reduce((sum, name) => sum + this.bits.get(name), 0);
      const apart = names.reduce((sum, name) => sum + distances[name], 0);
      return bits ? [row(TITLES[group], apart / bits)] : [];
    });
    return rows.length ? html("dl", { class: "parts" }, rows) : null;
  }
}

function groupOf(name, n) {
  if (!STRIPE.test(name)) return WHOLE;
  const middle = (Number(name.slice("stripe".length)) - 0.5) / n;
  return middle < NECK ? HEAD : middle < WAIST ? UPPER : LOWER;
}

function row(title, share) {
  const bar = html("span", { class: "bar", "aria-hidden": "true" }, html("span"));
  bar.firstChild.style.width = `${Math.min(share / CHANCE, 1) * 100}%`;
  return html("div", {}, html("dt", {}, title), html("dd", {}, bar, percent(share)));
}
