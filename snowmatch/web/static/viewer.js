// Two photos side by side: synchronised zoom and pan, lines between matched spots, marks, darkened scenery, contrast.
"use strict";
window.makeViewer = function (root, changed) {
  const SVG = "http://www.w3.org/2000/svg";
  const over = root.querySelector(".over");
  const sides = [...root.querySelectorAll(".side")].map((figure) => ({
    pane: figure.querySelector(".pane"), photo: figure.querySelector(".photo"),
    animal: figure.querySelector(".animal"), shade: figure.querySelector(".shade"),
    frame: null, dx: 0, dy: 0, failed: false, // failed: the picture of the animal cannot be had
  }));
  const view = { zoom: 1, x: 0, y: 0 };
  const look = { brightness: 1, contrast: 1, equalise: false, scenery: false };
  const shown = { lines: false, spot: -1, spots: [], marks: [], half: null, marking: false, cursor: null };

  // --- where a photo's pixels are in its pane -----------------------------------------------------------------------
  function fitting(side, frame) {
    const [l, t, r, b] = frame.part_shown;
    return Math.min(side.pane.clientWidth / (r - l), side.pane.clientHeight / (b - t));
  }
  function place(side) {
    const w = side.pane.clientWidth, h = side.pane.clientHeight, frame = side.frame;
    if (!frame || !frame.size || !w) return null;
    const [l, t, r, b] = frame.part_shown;
    const scale = fitting(side, frame) * view.zoom;
    return {
      scale,
      left: w / 2 + (view.x + side.dx) * w - ((l + r) / 2) * scale,
      top: h / 2 + (view.y + side.dy) * h - ((t + b) / 2) * scale,
    };
  }
  function toPane(side, x, y) {
    const at = place(side);
    return at && [at.left + x * at.scale, at.top + y * at.scale];
  }
  function toPhoto(side, x, y) {
    const at = place(side);
    if (!at) return null;
    const [w, h] = side.frame.size;
    return [Math.min(Math.max((x - at.left) / at.scale, 0), w - 1), Math.min(Math.max((y - at.top) / at.scale, 0), h - 1)];
  }
  function lay(image, at, l, t, r, b) {
    Object.assign(image.style, {
      left: at.left + l * at.scale + "px", top: at.top + t * at.scale + "px",
      width: (r - l) * at.scale + "px", height: (b - t) * at.scale + "px",
    });
  }
  // With its file and box in the address, the browser may keep the picture
  const animal = (frame, size) => `/picture/animal/${size}/${encodeURIComponent(frame.key)}?box=${frame.box}&file=${frame.file}`;
  const whole = (frame) => `/picture/photo/640/${encodeURIComponent(frame.key)}?file=${frame.file}`;
  // The size of the picture that the pane needs. scale: px of the screen of a px of the photo
  function sizeOf(side, frame, scale) {
    const wide = (frame.part_shown[2] - frame.part_shown[0]) * scale * (window.devicePixelRatio || 1);
    return wide > 1400 ? 2560 : 1280;
  }
  // The addresses of what a photo needs when it is shown
  function pictures(frame) {
    const side = sides[0], found = [whole(frame)];
    const scale = frame.size ? fitting(side, frame) : 0;
    found.push(animal(frame, sizeOf(side, { part_shown: frame.part_shown || [0, 0, 0, 0] }, scale)));
    if (look.scenery) found.push(`/scenery/640/${encodeURIComponent(frame.key)}`);
    return found;
  }
  function source(image, address) {
    if (image.getAttribute("src") === address) return;
    const before = image.getAttribute("src") || "";
    // Another photo: what was there before must not be seen beside the new one
    if (before.split(/[/?]/)[4] !== address.split(/[/?]/)[4]) image.style.visibility = "hidden";
    for (const side of sides) if (side.animal === image) side.failed = false;
    image.src = address;
  }

  function draw() {
    for (const side of sides) {
      const frame = side.frame;
      if (!frame) continue;
      const filter = (look.equalise ? "url(#equalise) " : "") +
        (look.brightness !== 1 || look.contrast !== 1 ? `brightness(${look.brightness}) contrast(${look.contrast})` : "");
      side.photo.style.filter = side.animal.style.filter = filter.trim();
      const at = place(side);
      if (!at) continue;
      const [w, h] = frame.size;
      lay(side.photo, at, 0, 0, w, h);
      lay(side.shade, at, 0, 0, w, h);
      lay(side.animal, at, ...frame.part_shown);
      source(side.animal, animal(frame, sizeOf(side, frame, at.scale)));
      side.shade.hidden = !look.scenery;
      if (look.scenery) source(side.shade, `/scenery/640/${encodeURIComponent(frame.key)}`);
    }
    drawOver();
  }

  function element(name, values) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(values)) made.setAttribute(key, value);
    over.append(made);
    return made;
  }
  function inOver(side, point) {
    const box = side.pane.getBoundingClientRect(), base = root.querySelector(".pair").getBoundingClientRect();
    const x = box.left - base.left + point[0], y = box.top - base.top + point[1];
    const inside = point[0] >= 0 && point[1] >= 0 && point[0] <= box.width && point[1] <= box.height;
    return { x, y, inside };
  }
  function drawOver() {
    over.replaceChildren();
    if (shown.lines || shown.spot >= 0) {
      shown.spots.forEach((spot, number) => {
        if (shown.spot >= 0 && number !== shown.spot) return;
        const places = sides.map(place);
        if (!places[0] || !places[1]) return;
        const ends = sides.map((side, k) => inOver(side, toPane(side, spot[3 * k], spot[3 * k + 1])));
        const colour = `hsl(${(number * 67) % 360} 85% 62%)`;
        if (ends[0].inside && ends[1].inside) {
          element("line", { x1: ends[0].x, y1: ends[0].y, x2: ends[1].x, y2: ends[1].y, stroke: colour, "stroke-width": shown.spot >= 0 ? 2 : 1, opacity: shown.spot >= 0 ? 0.9 : 0.55 });
        }
        ends.forEach((end, k) => {
          if (!end.inside) return;
          const r = Math.max((spot[3 * k + 2] / 2) * places[k].scale, 5);
          element("circle", { cx: end.x, cy: end.y, r, fill: "none", stroke: "#000", "stroke-width": 4, opacity: 0.5 });
          element("circle", { cx: end.x, cy: end.y, r, fill: "none", stroke: colour, "stroke-width": 2 });
        });
      });
    }
    shown.marks.forEach((mark, number) => sides.forEach((side, k) => drawMark(side, mark[2 * k], mark[2 * k + 1], number + 1)));
    if (shown.half) drawMark(sides[0], shown.half[0], shown.half[1], shown.marks.length + 1);
    if (shown.marking && shown.cursor) {
      const side = sides[shown.half ? 1 : 0];
      const end = inOver(side, shown.cursor);
      element("path", { d: `M${end.x - 12} ${end.y}h24M${end.x} ${end.y - 12}v24`, stroke: "#fff", "stroke-width": 4 });
      element("path", { d: `M${end.x - 12} ${end.y}h24M${end.x} ${end.y - 12}v24`, stroke: "#d00", "stroke-width": 2 });
    }
  }
  function drawMark(side, x, y, number) {
    const point = toPane(side, x, y);
    if (!point) return;
    const end = inOver(side, point);
    if (!end.inside) return;
    element("circle", { cx: end.x, cy: end.y, r: 11, fill: "#ffd400", stroke: "#000", "stroke-width": 2 });
    element("text", { x: end.x, y: end.y + 4.5, "text-anchor": "middle", "font-size": 13, "font-weight": 700, fill: "#000" }).textContent = number;
  }

  // --- zoom and pan -------------------------------------------------------------------------------------------------
  function zoomAt(side, factor, x, y) {
    const before = toPhotoFree(side, x, y);
    view.zoom = Math.min(Math.max(view.zoom * factor, 0.2), 30);
    if (before) {
      const point = toPane(side, before[0], before[1]);
      view.x += (x - point[0]) / side.pane.clientWidth;
      view.y += (y - point[1]) / side.pane.clientHeight;
    }
    draw();
  }
  function toPhotoFree(side, x, y) {
    const at = place(side);
    return at && [(x - at.left) / at.scale, (y - at.top) / at.scale];
  }
  for (const side of sides) {
    const fingers = new Map();
    let moved = 0;
    const at = (event) => {
      const box = side.pane.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    side.pane.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoomAt(side, Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...at(event));
    }, { passive: false });
    side.pane.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      side.pane.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, at(event));
      moved = 0;
    });
    side.pane.addEventListener("pointermove", (event) => {
      const last = fingers.get(event.pointerId);
      if (!last) return;
      const now = at(event);
      const x = now[0] - last[0], y = now[1] - last[1];
      moved += Math.abs(x) + Math.abs(y);
      if (fingers.size === 2) {
        const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
        const before = Math.hypot(last[0] - other[0], last[1] - other[1]);
        const after = Math.hypot(now[0] - other[0], now[1] - other[1]);
        if (before > 5) zoomAt(side, after / before, (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      } else if (event.shiftKey) { // this side alone
        side.dx += x / side.pane.clientWidth;
        side.dy += y / side.pane.clientHeight;
      } else {
        view.x += x / side.pane.clientWidth;
        view.y += y / side.pane.clientHeight;
      }
      fingers.set(event.pointerId, now);
      draw();
    });
    const up = (event) => {
      if (fingers.delete(event.pointerId) && event.type === "pointerup" && moved < 5 && shown.marking) mark(side, at(event));
    };
    side.pane.addEventListener("pointerup", up);
    side.pane.addEventListener("pointercancel", up);
    side.photo.draggable = side.animal.draggable = side.shade.draggable = false;
    side.animal.addEventListener("load", () => { if (look.equalise) equalise(); });
    for (const image of [side.photo, side.animal]) image.addEventListener("load", () => { image.style.visibility = ""; });
    side.shade.addEventListener("error", () => changed("shade", side.shade.src));
    side.animal.addEventListener("error", () => { side.failed = true; changed("missing"); });
    side.photo.addEventListener("load", () => { // a photo whose size the server could not tell
      if (side.frame && !side.frame.size && side.photo.naturalWidth) {
        side.frame.size = [side.photo.naturalWidth, side.photo.naturalHeight];
        side.frame.part_shown = [0, 0, ...side.frame.size];
        draw();
      }
    });
  }

  // --- marks --------------------------------------------------------------------------------------------------------
  function mark(side, point) {
    const number = sides.indexOf(side);
    if (number !== (shown.half ? 1 : 0)) return changed(shown.half ? "mark-right" : "mark-left");
    const found = toPhoto(side, ...point);
    if (!found) return;
    const rounded = found.map((value) => Math.round(value * 10) / 10);
    if (shown.half) {
      shown.marks.push([...shown.half, ...rounded]);
      shown.half = null;
    } else shown.half = rounded;
    shown.cursor = null;
    changed("marked");
    drawOver();
  }

  // --- equalised histogram: of both animals, each for itself would make different coats alike --------------------------
  function equalise() {
    const counts = new Float64Array(256);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 128;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    for (const side of sides) {
      if (!side.animal.naturalWidth) continue;
      context.drawImage(side.animal, 0, 0, 128, 128);
      const pixels = context.getImageData(0, 0, 128, 128).data;
      for (let k = 0; k < pixels.length; k += 4) counts[Math.round(0.299 * pixels[k] + 0.587 * pixels[k + 1] + 0.114 * pixels[k + 2])] += 1;
    }
    let sum = 0;
    const total = counts.reduce((a, b) => a + b, 0) || 1;
    const table = [];
    counts.forEach((count, k) => { sum += count; if (k % 8 === 7 || k === 0) table.push((sum / total).toFixed(3)); });
    for (const each of root.querySelectorAll("#equalise feFuncR, #equalise feFuncG, #equalise feFuncB")) each.setAttribute("tableValues", table.join(" "));
  }

  new ResizeObserver(draw).observe(root.querySelector(".pair"));

  return {
    shown, look,
    draw, pictures,
    unseen: () => sides.some((side) => side.failed),
    // Resolves when the pictures of both photos are there, or cannot be had
    loaded: () => Promise.allSettled(sides.flatMap((side) => [side.photo, side.animal]).map((image) => image.decode())),
    show(number, frame, alt) {
      const side = sides[number];
      side.frame = frame;
      side.animal.alt = alt;
      side.shade.removeAttribute("src");
      source(side.photo, whole(frame));
      if (!place(side)) source(side.animal, animal(frame, 1280)); // else draw chooses the size
      draw();
    },
    fresh() {
      Object.assign(view, { zoom: 1, x: 0, y: 0 });
      for (const side of sides) side.dx = side.dy = 0;
      Object.assign(shown, { spot: -1, spots: [], marks: [], half: null, marking: false, cursor: null });
    },
    reset() {
      Object.assign(view, { zoom: 1, x: 0, y: 0 });
      for (const side of sides) side.dx = side.dy = 0;
      Object.assign(look, { brightness: 1, contrast: 1, equalise: false, scenery: false });
      draw();
    },
    zoom(factor) { const pane = sides[0].pane; zoomAt(sides[0], factor, pane.clientWidth / 2, pane.clientHeight / 2); },
    pan(x, y) { view.x += x; view.y += y; draw(); },
    adjust(name, by) { look[name] = Math.min(Math.max(Math.round((look[name] + by) * 100) / 100, 0.2), 4); draw(); },
    toggle(name) { look[name] = !look[name]; if (look.equalise) equalise(); draw(); },
    cursor(x, y) {
      const side = sides[shown.half ? 1 : 0], w = side.pane.clientWidth, h = side.pane.clientHeight;
      const at = shown.cursor || [w / 2, h / 2];
      shown.cursor = [Math.min(Math.max(at[0] + x, 0), w), Math.min(Math.max(at[1] + y, 0), h)];
      drawOver();
    },
    markCursor() { if (shown.cursor) mark(sides[shown.half ? 1 : 0], shown.cursor); else this.cursor(0, 0); },
  };
};
