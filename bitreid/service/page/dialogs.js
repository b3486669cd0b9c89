// Dialogs: a key, pictures to add, two people to merge, items to delete.

import { call, key, Problem, withPictures } from "./api.js";
import { byId, show } from "./dom.js";
import { camerasOf } from "./gallery.js";
import { count, megabytes } from "./words.js";

const SENDABLE = /^[\x21-\x7e]+$/; // what a header of a request may hold, as keys do

/** Make the buttons of all dialogs work that close them. */
export function prepareDialogs() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".cancel").addEventListener("click", () => dialog.close());
  }
}

/** Ask for a key; resolves to whether one was entered. `wrong` says that the one before was not known. */
export function askForKey(wrong, opened = false) {
  const dialog = byId("key-dialog"), value = byId("key-value");
  byId("key-why").textContent = wrong ? "The service does not know this key. Enter another one." : opened ? "" : "The service asks for a key before it answers.";
  show(key.get(), byId("key-forget"));
  value.value = "";
  return new Promise((resolve) => {
    let entered = false;
    byId("key-form").onsubmit = (event) => {
      event.preventDefault();
      const given = value.value.trim();
      if (!given) return;
      if (!SENDABLE.test(given)) {
        byId("key-why").textContent = "This is no key: it holds characters that no key has. Copy it again.";
        return;
      }
      key.set(given);
      entered = true;
      dialog.close();
    };
    byId("key-forget").onclick = () => { key.set(null); entered = opened; dialog.close(); };
    dialog.onclose = () => resolve(entered);
    if (!dialog.open) dialog.showModal();
  });
}

/** Do what a form in a dialog is for, and close it; what goes wrong is said in it. */
function sending(name, work, { tell, done }) {
  const dialog = byId(`${name}-dialog`), form = byId(`${name}-form`), problem = byId(`${name}-problem`);
  const button = form.querySelector("[type=submit]");
  problem.replaceChildren();
  form.onsubmit = async (event) => {
    event.preventDefault();
    problem.replaceChildren();
    button.disabled = true;
    try {
      const words = await work();
      dialog.close();
      await done(words);
    } catch (error) {
      problem.replaceChildren(...tell(error));
    } finally {
      button.disabled = false;
    }
  };
  dialog.showModal();
}

/** Ask for pictures to add. `info` says what may be sent. */
export function openAdd(info, hooks) {
  const input = byId("add-pictures");
  input.value = "";
  sending("add", async () => {
    const files = [...input.files];
    if (!files.length) throw new Error("Choose at least one picture.");
    const large = files.find((file) => tooLarge([file], info.limits));
    if (large) throw new Problem("too_large");
    const item = { person: byId("add-person").value.trim() || null, ...cameraOf(byId("add-camera").value.trim(), info) };
    if (byId("add-time").value) item.time = new Date(byId("add-time").value).toISOString();
    let added = 0;
    const failed = [];
    for (const batch of batches(files, info.limits)) {
      const request = { items: batch.map((file) => ({ ...item, source: file.name })) };
      const answer = await call("v1/items", { body: withPictures(request, batch) });
      added += answer.ids.filter((id) => id !== null).length;
      failed.push(...answer.failed.map(({ index, error }) => `${batch[index].name}: ${error.message ?? error}`));
    }
    const left = failed.length ? ` ${count(failed.length, "file")} could not be read (${failed[0]}).` : "";
    return { words: `${count(added, "picture")} added.${left}` };
  }, hooks);
}

/** Return the camera that was typed: a number, or a name of one that the gallery has. */
function cameraOf(typed, info) {
  if (!typed) return {};
  const known = camerasOf(info).find(({ name }) => name === typed);
  if (known) return { camera: known.camera };
  return /^\d+$/.test(typed) ? { camera: Number(typed) } : { camera_name: typed };
}

/** Return files in batches that the service takes. */
function batches(files, limits) {
  const found = [[]];
  let size = 0;
  for (const file of files) {
    const last = found.at(-1);
    if (last.length && (size + file.size > (limits.body ?? Infinity) * 0.95 || last.length >= limits.items)) {
      found.push([file]);
      size = file.size;
    } else {
      last.push(file);
      size += file.size;
    }
  }
  return found;
}

/** Ask for two people to merge. */
export function openMerge(hooks) {
  sending("merge", async () => {
    const from = byId("merge-from").value.trim(), into = byId("merge-into").value.trim();
    if (!from || !into || from === into) throw new Error("Enter two different people.");
    const answer = await call("v1/persons/merge", { body: { from, into } });
    if (!answer.items) throw new Error(`No picture of ${from} is in the gallery.`);
    byId("merge-form").reset();
    return { words: `${count(answer.items, "picture")} of ${from} now ${answer.items === 1 ? "shows" : "show"} ${into}.`, undo: true };
  }, hooks);
}

/** Ask whether items shall be deleted. */
export function openDelete(hits, hooks) {
  byId("delete-words").textContent = `${count(hits.length, "picture")} will be forgotten, with all that is known of ${hits.length === 1 ? "it" : "them"}. This cannot be undone.`;
  sending("delete", async () => {
    const answer = await call("v1/items/delete", { body: { ids: hits.map((hit) => hit.id) } });
    return { words: `${count(answer.deleted ?? hits.length, "picture")} deleted.` };
  }, hooks);
}

/** Return why these files cannot be sent together, or null. */
export function tooLarge(files, limits) {
  const size = files.reduce((sum, file) => sum + file.size, 0);
  return limits?.body && size > limits.body ? `${files.length === 1 ? files[0].name : "These pictures"}: ${megabytes(size)}.` : null;
}
