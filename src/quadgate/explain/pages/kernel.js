"use strict";
// The kernel as a heat map. Data: cells, each with its numbers in the normal form and the layouts that can hold it.
const data = JSON.parse(document.getElementById("data").textContent);
const words = data.words;
const element = (id) => document.getElementById(id);
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const dark = matchMedia("(prefers-color-scheme: dark)");
const THICK = 18, GAP = 16, MOST = 1024;
let cell, layout, geometry, cursor = null, highlight = null;

function halves(text) { // base64 of float16
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return Float32Array.from(new Uint16Array(bytes.buffer), (bits) => {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

function numbersOf(cell) {
  if (!cell.numbers) cell.numbers = { w_x: halves(cell.w_x), w_h: halves(cell.w_h) };
  return cell.numbers;
}

function biasesOf(layout) {
  if (!layout.numbers) layout.numbers = { b_x: layout.b_x && halves(layout.b_x), b_h: layout.b_h && halves(layout.b_h) };
  return layout.numbers;
}

const rowsOf = (array) => (array === "w_x" ? cell.inputs : array === "w_h" ? cell.width : 1);

function valueAt(at) {
  const gate = cell.gates.indexOf(at.gate);
  if (at.array.startsWith("b")) return biasesOf(layout)[at.array][gate * cell.units + at.unit];
  const rows = Math.ceil(rowsOf(at.array) / cell.every), units = Math.ceil(cell.units / cell.every);
  const row = Math.floor(at.row / cell.every), unit = Math.floor(at.unit / cell.every);
  return numbersOf(cell)[at.array][(gate * rows + row) * units + unit];
}

// What an axis of a part counts, from the slowest letter to the fastest, and how far each letter goes.
function lengths(part, letters) {
  const far = { g: part.gates.length, u: cell.units, r: rowsOf(part.array) };
  return [...letters].map((letter) => far[letter]);
}
const extent = (part, letters) => lengths(part, letters).reduce((a, b) => a * b, 1);

// From a place in a tensor to what stands there.
function identify(tensor, i, j) {
  const index = tensor.axes.length === 2 ? [i, j] : [tensor.upright ? i : j];
  let part = tensor.parts[0], start = 0;
  const along = tensor.axes.indexOf(tensor.axis);
  if (tensor.parts.length > 1) {
    for (part of tensor.parts) {
      const far = extent(part, part.groups[tensor.axis]);
      if (index[along] < start + far) break;
      start += far;
    }
  }
  const found = { array: part.array, g: 0, u: 0, r: 0 };
  tensor.axes.forEach((axis, k) => {
    let rest = index[k] - (k === along ? start : 0);
    const letters = part.groups[axis], far = lengths(part, letters);
    for (let place = letters.length - 1; place >= 0; place--) {
      found[letters[place]] = rest % far[place];
      rest = Math.floor(rest / far[place]);
    }
  });
  let { r: row, u: unit } = found;
  if (part.reread) { // the block's memory is that of its transpose
    const flat = row * cell.units + unit, rows = rowsOf(part.array);
    unit = Math.floor(flat / rows);
    row = flat % rows;
  }
  return { array: part.array, gate: part.gates[found.g], row, unit, part };
}

// The box of a block in its tensor: where its gate and array can stand.
function boxOf(tensor, part, gate) {
  const box = { i0: 0, j0: 0, rows: 1, columns: 1, whole: true };
  tensor.axes.forEach((axis, k) => {
    let start = 0, far = extent(part, part.groups[axis]);
    if (axis === tensor.axis) {
      for (const other of tensor.parts) {
        if (other === part) break;
        start += extent(other, other.groups[axis]);
      }
    }
    const letters = part.groups[axis];
    if (letters[0] === "g") {
      far = far / part.gates.length;
      start += far * part.gates.indexOf(gate);
    } else if (letters.includes("g")) box.whole = false;
    const down = tensor.axes.length === 2 ? k === 0 : tensor.upright;
    if (down) [box.i0, box.rows] = [start, far];
    else [box.j0, box.columns] = [start, far];
  });
  return box;
}

const shapeOf = (tensor) => {
  const sizes = tensor.axes.map((axis) => tensor.shape[axis]);
  return sizes.length === 2 ? sizes : tensor.upright ? [sizes[0], 1] : [1, sizes[0]];
};

// Tensors of x in a first line, of h in a second, biases last; lines go down where gates go across, and across where they go down.
function arrange(width, height) {
  const upright = layout.orientation === "out x in";
  const lines = [[], [], [], []];
  for (const tensor of layout.tensors) {
    tensor.upright = upright;
    const array = tensor.parts[0].array;
    lines[["w_x", "w_h", "b_x", "b_h"].indexOf(array)].push(tensor);
  }
  const used = lines.filter((line) => line.length);
  const thin = (tensor) => tensor.axes.length === 1;
  const across = (tensor) => shapeOf(tensor)[upright ? 0 : 1], deep = (tensor) => shapeOf(tensor)[upright ? 1 : 0];
  const room = (upright ? width : height) - GAP * (used.length + 1) - used.filter((l) => thin(l[0])).length * THICK;
  const total = used.filter((l) => !thin(l[0])).reduce((sum, line) => sum + Math.max(...line.map(deep)), 0);
  const depth = Math.min(14, room / total);
  let place = GAP;
  const boxes = [];
  for (const line of used) {
    const far = (upright ? height : width) - GAP * (line.length + 1);
    const each = Math.min(14, far / line.reduce((sum, tensor) => sum + across(tensor), 0));
    const thickness = thin(line[0]) ? THICK : depth * Math.max(...line.map(deep));
    let along = GAP;
    for (const tensor of line) {
      const long = each * across(tensor);
      const scale = thin(tensor) ? THICK : depth;
      boxes.push(upright
        ? { tensor, left: place, top: along, x: scale, y: each }
        : { tensor, left: along, top: place, x: each, y: scale });
      along += long + GAP;
    }
    place += thickness + GAP;
  }
  return boxes;
}

function colour(share) { // purple below zero, orange above: told apart by every kind of colour vision
  const middle = dark.matches ? [30, 35, 41] : [247, 247, 247];
  const end = share < 0 ? (dark.matches ? [178, 171, 230] : [84, 39, 136]) : dark.matches ? [253, 184, 99] : [179, 88, 6];
  const weight = Math.min(1, Math.abs(share)) ** 0.8;
  return middle.map((one, k) => Math.round(one + (end[k] - one) * weight));
}

function paint(canvas, tensor, box, array, gate, largest) {
  const step = Math.max(1, Math.ceil(Math.max(box.rows, box.columns) / MOST));
  canvas.width = Math.ceil(box.columns / step);
  canvas.height = Math.ceil(box.rows / step);
  const picture = new ImageData(canvas.width, canvas.height);
  for (let y = 0, k = 0; y < canvas.height; y++) {
    for (let x = 0; x < canvas.width; x++, k += 4) {
      const at = identify(tensor, box.i0 + y * step, box.j0 + x * step);
      if (at.array !== array || at.gate !== gate) continue;
      const value = valueAt(at);
      [picture.data[k], picture.data[k + 1], picture.data[k + 2]] = Number.isFinite(value) ? colour(value / largest) : [213, 94, 0];
      picture.data[k + 3] = 255;
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

const SHOWN = { w_x: "W_x", w_h: "W_h", b_x: "b_x", b_h: "b_h" };

function draw() {
  const stage = element("stage");
  const width = stage.clientWidth, height = (stage.style.height = Math.min(440, Math.max(260, width * 0.62)) + "px", stage.clientHeight);
  geometry = arrange(width, height);
  stage.querySelectorAll(".name").forEach((one) => one.remove());
  const seen = new Set(), named = [];
  for (const box of geometry) {
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = box.tensor.label;
    name.style.left = box.left + "px";
    name.style.top = box.top - GAP + "px";
    stage.append(name);
    const edge = name.getBoundingClientRect();
    const clash = edge.right > stage.getBoundingClientRect().right || named.some((other) => edge.left < other.right + 6 && edge.right > other.left && edge.top < other.bottom && edge.bottom > other.top);
    if (clash) name.remove();
    else named.push(edge);
    for (const part of box.tensor.parts) {
      for (const gate of part.gates) {
        const key = part.array + gate, area = boxOf(box.tensor, part, gate);
        seen.add(key);
        let piece = stage.querySelector(`[data-block="${key}"]`);
        if (!piece) {
          piece = document.createElement("div");
          piece.className = "piece";
          piece.dataset.block = key;
          piece.append(document.createElement("canvas"), document.createElement("b"));
          stage.append(piece);
        }
        const wide = area.columns * box.x, high = area.rows * box.y;
        piece.style.left = box.left + area.j0 * box.x + "px";
        piece.style.top = box.top + area.i0 * box.y + "px";
        piece.style.width = wide + "px";
        piece.style.height = high + "px";
        piece.classList.toggle("framed", area.whole);
        const label = piece.querySelector("b");
        label.textContent = SHOWN[part.array] + gate;
        label.style.display = area.whole && wide > 34 && high > 15 ? "" : "none";
        const largest = part.array.startsWith("b") ? layout.largest : cell.largest;
        paint(piece.querySelector("canvas"), box.tensor, area, part.array, gate, largest);
      }
    }
  }
  stage.querySelectorAll(".piece").forEach((piece) => { if (!seen.has(piece.dataset.block)) piece.remove(); });
  shade();
  mark();
}

function shade() {
  document.querySelectorAll(".piece").forEach((piece) => {
    const array = piece.dataset.block.slice(0, 3), gate = piece.dataset.block.slice(3);
    const on = !highlight || (highlight.arrays.includes(array) && highlight.gates.includes(gate));
    piece.classList.toggle("faint", !on);
  });
}

function tell(box, i, j) {
  const { tensor } = box, at = identify(tensor, i, j);
  const shown = tensor.axes.length === 2 ? [i, j] : [tensor.upright ? i : j];
  const index = tensor.shape.map((_, axis) => (tensor.axes.includes(axis) ? shown[tensor.axes.indexOf(axis)] : 0));
  const gate = words.gates[at.gate];
  const named = cell.channels && at.array === "w_x" ? ` (${cell.channels[at.row]})` : "";
  const from = at.array === "w_x" ? fill(words.input, { row: at.row }) + named : fill(words.hidden, { row: at.row });
  const what = at.array.startsWith("b")
    ? fill(words.biasOf, { gate, unit: at.unit }) : fill(words.weightOf, { from, gate, unit: at.unit });
  const value = valueAt(at);
  const about = cell.every > 1 && !at.array.startsWith("b") ? words.mean : "";
  element("readout").textContent = `${tensor.name}[${index.join(", ")}] = ${Number(value.toPrecision(3))}${about}: ${what}`;
}

function mark() {
  const cross = element("cross");
  if (!cursor) { cross.style.display = "none"; return; }
  const box = geometry[Math.min(cursor.box, geometry.length - 1)], [rows, columns] = shapeOf(box.tensor);
  cursor.i = Math.min(cursor.i, rows - 1);
  cursor.j = Math.min(cursor.j, columns - 1);
  Object.assign(cross.style, {
    display: "", left: box.left + cursor.j * box.x - 3 + "px", top: box.top + cursor.i * box.y - 3 + "px",
    width: box.x + 6 + "px", height: box.y + 6 + "px",
  });
  tell(box, cursor.i, cursor.j);
}

function point(event) {
  const edge = element("stage").getBoundingClientRect();
  const x = event.clientX - edge.left - 1, y = event.clientY - edge.top - 1;
  geometry.forEach((box, k) => {
    const [rows, columns] = shapeOf(box.tensor);
    const i = Math.floor((y - box.top) / box.y), j = Math.floor((x - box.left) / box.x);
    if (i >= 0 && j >= 0 && i < rows && j < columns) cursor = { box: k, i, j };
  });
  mark();
}

function keys(event) {
  const far = event.shiftKey ? 10 : 1;
  const moves = { ArrowUp: [-far, 0], ArrowDown: [far, 0], ArrowLeft: [0, -far], ArrowRight: [0, far] };
  if (event.key === "PageDown" || event.key === "PageUp") {
    const next = (cursor ? cursor.box : 0) + (event.key === "PageDown" ? 1 : -1);
    cursor = { box: (next + geometry.length) % geometry.length, i: 0, j: 0 };
  } else if (event.key === "Home") cursor = { box: cursor ? cursor.box : 0, i: 0, j: 0 };
  else if (moves[event.key]) {
    cursor = cursor || { box: 0, i: 0, j: 0 };
    cursor.i = Math.max(0, cursor.i + moves[event.key][0]);
    cursor.j = Math.max(0, cursor.j + moves[event.key][1]);
  } else return;
  event.preventDefault();
  mark();
}

// Where the gate that keeps the memory stands in the chosen layout, in words.
function whereIs(gate) {
  const found = [];
  for (const tensor of layout.tensors) {
    for (const part of tensor.parts) {
      if (part.array.startsWith("b") || !part.gates.includes(gate)) continue;
      const box = boxOf(tensor, part, gate), name = tensor.label;
      const down = layout.orientation === "out x in";
      const [start, far] = down ? [box.i0, box.rows] : [box.j0, box.columns];
      if (!box.whole) found.push(fill(down ? words.everyRow : words.everyColumn, { name, start: part.gates.indexOf(gate), count: part.gates.length }));
      else if (part.gates.length === 1) found.push(name);
      else found.push(fill(down ? words.rows : words.columns, { name, start, end: start + far - 1 }));
    }
  }
  return [...new Set(found)].join(words.and);
}

function ask() {
  const grid = element("questions");
  const pressed = grid.querySelector('[aria-pressed="true"]')?.dataset.key;
  grid.replaceChildren();
  for (const question of cell.questions) {
    const button = document.createElement("button"), head = document.createElement("b");
    button.type = "button";
    button.dataset.key = question.key;
    head.textContent = question.question;
    const answer = document.createElement("span");
    answer.textContent = question.key === "forget" ? fill(question.answer, { where: whereIs(question.gate), layout: layout.name }) : question.answer;
    button.append(head, answer);
    button.setAttribute("aria-pressed", String(question.key === pressed));
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      grid.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", "false"));
      button.setAttribute("aria-pressed", String(on));
      highlight = on ? question.highlight : null;
      if (on && question.layout) choose(question.layout);
      else shade();
    });
    grid.append(button);
  }
}

function choose(name) {
  layout = cell.layouts.find((one) => one.name === name) || cell.layouts[0];
  const radio = document.querySelector(`#layouts input[value="${layout.name}"]`);
  if (radio) radio.checked = true;
  cursor = null;
  element("folded").textContent = layout.folded.join(" ");
  element("readout").textContent = words.point;
  draw();
  const key = document.querySelector('#questions [data-key="forget"] span');
  const question = cell.questions.find((one) => one.key === "forget");
  if (key && question) key.textContent = fill(question.answer, { where: whereIs(question.gate), layout: layout.name });
}

function open(number) {
  cell = data.cells[number];
  layout = cell.layouts[0];
  highlight = null;
  element("stage").querySelectorAll(".piece").forEach((piece) => piece.remove());
  const box = element("layouts");
  box.replaceChildren();
  for (const one of cell.layouts) {
    const label = document.createElement("label"), radio = document.createElement("input"), text = document.createElement("span");
    label.className = "choice";
    radio.type = "radio";
    radio.name = "layout";
    radio.value = one.name;
    text.textContent = one.name;
    radio.addEventListener("change", () => choose(one.name));
    label.append(radio, text);
    box.append(label);
  }
  ask();
  element("least").textContent = `≤ ${Number((-cell.largest).toPrecision(3))}`;
  element("most").textContent = `≥ ${Number(cell.largest.toPrecision(3))}`;
  const ends = [-1, -0.5, 0, 0.5, 1].map((share) => `rgb(${colour(share).join(" ")})`);
  element("bar").style.background = `linear-gradient(to right, ${ends.join(", ")})`;
  choose(layout.name);
  document.querySelectorAll("section[data-case]").forEach((section) => {
    section.classList.toggle("hidden", section.dataset.case !== `cell-${number}`);
  });
}

const select = element("cells");
data.cells.forEach((one, k) => select.append(new Option(one.title, String(k))));
select.parentElement.classList.toggle("hidden", data.cells.length < 2);
select.addEventListener("change", () => open(Number(select.value)));
const stage = element("stage");
stage.addEventListener("pointermove", point);
stage.addEventListener("pointerdown", point);
stage.addEventListener("keydown", keys);
addEventListener("resize", draw);
dark.addEventListener("change", () => open(Number(select.value || 0)));
open(0);
