// The pictures that are searched for: dropped, pasted or picked.

import { Box } from "./box.js";
import { byId, html, say, show } from "./dom.js";
import { count } from "./words.js";

/** Pictures of one person. `chosen` is called when there are others, `boxed` when the box changes, `refused` for a file that is none. */
export class Pictures {
  constructor({ chosen, boxed, refused }) {
    Object.assign(this, { chosen, refused, files: [], addresses: [] });
    this.box = new Box(boxed);
    this.input = byId("pictures");
    this.image = byId("stage-image");
    this.input.addEventListener("change", () => {
      this.put([...this.input.files]);
      this.input.value = "";
    });
    // Browsers differ in whether Enter opens the list of files, as Space does.
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.input.click();
    });
    byId("pictures-clear").addEventListener("click", () => { this.put([], false); this.input.focus(); });
    this.image.addEventListener("load", () => {
      this.image.classList.toggle("wide", this.image.naturalWidth > 1.5 * this.image.naturalHeight);
      show(true, byId("box-help"));
      show(false, byId("stage-blind"));
      this.stageFits(true);
    });
    this.image.addEventListener("error", () => { if (this.files.length) { show(true, byId("stage-blind")); show(false, byId("box-help")); this.stageFits(false); } });
    this.#watchDrops();
  }

  get request() {
    return { box: this.box.pixels };
  }

  stageFits(visible) {
    show(visible, byId("stage"));
  }

  /** Take these pictures instead of those before. */
  put(files, announce = true) {
    const other = files.find((file) => file.type && !file.type.startsWith("image/"));
    if (other) {
      this.refused(other);
      return;
    }
    if (announce && !files.length) return;
    this.addresses.forEach(URL.revokeObjectURL);
    this.files = files;
    this.addresses = files.map((file) => URL.createObjectURL(file));
    this.box.clear();
    show(files.length, byId("chosen"));
    show(false, byId("stage-blind"));
    if (files.length) this.image.src = this.addresses[0];
    else this.image.removeAttribute("src");
    const others = this.addresses.slice(1).map((address, i) => html("li", {}, html("img", { src: address, alt: files[i + 1].name })));
    byId("others").replaceChildren(...others);
    show(others.length, byId("others"));
    byId("chosen-name").textContent = files.length > 1 ? `${files[0].name} and ${count(files.length - 1, "more picture")}` : files[0]?.name ?? "";
    byId("pick-words").textContent = files.length ? "Choose others" : "Choose pictures";
    if (announce) say(`${count(files.length, "picture")} chosen.`);
    this.chosen();
  }

  #watchDrops() {
    const drop = byId("drop");
    const hasFiles = (event) => [...event.dataTransfer.types].includes("Files");
    const dialog = () => document.querySelector("dialog[open]");
    document.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (!dialog()) drop.classList.add("over");
    });
    document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
    document.addEventListener("drop", (event) => {
      drop.classList.remove("over");
      if (!hasFiles(event)) return;
      event.preventDefault(); // else the browser leaves the page, and shows the file
      const open = dialog(), field = open?.querySelector("input[type=file]");
      if (field) field.files = event.dataTransfer.files;
      else if (!open) this.put([...event.dataTransfer.files]);
    });
    document.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (!files.length || document.querySelector("dialog[open]")) return;
      event.preventDefault();
      this.put(files);
    });
  }
}
