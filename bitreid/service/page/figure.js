// A drawn figure that wears what the attribute code says: for items of which no picture is kept.

import { svg } from "./dom.js";
import { attributeName } from "./words.js";

export const COLOURS = {
  black: "#23262b", gray: "#83878d", grey: "#83878d", white: "#f4f3ee", blue: "#2f5f9e", red: "#b0282f", green: "#38753f",
  pink: "#e08fac", brown: "#6b4a2f", purple: "#6d4690", yellow: "#e2c13d", orange: "#d9722e",
};
const BODY = "#b9b2a8", HAIR = "#5a5048", LINE = "#50555c", UNKNOWN = "#d9d6cf", LEATHER = "#7d5f45", PACK = "#4c6272";

/** Return the figure as SVG; `wears` are the names of the attributes that are set. */
export function figure(wears) {
  const has = new Set(wears);
  const upper = coloursOf(wears, "upper_colour"), lower = coloursOf(wears, "lower_colour");
  const words = describe(wears);
  const parts = [
    has.has("backpack") ? backpack() : [],
    has.has("hair_long") ? [path("M49 17 C44 4 76 4 71 17 L73 42 L47 42 Z", HAIR)] : [],
    legs(has, lower),
    arms(has, upper),
    torso(has, upper),
    has.has("backpack") ? [line("M47 42 C46 56 47 66 46 74", PACK, 4), line("M73 42 C74 56 73 66 74 74", PACK, 4)] : [],
    has.has("shoulder_bag") || has.has("bag") ? shoulderBag() : [],
    head(has),
    has.has("hand_carry") || has.has("handbag") ? handBag() : [],
  ];
  return svg("svg", { viewBox: "0 0 120 220", class: "figure", role: "img", "aria-label": `Drawn figure: ${words}` }, ...parts.flat());
}

/** Return the colours of a garment: two where the code names several, which it does when it is not sure. */
function coloursOf(wears, group) {
  const found = valuesOf(wears, group).map((value) => COLOURS[value] ?? UNKNOWN);
  return [found[0] ?? UNKNOWN, found[1] ?? found[0] ?? UNKNOWN];
}

const valuesOf = (wears, group) => wears.filter((name) => name.startsWith(`${group}=`)).map((name) => name.split("=")[1]);

/** Return what somebody wears, in words: "striped red top with long sleeves, short black skirt, backpack". */
export function describe(wears) {
  const has = new Set(wears), words = [];
  const garment = (group, noun, ...adjectives) => {
    const colours = valuesOf(wears, group).join(" or ");
    if (colours || adjectives.some(Boolean)) words.push([...adjectives, colours, noun].filter(Boolean).join(" "));
  };
  const upper = has.has("jacket") ? "jacket" : "top";
  garment("upper_colour", has.has("sleeve_long") ? `${upper} with long sleeves` : upper, has.has("pattern=striped") && "striped", has.has("pattern=graphic") && "printed");
  garment("lower_colour", has.has("skirt") ? "skirt" : "trousers", has.has("lower_short") && "short");
  const told = /^(upper_colour=.*|lower_colour=.*|pattern=striped|pattern=graphic|jacket|sleeve_long|skirt|lower_short)$/;
  words.push(...wears.filter((name) => !told.test(name)).map(attributeName));
  return words.length ? words.join(", ") : "nothing known of the clothing";
}

const path = (d, fill) => svg("path", { d, fill, stroke: LINE, "stroke-width": 1, "stroke-linejoin": "round" });
const line = (d, stroke, width) => svg("path", { d, fill: "none", stroke, "stroke-width": width, "stroke-linecap": "round" });

function head(has) {
  const parts = [path("M55 28 L65 28 L66 38 L54 38 Z", BODY), svg("ellipse", { cx: 60, cy: 20, rx: 10, ry: 12, fill: BODY, stroke: LINE })];
  if (has.has("hat")) return [...parts, path("M49 17 C49 3 71 3 71 17 L80 18.5 C80 20 78 20 76 20 L49 19 Z", PACK)];
  return [...parts, path("M49.5 19 C47 5 73 5 70.5 19 C68 13 64 12 60 12 C56 12 52 13 49.5 19 Z", HAIR)];
}

