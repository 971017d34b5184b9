// A box on a photo: drawn, moved and resized with a mouse, a finger or keys.
"use strict";
window.makeBoxEditor = function (canvas, changed) {
  const pen = canvas.getContext("2d");
  const LARGEST = 1280; // px of the canvas
  const SMALLEST = 8; // px of the photo: a shorter drag is a click
  const CURSORS = { "-1,-1": "nwse-resize", "1,1": "nwse-resize", "-1,1": "nesw-resize", "1,-1": "nesw-resize", "0,-1": "ns-resize", "0,1": "ns-resize", "-1,0": "ew-resize", "1,0": "ew-resize", "0,0": "move" };
  const HANDLES = [[-1, -1], [0, -1], [1, -1], [1, 0], [1, 1], [0, 1], [-1, 1], [-1, 0]];
  let size = [1, 1], picture = null, box = null, hold = null;

  const limit = (value, least, most) => Math.min(Math.max(value, least), most);
  const scale = () => Math.min(LARGEST / Math.max(...size), 1); // canvas px of a px of the photo
  const near = (touch) => { // px of the photo around a handle
    const area = canvas.getBoundingClientRect();
    return (touch ? 22 : 10) * size[0] / Math.max(area.width, 1);
  };
  const corner = ([sx, sy], [x, y, w, h] = box) => [x + w * (1 + sx) / 2, y + h * (1 + sy) / 2];
  const between = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];

  function draw() {
    const s = scale();
    canvas.width = Math.round(size[0] * s); canvas.height = Math.round(size[1] * s);
    if (picture && picture.complete && picture.naturalWidth) pen.drawImage(picture, 0, 0, canvas.width, canvas.height);
    if (!box) return;
    const [x, y, w, h] = box.map((value) => value * s);
    pen.fillStyle = "#0007";
    pen.beginPath(); pen.rect(0, 0, canvas.width, canvas.height); pen.rect(x, y, w, h); pen.fill("evenodd");
    const unit = canvas.width / Math.max(canvas.getBoundingClientRect().width, 1); // canvas px of a px on the screen
    for (const [wide, colour] of [[4, "#000"], [2, "#fff"]]) { pen.lineWidth = wide * unit; pen.strokeStyle = colour; pen.strokeRect(x, y, w, h); }
    for (const handle of HANDLES) {
      const [cx, cy] = corner(handle).map((value) => value * s), r = (handle[0] && handle[1] ? 6 : 4.5) * unit;
      pen.fillStyle = "#fff"; pen.strokeStyle = "#000"; pen.lineWidth = unit;
      pen.fillRect(cx - r, cy - r, 2 * r, 2 * r); pen.strokeRect(cx - r, cy - r, 2 * r, 2 * r);
    }
  }

  function place(event) { // px of the photo
    const area = canvas.getBoundingClientRect();
    const x = (event.clientX - area.left) / area.width * size[0], y = (event.clientY - area.top) / area.height * size[1];
    return [limit(Math.round(x), 0, size[0]), limit(Math.round(y), 0, size[1])];
  }
  function part(at, touch) { // the handle under a point; [0, 0] inside the box; null elsewhere
    if (!box) return null;
    const reach = near(touch);
    const found = HANDLES.map((handle) => [Math.hypot(...corner(handle).map((value, n) => value - at[n])), handle]).sort((a, b) => a[0] - b[0])[0];
    if (found[0] <= reach) return found[1];
    const [x, y, w, h] = box;
    return at[0] > x && at[0] < x + w && at[1] > y && at[1] < y + h ? [0, 0] : null;
  }
  function put(next, done) {
    box = next && next[2] > 0 && next[3] > 0 ? next.map(Math.round) : null;
    draw();
    changed(box, done);
  }
  function moved([x, y, w, h], dx, dy) {
    return [limit(x + dx, Math.min(0, x), Math.max(size[0] - w, x)), limit(y + dy, Math.min(0, y), Math.max(size[1] - h, y)), w, h];
  }
  function resized([x, y, w, h], [sx, sy], at) {
    const ends = [x, y, x + w, y + h];
    if (sx) ends[sx < 0 ? 0 : 2] = at[0];
    if (sy) ends[sy < 0 ? 1 : 3] = at[1];
    const next = between(ends.slice(0, 2), ends.slice(2));
    return next[2] < SMALLEST || next[3] < SMALLEST ? null : next;
  }
  function drag(event) {
    const at = place(event);
    if (!hold.part) return between(hold.from, at);
    if (!hold.part[0] && !hold.part[1]) return moved(hold.box, at[0] - hold.from[0], at[1] - hold.from[1]);
    return resized(hold.box, hold.part, at) || box;
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    const at = place(event);
    hold = { from: at, part: part(at, event.pointerType === "touch"), box };
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (hold) { put(drag(event), false); return; }
    const over = part(place(event), false);
    canvas.style.cursor = over ? CURSORS[over.join()] : "crosshair";
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!hold) return;
    const next = drag(event), drawn = !hold.part, before = hold.box;
    hold = null;
    if (drawn && (!next || next[2] < SMALLEST || next[3] < SMALLEST)) put(before, false); // a click draws nothing
    else put(next, true);
  });
  canvas.addEventListener("pointercancel", () => { if (hold) { const before = hold.box; hold = null; put(before, false); } });

  // Arrows move the box, with Shift they change its size; Enter makes one, Delete removes it
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = Math.max(Math.round(Math.max(...size) / 100), 1);
    const way = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (way && box && event.shiftKey) {
      const [x, y, w, h] = box;
      put([x, y, limit(w + way[0], SMALLEST, Math.max(size[0] - x, w)), limit(h + way[1], SMALLEST, Math.max(size[1] - y, h))], true);
    } else if (way && box) put(moved(box, ...way), true);
    else if (event.key === "Enter" && !box) put([size[0] / 4, size[1] / 4, size[0] / 2, size[1] / 2], true);
    else if ((event.key === "Delete" || event.key === "Backspace") && box) put(null, true);
    else return;
    snowmatch.tell(box ? `${box[0]}, ${box[1]}; ${box[2]} × ${box[3]}` : "–");
    event.preventDefault();
    event.stopPropagation();
  });
  new ResizeObserver(draw).observe(canvas.parentElement);

  return {
    // Shows another photo. size: [width, height] px; picture: an Image; box: [x, y, w, h] px or null.
    show(photo) {
      size = photo.size; picture = photo.picture; box = photo.box; hold = null;
      if (!picture.complete) picture.addEventListener("load", draw, { once: true });
      draw();
    },
    set(next, done) { put(next, done); },
    get box() { return box; },
  };
};
