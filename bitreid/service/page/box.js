// A box around the person in a picture: drawn with mouse, pen or finger, moved with keys, or typed as numbers.

import { byId, say, show } from "./dom.js";

const STEP = 0.02;
const LEAST = 0.02;
const SIDES = ["x", "y", "width", "height"];
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const within = (value, low, high) => Math.min(Math.max(value, low), high);

/** The stage with the first picture and its box; `changed` is called when a box was drawn, moved or taken away. */
export class Box {
  constructor(changed) {
    this.changed = changed;
    this.box = null; // shares of the picture's width and height
    this.stage = byId("stage");
    this.image = byId("stage-image");
    this.frame = byId("stage-box");
    this.fields = SIDES.map((side) => byId(`box-${side}`));
    this.stage.addEventListener("pointerdown", (event) => this.#draw(event));
    this.stage.addEventListener("keydown", (event) => this.#press(event));
    for (const field of this.fields) field.addEventListener("change", () => this.#type());
    byId("box-clear").addEventListener("click", () => { this.clear(); this.stage.focus(); this.changed(); });
  }

  /** Return the box in pixels of the picture as it is shown, `[x, y, width, height]`, or null for all of it. */
  get pixels() {
    if (!this.box) return null;
    const [wide, high] = [this.image.naturalWidth, this.image.naturalHeight];
    const [left, top] = [Math.round(this.box.x * wide), Math.round(this.box.y * high)];
    const right = Math.round((this.box.x + this.box.width) * wide), bottom = Math.round((this.box.y + this.box.height) * high);
    return [left, top, Math.max(right - left, 1), Math.max(bottom - top, 1)];
  }

  clear() {
    this.#set(null);
  }

  #set(box) {
    this.box = box;
    show(box, this.frame, byId("box-clear"));
    const pixels = this.pixels ?? ["", "", "", ""];
    this.fields.forEach((field, i) => { field.value = pixels[i]; });
    if (!box) return;
    Object.assign(this.frame.style, {
      left: `${box.x * 100}%`, top: `${box.y * 100}%`, width: `${box.width * 100}%`, height: `${box.height * 100}%`,
    });
  }

  #point(event) {
    const rect = this.image.getBoundingClientRect();
    return [within((event.clientX - rect.left) / rect.width, 0, 1), within((event.clientY - rect.top) / rect.height, 0, 1)];
  }

  #draw(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.stage.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const [startX, startY] = this.#point(event), before = this.box;
    const inside = before && startX > before.x && startX < before.x + before.width && startY > before.y && startY < before.y + before.height;
    const move = (moved) => {
      const [x, y] = this.#point(moved);
      if (inside) {
        this.#set(this.#at(before.x + x - startX, before.y + y - startY, before.width, before.height));
      } else if (Math.abs(x - startX) > LEAST / 2 || Math.abs(y - startY) > LEAST / 2) {
        this.#set({ x: Math.min(x, startX), y: Math.min(y, startY), width: Math.max(Math.abs(x - startX), LEAST), height: Math.max(Math.abs(y - startY), LEAST) });
      }
    };
    const end = () => {
      this.stage.removeEventListener("pointermove", move);
      if (this.box !== before) this.#done();
    };
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("lostpointercapture", end, { once: true });
  }

  #at(x, y, width, height) {
    return { x: within(x, 0, 1 - width), y: within(y, 0, 1 - height), width, height };
  }

  #press(event) {
    const { box } = this, arrow = ARROWS[event.key];
    if (["Enter", " "].includes(event.key) && !box) this.#set({ x: 0.25, y: 0.05, width: 0.5, height: 0.9 });
    else if (["Delete", "Backspace", "Escape"].includes(event.key) && box) this.#set(null);
    else if (arrow && box && event.shiftKey) {
      const width = within(box.width + arrow[0], LEAST, 1 - box.x), height = within(box.height + arrow[1], LEAST, 1 - box.y);
      this.#set({ ...box, width, height });
    } else if (arrow && box) this.#set(this.#at(box.x + arrow[0], box.y + arrow[1], box.width, box.height));
    else return;
    event.preventDefault();
    this.#done();
  }

  #type() {
    const values = this.fields.map((field) => field.valueAsNumber);
    if (values.some(Number.isNaN)) return;
    const [wide, high] = [this.image.naturalWidth, this.image.naturalHeight];
    const width = within(values[2], 1, wide) / wide, height = within(values[3], 1, high) / high; // a person far away has few pixels
    this.#set(this.#at(values[0] / wide, values[1] / high, width, height));
    this.#done();
  }

  #done() {
    const pixels = this.pixels;
    say(pixels ? `Box: ${pixels[2]} by ${pixels[3]} pixels, ${pixels[0]} from the left, ${pixels[1]} from the top.` : "No box: the whole picture counts.");
    this.changed();
  }
}
