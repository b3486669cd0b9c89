// Numbers, times, names and errors in words.

const NUMBER = new Intl.NumberFormat("en");
const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 0 });
const TIME = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

export const number = (value) => NUMBER.format(value);

export const count = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

/** Return a share in per cent; what is not quite 0 or 1 is not called so. */
export function percent(share) {
  if (share > 0 && share < 0.005) return "< 1 %";
  if (share < 1 && share > 0.995) return "> 99 %";
  return PERCENT.format(share).replace("%", "\u00a0%");
}

export const time = (iso) => TIME.format(new Date(iso));

export const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0)} MB`;

/** Return what a person would call an attribute: "long hair" for `hair_long`. */
export function attributeName(name) {
  const [group, value] = name.split("=");
  if (value === undefined) return NAMES[group] ?? group.replaceAll("_", " ");
  if (group.endsWith("colour")) return `${value} ${GARMENTS[group] ?? group.replaceAll("_", " ").replace(" colour", "")}`;
  return `${value.replaceAll("_", " ")} ${group.replaceAll("_", " ")}`;
}

export const groupName = (group) => GROUPS[group] ?? attributeName(group).replace(/^./, (first) => first.toUpperCase());

const GARMENTS = { upper_colour: "top", lower_colour: "trousers or skirt" };
const GROUPS = { upper_colour: "Top", lower_colour: "Trousers or skirt", pattern: "Pattern of the top" };
const NAMES = {
  hair_long: "long hair", sleeve_long: "long sleeves", lower_short: "short trousers or skirt",
  hand_carry: "something in hand", shoes_light: "light shoes", shoulder_bag: "shoulder bag",
};

/** Return how the camera of a hit or of the gallery is called. */
export const cameraName = (camera, name) => (name ? `${name} (camera ${camera})` : `camera ${camera}`);

/** Return how a person of the gallery is called; people are often numbers. */
export function personName(person) {
  if (person === null) return "Not named";
  return /^\d+$/.test(person) ? `Person ${person}` : person;
}

/** Return a name as a filter's text has it: in quotes, with quotes and backslashes inside made harmless. */
export const quoted = (text) => `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;

/** Return what went wrong, in one sentence, and what to do, in another. */
export function explain(problem, limits = {}) {
  const wait = problem.wait ? `in ${count(Math.ceil(problem.wait), "second")}` : "in a moment";
  const told = ERRORS[problem.kind] ?? [problem.message, ""];
  return told.map((text) => text.replace("{wait}", wait).replace("{limit}", limitWords(limits)));
}

const limitWords = (limits) => (limits.body ? `At most ${megabytes(limits.body)} can be sent at once. ` : "");

const ERRORS = {
  gone: ["The service does not answer.", "See that it is running and that this device can reach it, then try again."],
  cut: ["The connection broke while sending.", "{limit}Try fewer or smaller pictures, or try again."],
  unauthorised: ["The service asks for a key.", "Enter one that its operator gave you."],
  forbidden: ["This key does not allow that.", "Use another key: ask the operator of the service for one."],
  too_large: ["That is too large to send.", "{limit}Crop the picture to the person, or save it smaller."],
  picture_error: ["This is not a picture that can be read.", "Use a JPEG, PNG or WebP file, or save the picture again."],
  unsupported_media: ["This is not a picture that can be read.", "Use a JPEG, PNG or WebP file, or save the picture again."],
  too_many_requests: ["The service is busy.", "Try again {wait}."],
  gallery_busy: ["The gallery is busy.", "Try again {wait}."],
  not_ready: ["The service is starting or stopping.", "Try again {wait}."],
  gallery_unreachable: ["The gallery cannot be reached, or its disk is full.", "Tell the operator of the service; then try again."],
  gallery_read_only: ["This gallery can only be read.", "Tell the operator of the service."],
  filter_error: ["The filter cannot be read.", "Correct it under \u201cLimit the search\u201d, or empty it."],
  item_not_found: ["That picture is no longer in the gallery.", "Search again to see what is there now."],
  internal: ["Something went wrong in the service.", "Try again; if it stays so, tell its operator, whose log says more."],
};