function torso(has, [colour, other]) {
  const outline = "M45 39 C52 36 68 36 75 39 L78 60 L76 100 L44 100 L42 60 Z";
  const second = colour === COLOURS.white ? "#7b828b" : "#f4f3ee";
  const inner = other === colour ? "#efece5" : other;
  const parts = [path(outline, has.has("jacket") ? inner : colour)];
  if (other !== colour && !has.has("jacket")) parts.push(path("M60 37 C66 37 71 37.5 75 39 L78 60 L76 100 L60 100 Z", other));
  if (has.has("pattern=striped")) {
    for (const y of [52, 64, 76, 88]) parts.push(line(`M44.5 ${y} L75.5 ${y}`, second, 3.5));
  } else if (has.has("pattern=graphic")) {
    parts.push(svg("circle", { cx: 60, cy: 62, r: 8, fill: second }), svg("circle", { cx: 60, cy: 62, r: 3.5, fill: colour }));
  }
  if (has.has("jacket")) {
    parts.push(path("M45 39 C49 37 52 37 55 37 L54 106 L42 106 L42 60 Z", colour), path("M75 39 C71 37 68 37 65 37 L66 106 L78 106 L78 60 Z", colour));
  }
  return parts;
}

function arms(has, [left, right]) {
  const parts = [];
  for (const side of [-1, 1]) {
    const x = (offset) => 60 + side * offset;
    const to = has.has("sleeve_long") ? 96 : 64, colour = side < 0 || has.has("jacket") ? left : right;
    parts.push(svg("circle", { cx: x(28), cy: 104, r: 4.5, fill: BODY, stroke: LINE }));
    parts.push(path(`M${x(15)} 39 C${x(22)} 40 ${x(24)} 48 ${x(26)} 60 L${x(32)} 102 L${x(24.5)} 103 L${x(17)} 64 Z`, BODY));
    const [outer, inner] = to === 96 ? [x(31.3), x(23.6)] : [x(27.2), x(17.5)];
    parts.push(path(`M${x(15)} 39 C${x(22)} 40 ${x(25)} 48 ${x(26.5)} 60 L${outer} ${to} L${inner} ${to + 1.5} L${x(16)} 60 Z`, colour));
  }
  return parts;
}

function legs(has, [left, right]) {
  const short = has.has("lower_short"), skirt = has.has("skirt"), parts = [];
  for (const side of [-1, 1]) {
    const x = (offset) => 60 + side * offset;
    const colour = side < 0 ? left : right;
    const shoe = has.has("shoes_light") ? "#f4f3ee" : "#2f3237";
    parts.push(path(`M${x(2)} 98 L${x(15.5)} 98 L${x(13)} 202 L${x(5)} 202 Z`, BODY));
    parts.push(path(`M${x(4)} 200 L${x(13.5)} 200 C${x(14)} 204 ${x(21)} 206 ${x(21)} 211 L${x(4)} 211 Z`, shoe));
    if (!skirt) {
      const [to, outer, inner] = short ? [146, 16, 2] : [201, 14, 4];
      parts.push(path(`M${x(0)} 96 L${x(16)} 96 L${x(outer)} ${to} L${x(inner)} ${to} L${x(0)} 112 Z`, colour));
    }
  }
  if (skirt) {
    parts.push(short ? path("M44 96 L76 96 L83 146 L37 146 Z", left) : path("M44 96 L76 96 L86 186 L34 186 Z", left));
    if (right !== left) parts.push(short ? path("M60 96 L76 96 L83 146 L60 146 Z", right) : path("M60 96 L76 96 L86 186 L60 186 Z", right));
  }
  return parts;
}

const backpack = () => [path("M40 44 C40 34 80 34 80 44 L83 88 C83 94 37 94 37 88 Z", PACK)];
const shoulderBag = () => [line("M72 39 L42 96", LEATHER, 3), path("M32 94 L50 94 L52 116 L30 116 Z", LEATHER)];
const handBag = () => [line("M83 106 C84 114 94 114 95 106", LEATHER, 2), path("M78 113 L100 113 L98 140 L80 140 Z", "#c9b98f")];
