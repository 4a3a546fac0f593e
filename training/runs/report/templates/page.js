// Hovering over a picture names the nearest point; what it knows it reads from the data that the page offers.
"use strict";
const tip = document.getElementById("tip");
async function columns(link) {
  if (link.table) return link.table;
  let text;
  if (link.download.endsWith(".gz")) {
    const bytes = Uint8Array.from(atob(link.href.split(",")[1]), c => c.charCodeAt(0));
    text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  } else text = decodeURIComponent(link.href.slice(link.href.indexOf(",") + 1));
  return (link.table = cells(text));
}
// Rows of a CSV's cells; quoted ones may have commas, quotes and line ends in them.
function cells(text) {
  const table = [[]];
  for (const [, quoted, plain, end] of text.trimEnd().matchAll(/(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\n|$)/g)) {
    table.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === "\n") table.push([]);
    if (end === "") break;
  }
  return table;
}
function place(value, [low, high], scale) {
  if (scale === "log") [value, low, high] = [value, low, high].map(Math.log10);
  return (value - low) / (high - low);
}
function tell(box, event, text, x, y) {
  tip.textContent = text;
  tip.style.display = "block";
  const left = Math.min(event.pageX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = Math.max(4, left) + "px";
  tip.style.top = event.pageY + 16 + "px";
  if (x === undefined) return;
  box.dot.style.display = "block";
  box.dot.style.left = 100 * x + "%";
  box.dot.style.top = 100 * y + "%";
}
async function hover(box, about, event) {
  const table = await columns(box.parentNode.querySelector("a[download]"));
  const area = box.getBoundingClientRect(), [x0, y0, x1, y1] = about.box;
  const u = ((event.clientX - area.left) / area.width - x0) / (x1 - x0);
  const w = (y1 - (event.clientY - area.top) / area.height) / (y1 - y0);
  if (u < 0 || u > 1 || w < 0 || w > 1) return leave(box);
  if (about.matrix) {
    const row = Math.min(table.length - 1, Math.floor((1 - w) * table.length));
    const col = Math.min(table[0].length - 1, Math.floor(u * table[0].length));
    return tell(box, event, `word line ${row}, bit line ${col}\n${about.matrix}: ${table[row][col]}`);
  }
  let best = null;
  for (const [label, i, j] of about.series)
    for (const row of table.slice(1)) {
      if (row[i] === "" || row[j] === "") continue;
      const px = place(+row[i], about.x, about.scale[0]), py = place(+row[j], about.y, about.scale[1]);
      if (!(py > -0.02 && py < 1.02)) continue;
      const far = ((px - u) * area.width) ** 2 + ((py - w) * area.height) ** 2;
      if (!best || far < best.far) best = { far, px, py, label, i, j, row };
    }
  if (!best) return leave(box);
  tell(box, event, `${best.label}\n${table[0][best.i]}: ${best.row[best.i]}\n${table[0][best.j]}: ${best.row[best.j]}`,
    x0 + best.px * (x1 - x0), y1 - best.py * (y1 - y0));
}
function leave(box) { tip.style.display = box.dot.style.display = "none"; }
for (const box of document.querySelectorAll("[data-hover]")) {
  const about = JSON.parse(box.dataset.hover);
  box.dot = box.appendChild(Object.assign(document.createElement("div"), { className: "dot" }));
  box.addEventListener("pointermove", event => hover(box, about, event));
  box.addEventListener("pointerleave", () => leave(box));
}
