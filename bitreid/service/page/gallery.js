// What is in the gallery: the line at the top, and the tables before anything was searched.

import { byId, html, show } from "./dom.js";
import { cameraName, count, number } from "./words.js";

/** Return the cameras of the gallery, `{camera, name}`; `name` is null for one without. */
export const camerasOf = (info) => Object.entries(info.cameras).map(([camera, name]) => ({ camera: Number(camera), name })).sort((a, b) => a.camera - b.camera);

/** Show what the service says of its gallery. */
export function showGallery(info) {
  const cameras = camerasOf(info);
  const parts = [count(info.items, "picture"), info.persons && count(info.persons, "person", "people"), cameras.length && count(cameras.length, "camera")];
  byId("gallery-line").textContent = parts.filter(Boolean).join(" · ");
  byId("camera-names").replaceChildren(...cameras.map(({ camera, name }) => html("option", { value: name ?? String(camera) })));
  const place = byId("cameras"), chosen = new Set([...place.querySelectorAll(":checked")].map((box) => box.value));
  place.replaceChildren(place.querySelector("legend"), ...cameras.map(({ camera, name }) =>
    html("label", {}, html("input", { type: "checkbox", value: String(camera), checked: chosen.has(String(camera)) }), name ?? `Camera ${camera}`)));
  show(cameras.length > 1, place);
}

/** Return the page that is there before a search: how to begin, and what is in the gallery. */
export function welcome(info, add) {
  const cameras = camerasOf(info);
  if (!info.items) {
    return html("div", {}, html("p", {}, "The gallery is empty. Add pictures of people, cut to one person each, and search among them."),
      html("button", { type: "button", class: "main", onclick: add }, "Add pictures"));
  }
  const facts = [["Pictures", number(info.items)]];
  if (info.persons !== null) facts.push(["People with a name", number(info.persons)]);
  if (cameras.length) facts.push(["Cameras", cameras.map(({ camera, name }) => cameraName(camera, name)).join(", ")]);
  facts.push(["Model", `${info.contract.name}, codes of ${number(info.contract.n_bits)} bits`]);
  facts.push(["Pictures kept", info.keeps_pictures ? "small ones, shown with each hit" : "none: a drawn figure shows the clothing that was recognised"]);
  return html("div", {},
    html("p", {}, "Drop a picture of a person anywhere on this page, paste one, or choose one. Or describe the clothing."),
    html("dl", { class: "facts-table" }, facts.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)))));
}
