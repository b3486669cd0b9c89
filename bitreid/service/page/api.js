// Requests to the service: keys, errors, and whole numbers of 64 bits, which JavaScript's numbers would round.

const KEY = "bitreid-key";
const LATER = ["not_ready", "too_many_requests", "gallery_busy"]; // nothing was done: the same may be asked again
const TRIES = 3, MOST_WAIT_S = 5;

/** What went wrong: `kind` as the service names it, or "gone" or "cut" where nothing came back. */
export class Problem extends Error {
  constructor(kind, message = "", { where = null, wait = null } = {}) {
    super(message);
    Object.assign(this, { kind, where, wait });
  }
}

// A key is kept for this tab, until it is closed, and nowhere else.
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
  /** Ask for a key; the page sets what asks. Resolves to whether there is another one now. */
  ask: async () => false,
};

const exact = (name, value, context) =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context ? BigInt(context.source) : value;

const written = (name, value) => (typeof value === "bigint" ? JSON.rawJSON(String(value)) : value);

const parsed = (text) => JSON.parse(text, exact);
const text = (value) => JSON.stringify(value, written);

/** Return the form of a request with pictures. */
export function withPictures(request, pictures) {
  const form = new FormData();
  form.append("request", text(request));
  for (const picture of pictures) form.append("picture", picture, picture.name || "pasted.png");
  return form;
}

/** Return the answer of the service; `Problem` if there is none. A missing or wrong key is asked for, and a busy service asked again. */
export async function call(path, { method, body, signal, tries = TRIES } = {}) {
  const response = await sent(path, { method: method ?? (body === undefined ? "GET" : "POST"), body, signal });
  if (response.status === 401) {
    const wrong = Boolean(key.get());
    key.set(null);
    if (await key.ask(wrong)) return call(path, { method, body, signal });
  }
  if (!response.ok) {
    const problem = await problemOf(response);
    if (!LATER.includes(problem.kind) || tries === 0 || problem.wait === null || problem.wait > MOST_WAIT_S) throw problem;
    await new Promise((resolve) => { setTimeout(resolve, problem.wait * 1000); });
    signal?.throwIfAborted();
    return call(path, { method, body, signal, tries: tries - 1 });
  }
  return response.status === 204 ? null : parsed(await response.text());
}

/** Return an address of a picture that the service keeps, or null. The key goes along, which an address cannot do. */
export async function pictureAddress(path, signal) {
  const response = await sent(path.replace(/^\//, ""), { method: "GET", signal });
  return response.ok ? URL.createObjectURL(await response.blob()) : null;
}

async function sent(path, { method, body, signal }) {
  const headers = {};
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  const isForm = body instanceof FormData;
  if (body !== undefined && !isForm) headers["Content-Type"] = "application/json";
  try {
    return await fetch(path, { method, headers, signal, body: body === undefined || isForm ? body : text(body), cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(isForm && (await answers()) ? "cut" : "gone");
  }
}

/** Return whether the service answers at all: one that refuses a large upload may close the connection instead. */
async function answers() {
  try {
    return (await fetch("healthz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

async function problemOf(response) {
  const after = response.headers.get("Retry-After"), wait = after === null ? null : Number(after);
  try {
    const { error } = await response.json();
    return new Problem(error.kind, error.message, { where: error.where, wait });
  } catch {
    const kind = { 401: "unauthorised", 403: "forbidden", 413: "too_large", 429: "too_many_requests" }[response.status];
    return new Problem(kind ?? "gone", "", { wait });
  }
}
