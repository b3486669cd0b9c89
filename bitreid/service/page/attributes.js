// A description of a person: a button for each attribute, which is wanted, unwanted, or may be anything.

import { html } from "./dom.js";
import { COLOURS } from "./figure.js";
import { attributeName, groupName } from "./words.js";

const STATES = ["any", "wanted", "unwanted"];
const MARKS = { any: "", wanted: "+", unwanted: "\u2212" };

/** The attributes of the gallery as buttons; `changed` is called when one is pressed. */
export class Description {
  constructor(place, changed) {
    Object.assign(this, { place, changed, states: new Map() });
  }

  /** Show the attributes, `[{name, group}, ...]`; groups of several values, such as colours, come first. */
  show(attributes) {
    const groups = Map.groupBy(attributes, (each) => each.group);
    const several = [...groups].filter(([, members]) => members.length > 1);
    const single = [...groups].filter(([, members]) => members.length === 1).map(([, [only]]) => only);
    const sets = several.map(([group, members]) => this.#set(groupName(group), members));
    this.place.replaceChildren(...sets, ...(single.length ? [this.#set("Also", single)] : []));
  }

  /** Return the attributes that were chosen: 1 for wanted, 0 for unwanted. */
  get wanted() {
    const chosen = [...this.states].filter(([, state]) => state !== "any");
    return Object.fromEntries(chosen.map(([name, state]) => [name, Number(state === "wanted")]));
  }

  clear() {
    for (const button of this.place.querySelectorAll("button")) this.#put(button, "any");
  }

  #set(title, members) {
    return html("fieldset", { class: "toggles" }, html("legend", {}, title), html("div", {}, members.map((each) => this.#button(each))));
  }

  #button({ name }) {
    const [group, value] = name.split("=");
    const swatch = group.endsWith("colour") ? html("span", { class: "swatch", "aria-hidden": "true" }) : null;
    if (swatch) swatch.style.backgroundColor = COLOURS[value] ?? "transparent";
    const label = value?.replaceAll("_", " ") ?? attributeName(name);
    const mark = html("span", { class: "mark", "aria-hidden": "true" });
    const button = html("button", { type: "button", class: "toggle", "data-attribute": name }, swatch, html("span", {}, label), mark);
    button.addEventListener("click", () => {
      this.#put(button, STATES[(STATES.indexOf(button.dataset.state) + 1) % STATES.length]);
      this.changed();
    });
    this.#put(button, this.states.get(name) ?? "any");
    return button;
  }

  #put(button, state) {
    const name = button.dataset.attribute;
    this.states.set(name, state);
    button.dataset.state = state;
    button.querySelector(".mark").textContent = MARKS[state];
    button.setAttribute("aria-label", `${attributeName(name)}: ${state}`);
  }
}
