// Limits of a search: cameras, times, a person, and a filter in words; together they are one filter's text.

import { byId } from "./dom.js";
import { quoted } from "./words.js";

/** The fields that limit a search; `changed` is called when one is. */
export class Limits {
  constructor(changed) {
    this.place = byId("limits");
    this.place.addEventListener("change", () => { this.#count(); changed(); });
    byId("limits-clear").addEventListener("click", () => {
      for (const box of this.#boxes) box.checked = false;
      for (const id of ["time-from", "time-to", "person", "where"]) byId(id).value = "";
      this.#count();
      changed();
    });
  }

  get #boxes() {
    return [...byId("cameras").querySelectorAll("input")];
  }

  get #terms() {
    const cameras = this.#boxes.filter((box) => box.checked).map((box) => box.value);
    const moment = (id) => (byId(id).value ? new Date(byId(id).value).toISOString() : null);
    const [from, to] = [moment("time-from"), moment("time-to")];
    const person = byId("person").value.trim(), where = byId("where").value.trim();
    return [
      cameras.length ? `camera in (${cameras.join(", ")})` : null,
      from && `time >= ${from}`,
      to && `time <= ${to}`,
      person && `person = ${quoted(person)}`,
      where && `(${where})`,
    ].filter(Boolean);
  }

  /** Return the filter's text, or null where nothing is limited. What was typed alone stays as it was typed. */
  get where() {
    const terms = this.#terms, typed = byId("where").value.trim();
    if (!terms.length) return null;
    return terms.length === 1 && typed ? typed : terms.join(" and ");
  }

  #count() {
    const n = this.#terms.length;
    byId("limits-count").textContent = n ? `(${n})` : "";
  }
}
