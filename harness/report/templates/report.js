"use strict";
// The page reads well without any of this: tables, charts and pictures are there. The script adds sorting, exact
// values on pointing and focus, the image viewer, and the switch between light and dark.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const one = (selector, within = document) => within.querySelector(selector);
const say = (text) => { one("[data-said]").textContent = text; };

// ---- Light and dark

function startTheme() {
  const button = one("[data-theme-switch]");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const show = () => { button.textContent = isDark() ? "Light colours" : "Dark colours"; };
  button.hidden = false;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  show();
}

// ---- Tables

const MISSING = "–";

function cellValue(row, column) {
  const text = row.cells[column].textContent.trim();
  const found = text.replaceAll("−", "-").replaceAll(",", "").match(/^[▲▼=\s]*([+-]?\d+(\.\d+)?)/);
  return { text, missing: text === MISSING || text === "", number: found ? Number(found[1]) : NaN };
}

function compare(a, b, numeric) {
  return numeric ? a.number - b.number : a.text.localeCompare(b.text, "en", { numeric: true });
}

function sortTable(table, column, direction) {
  const body = table.tBodies[0];
  const rows = table.originalRows.map((row) => ({ row, ...cellValue(row, column) }));
  const present = rows.filter((item) => !item.missing);
  const numeric = present.every((item) => !Number.isNaN(item.number));
  if (direction !== "none") {
    const sign = direction === "ascending" ? 1 : -1;
    present.sort((a, b) => sign * compare(a, b, numeric));
    body.append(...present.map((item) => item.row), ...rows.filter((item) => item.missing).map((item) => item.row));
  } else {
    body.append(...table.originalRows);
  }
}

const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  table.originalRows = [...table.tBodies[0].rows];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sorter";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const direction = NEXT[head.getAttribute("aria-sort")];
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", direction);
      sortTable(table, column, direction);
      say(direction === "none" ? "Order of the study" : `Sorted by ${button.textContent}, ${direction}`);
    });
  });
}

// A table that is wider than the page can be scrolled with the keyboard.
function makeScrollable(box) {
  new ResizeObserver(() => {
    const wide = box.scrollWidth > box.clientWidth;
    if (!wide) {
      ["tabindex", "role", "aria-label"].forEach((name) => box.removeAttribute(name));
      return;
    }
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", one("caption", box).textContent);
  }).observe(box);
}

// ---- Exact values. Of each table or chart one value is in the tab order; arrow keys go on to the others.

const tip = one("#tip");

function hideTip() {
  tip.hidden = true;
  one("[aria-describedby='tip']")?.removeAttribute("aria-describedby");
}

function showTip(target) {
  hideTip();
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  const box = target.getBoundingClientRect();
  const above = box.top - tip.offsetHeight - 8;
  const left = Math.min(box.left + box.width / 2 - tip.offsetWidth / 2, document.documentElement.clientWidth - tip.offsetWidth - 8);
  tip.style.left = `${scrollX + Math.max(8, left)}px`;
  tip.style.top = `${scrollY + (above > 0 ? above : box.bottom + 8)}px`;
  target.setAttribute("aria-describedby", "tip");
}

function neighbour(target, key) {
  const inTable = target.closest("table");
  const items = all("[data-tip]", target.closest("table, svg"));
  if (inTable && (key === "ArrowUp" || key === "ArrowDown")) {
    const column = items.filter((item) => item.cellIndex === target.cellIndex);
    return column[column.indexOf(target) + (key === "ArrowDown" ? 1 : -1)];
  }
  return items[items.indexOf(target) + (key === "ArrowRight" || key === "ArrowDown" ? 1 : -1)];
}

function moveTip(event) {
  const target = event.target.closest?.("[data-tip]");
  if (event.key === "Escape") hideTip();
  if (!target || !event.key.startsWith("Arrow")) return;
  event.preventDefault();
  const next = neighbour(target, event.key);
  if (!next) return;
  target.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
  next.focus();
}

function startTips() {
  all("main [title]").forEach((cell) => {
    cell.dataset.tip = cell.title;
    cell.removeAttribute("title");
  });
  all("svg .mark > title").forEach((title) => {
    title.parentNode.dataset.tip = title.textContent;
    title.remove();
  });
  all("main table, main svg").forEach((owner) => {
    all("[data-tip]", owner).forEach((item, place) => item.setAttribute("tabindex", place ? "-1" : "0"));
  });
  const at = (event) => event.target.closest?.("[data-tip]");
  document.addEventListener("pointerover", (event) => (at(event) ? showTip(at(event)) : hideTip()));
  document.addEventListener("focusin", (event) => (at(event) ? showTip(at(event)) : hideTip()));
  document.addEventListener("keydown", moveTip);
}

// ---- Image viewer

const WRONG = [213, 94, 0];
const STRIPE = [136, 136, 136];

function readPixels(image) {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

const colourKey = (red, green, blue) => (red << 16) | (green << 8) | blue;

// Returns the class of each pixel; colours of a label set are all different.
function readClasses(pixels, places) {
  const { data } = pixels;
  return Uint8Array.from({ length: data.length / 4 }, (_, i) => places.get(colourKey(data[4 * i], data[4 * i + 1], data[4 * i + 2])));
}

class Viewer {
  constructor(root, gallery) {
    this.root = root;
    this.gallery = gallery;
    this.canvas = one("[data-canvas]", root);
    this.cursor = null;
    this.layer = "prediction";
    this.labelSets = all("[data-legend]", root).map((list) => {
      const names = all("li", list).map((item) => item.textContent.trim());
      const places = all("li", list).map((item, place) => [colourKey(...item.dataset.colour.split(",")), place]);
      return { names, places: new Map(places) };
    });
    this.listen();
    this.load();
    new ResizeObserver(() => this.fit()).observe(root);
  }

  // Where there is room, every pixel is a square of whole screen pixels, so that none looks larger than another.
  fit() {
    if (!this.base) return;
    const { width, height } = this.base;
    const room = Math.min(this.root.clientWidth * (this.root.clientWidth > 640 ? 0.7 : 1), 0.7 * innerHeight * width / height);
    const scale = room / width * devicePixelRatio;
    this.scale = (scale > 1 ? Math.floor(scale) : scale) / devicePixelRatio;
    this.canvas.style.width = `${width * this.scale}px`;
    this.canvas.style.height = `${height * this.scale}px`;
  }

  choice(name) { return one(`[data-choose="${name}"]`, this.root); }

  get labels() { return Number(this.choice("variant").selectedOptions[0].dataset.labels); }

  get opacity() { return Number(one("[data-opacity]", this.root).value) / 100; }

  listen() {
    const stage = one("[data-stage]", this.root);
    ["image", "variant"].forEach((name) => this.choice(name).addEventListener("change", () => this.load()));
    all("[data-layer]", this.root).forEach((button) => button.addEventListener("click", () => {
      this.layer = this.layer === button.dataset.layer ? "" : button.dataset.layer;
      this.paint();
    }));
    one("[data-opacity]", this.root).addEventListener("input", () => this.paint());
    stage.addEventListener("pointermove", (event) => {
      const box = this.canvas.getBoundingClientRect();
      this.point((event.clientX - box.left) / box.width * this.canvas.width, (event.clientY - box.top) / box.height * this.canvas.height);
    });
    stage.addEventListener("pointerleave", () => this.point(null));
    stage.addEventListener("blur", () => this.point(null));
    stage.addEventListener("keydown", (event) => this.step(event));
  }

  async load() {
    const [image, variant] = [this.choice("image").value, this.choice("variant").value];
    const sources = [`image="${image}"`, `truth="${this.labels}-${image}"`, `prediction="${variant}-${image}"`];
    const [base, truth, prediction] = await Promise.all(sources.map(async (source) => {
      const found = one(`[data-${source}]`, this.gallery);
      await found?.decode();
      return found && readPixels(found);
    }));
    if (image !== this.choice("image").value || variant !== this.choice("variant").value) return;
    const { places } = this.labelSets[this.labels];
    Object.assign(this, { base, truth, prediction, cursor: null });
    this.trueClass = truth && readClasses(truth, places);
    this.predictedClass = prediction && readClasses(prediction, places);
    this.paint();
  }

  get ignored() { return this.labelSets[this.labels].names.length - 1; }

  isWrong(place) {
    return this.trueClass[place] !== this.ignored && this.trueClass[place] !== this.predictedClass[place];
  }

  grey(place) {
    const [red, green, blue] = this.base.data.subarray(4 * place, 4 * place + 3);
    return Array(3).fill(90 + 0.5 * (0.3 * red + 0.59 * green + 0.11 * blue));
  }

  isStriped(place) {
    const [x, y] = [place % this.base.width, Math.floor(place / this.base.width)];
    return (x + y) % 4 === 0;
  }

  // Returns the colour that is laid over a pixel. Right pixels of a difference are grey, so that orange stands out.
  colour(place) {
    if (this.layer === "difference") return this.isWrong(place) ? WRONG : this.grey(place);
    const { data } = this.layer === "truth" ? this.truth : this.prediction;
    if (this.layer === "truth" && this.trueClass[place] === this.ignored && this.isStriped(place)) return STRIPE;
    return [data[4 * place], data[4 * place + 1], data[4 * place + 2]];
  }

  paint() {
    const { width, height } = this.base;
    const shown = new ImageData(new Uint8ClampedArray(this.base.data), width, height);
    const needed = { truth: [this.truth], prediction: [this.prediction], difference: [this.truth, this.prediction] };
    const strength = this.layer && needed[this.layer].every(Boolean) ? this.opacity : 0;
    for (let place = 0; strength && place < width * height; place += 1) {
      const over = this.colour(place);
      for (let part = 0; part < 3; part += 1) {
        shown.data[4 * place + part] = (1 - strength) * this.base.data[4 * place + part] + strength * over[part];
      }
    }
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.getContext("2d").putImageData(shown, 0, 0);
    one("[data-opacity-shown]", this.root).textContent = `${Math.round(100 * this.opacity)} %`;
    all("[data-layer]", this.root).forEach((button) => button.setAttribute("aria-pressed", button.dataset.layer === this.layer));
    all("[data-legend]", this.root).forEach((list, order) => { list.hidden = order !== this.labels; });
    this.fit();
    this.tell();
  }

  point(x, y) {
    const inside = x !== null && x >= 0 && y >= 0 && x < this.canvas.width && y < this.canvas.height;
    this.cursor = inside ? [Math.floor(x), Math.floor(y)] : null;
    this.tell();
  }

  step(event) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    const [x, y] = this.cursor ?? [this.canvas.width >> 1, this.canvas.height >> 1];
    const far = Math.max(1, Math.round(this.canvas.width / 48));
    const clamp = (value, most) => Math.min(Math.max(value, 0), most - 1);
    this.point(clamp(x + far * move[0], this.canvas.width), clamp(y + far * move[1], this.canvas.height));
  }

  tell() {
    const mark = one("[data-cursor]", this.root);
    mark.hidden = !this.cursor;
    one("[data-readout]", this.root).textContent = this.cursor ? this.describePixel(mark) : this.describeImage();
  }

  describePixel(mark) {
    const [x, y] = this.cursor;
    const place = y * this.canvas.width + x;
    const [left, top, side] = [x, y, 1].map((length) => `${length * this.scale}px`);
    Object.assign(mark.style, { left, top, width: side, height: side });
    const { names } = this.labelSets[this.labels];
    const [truth, predicted] = [names[this.trueClass?.[place]], names[this.predictedClass?.[place]]];
    const verdict = this.trueClass?.[place] === this.ignored ? "not counted" : truth === predicted ? "right" : "wrong";
    return `Pixel ${x}, ${y}: truth ${truth ?? "unknown"}, predicted ${predicted ?? "unknown"} (${verdict})`;
  }

  describeImage() {
    if (!this.truth || !this.prediction) return "No prediction of this image was kept.";
    const counted = this.trueClass.filter((name) => name !== this.ignored).length;
    const wrong = this.trueClass.filter((_, place) => this.isWrong(place)).length;
    const share = counted ? `${(100 * (counted - wrong) / counted).toFixed(1)} %` : "none";
    const laid = this.layer ? `${this.layer} laid over the image` : "image alone";
    const orange = this.layer === "difference" ? "; wrong pixels are orange" : "";
    return `${this.choice("variant").selectedOptions[0].text}: ${share} of the labelled pixels shown are right. Shown: ${laid}${orange}.`;
  }
}

function startViewer() {
  const [root, gallery] = [one("[data-viewer]"), one("[data-gallery]")];
  if (!root) return;
  root.hidden = false;
  gallery.hidden = true;
  new Viewer(root, gallery);
}

// ---- Contents

function startContents() {
  const box = one(".contents details");
  const wide = matchMedia("(min-width: 68rem)");
  const fit = () => { box.open = wide.matches; };
  wide.addEventListener("change", fit);
  fit();
}

startTheme();
startContents();
all(".scroll").filter((box) => !box.matches("[data-gallery]")).forEach(makeScrollable);
all("main table").filter((table) => table.tBodies[0] && !table.closest("[data-gallery]")).forEach(makeSortable);
startTips();
startViewer();
