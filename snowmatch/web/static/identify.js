// Identify: sends photos one by one, lets the person draw a box around the animal, and asks.
"use strict";
(function () {
  const at = (id) => document.getElementById(id);
  const words = at("identify").dataset;
  const fields = ["x", "y", "w", "h"].map((name) => at(`box-${name}`));
  const form = at("question");
  const photos = []; // {id, name, size, bbox, picture, ...}
  const told = {}; // what a photo told of all, by the name of the field
  // filled: the photo that told. queue: what is being sent. failed: number of files that could not be sent
  let current = -1, filled = null, asking = false, queue = Promise.resolve(), failed = 0;

  // --- photos ---------------------------------------------------------------------------------------------------------

  function problem(text, link) {
    const line = document.createElement("li");
    line.append(...snowmatch.words(text, link));
    at("problems").append(line);
  }

  function take(files) {
    const list = [...files].filter((file) => !file.name.startsWith("."));
    at("problems").replaceChildren();
    if (!list.length) return problem(words.none);
    queue = queue.then(() => send(list));
  }

  async function send(list) {
    const bar = at("sent");
    bar.hidden = false; bar.max = list.length;
    for (const [n, file] of list.entries()) {
      bar.value = n;
      if (file.size > Number(words.largest)) { // its refusal would cut the sending short
        failed += 1;
        problem(`${file.name}: ${words.large}`);
        continue;
      }
      try {
        const answer = await snowmatch.reach(`/identify/photo?name=${encodeURIComponent(file.name)}`, {
          method: "POST", body: file, headers: { Accept: "application/json", "Content-Type": "application/octet-stream" },
        });
        const photo = await snowmatch.read(answer);
        if (photos.some((each) => each.id === photo.id)) continue;
        photo.bbox = photo.bbox || null;
        photo.picture = new Image();
        photo.picture.src = `/identify/photo/1280/${photo.id}`;
        photos.push(photo);
        fill(photo);
        show(current < 0 ? 0 : current);
      } catch (error) {
        failed += 1;
        const readable = await file.arrayBuffer().then(() => true, () => false); // not if its card was taken out
        const text = readable ? error.message : words.unread;
        problem(text.startsWith(file.name) ? text : `${file.name}: ${text}`, error.link);
      }
    }
    bar.hidden = true;
  }

  function fill(photo, again = false) { // what the first photo tells about all; again: what the person gave stays
    if (filled) return;
    filled = photo;
    for (const [name, value] of [["body_part", photo.body_part], ["location", photo.location], ["station", photo.station], ["timestamp", photo.taken]]) {
      if (value && !(again && form.elements[name].value)) { form.elements[name].value = value; told[name] = form.elements[name].value; }
    }
    if (!photo.body_part) guess(photo);
  }

  function forget() { // what a removed photo told does not hold for the others
    filled = null;
    guesses++; // one that is on its way is of the removed photo
    if (guessed && form.elements.body_part.value === guessed) form.elements.body_part.value = at("guess").textContent = "";
    guessed = "";
    for (const [name, value] of Object.entries(told)) {
      if (form.elements[name].value === value) form.elements[name].value = "";
      delete told[name];
    }
  }

  // --- the box --------------------------------------------------------------------------------------------------------

  function show(number) {
    const held = at("strip").contains(document.activeElement); // the strip is made anew
    at("work").hidden = !photos.length;
    current = photos.length ? Math.min(Math.max(number, 0), photos.length - 1) : -1;
    at("strip").replaceChildren(...photos.map((photo, n) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(n === current));
      button.title = photo.name;
      const picture = document.createElement("img");
      picture.src = `/identify/photo/160/${photo.id}`;
      picture.alt = `${words.photo} ${n + 1}: ${photo.name}`;
      button.append(picture);
      button.addEventListener("click", () => show(n));
      const remove = document.createElement("button");
      remove.type = "button"; remove.className = "plain"; remove.textContent = "×";
      remove.setAttribute("aria-label", `${words.remove}: ${photo.name}`);
      remove.addEventListener("click", () => {
        photos.splice(n, 1);
        if (photo === filled) { forget(); if (photos.length) fill(photos[0], true); }
        show(Math.min(current, photos.length - 1));
      });
      item.append(button, remove);
      return item;
    }));
    if (held) (current < 0 ? at("choose") : at("strip").children[current].firstChild).focus({ preventScroll: true });
    if (current < 0) return;
    const photo = photos[current];
    const known = photo.known ? words.known.replace("{path}", () => photo.known.path) : "";
    at("about").textContent = [photo.name, `${photo.size[0]} × ${photo.size[1]} px`, known].filter(Boolean).join(" · ");
    snowmatch.tell(`${words.photo} ${current + 1} / ${photos.length}`, at("about").textContent);
    fields.forEach((field, n) => { field.value = photo.bbox ? photo.bbox[n] : ""; });
    editor.show({ size: photo.size, picture: photo.picture, box: photo.bbox });
  }

  // `done`: the person let go of it
  const editor = makeBoxEditor(at("canvas"), (box, done) => {
    if (current < 0) return;
    const photo = photos[current];
    photo.bbox = box;
    fields.forEach((field, n) => { if (document.activeElement !== field) field.value = box ? box[n] : ""; });
    if (done && box) guess(photo);
  });

  for (const field of fields) field.addEventListener("change", () => {
    const told = fields.filter((each) => each.value !== "").map((each) => Math.round(Number(each.value)));
    if (current < 0 || ![0, fields.length].includes(told.length)) return; // the others follow
    editor.set(told.length ? told : null, true);
  });
  at("nobox").addEventListener("click", () => editor.set(null, false));

  let guessed = "", guesses = 0; // what the last guess filled in; number of guesses
  async function guess(photo) {
    const part = form.elements.body_part, held = part.value, number = ++guesses;
    if (held !== guessed) return; // a person chose it
    try {
      const found = await snowmatch.post("/identify/guess", { photo: photo.id, bbox: photo.bbox });
      if (number !== guesses || part.value !== held) return;
      part.value = guessed = found.body_part || ""; // a drawn box may show another animal than the photo as a whole
      at("guess").textContent = guessed ? words.guessed.replace("{percent}", String(Math.round(100 * found.probability))) : "";
    } catch { /* a guess is a convenience */ }
  }

  // --- the question ---------------------------------------------------------------------------------------------------

  // Waits for the photos that are being sent; false if one could not be, so that the person decides, or if none is left
  async function allSent() {
    const before = failed;
    if (!at("sent").hidden) at("asking").textContent = words.reading;
    for (let last = null; last !== queue;) { last = queue; await last; } // more may be dropped meanwhile
    return failed === before && photos.length > 0;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (asking || !photos.length) return;
    const empty = fields.find((each) => each.value === "");
    if (empty && fields.some((each) => each.value !== "")) { at("problems").replaceChildren(); problem(words.half); empty.focus(); return; }
    asking = true;
    at("busy").hidden = false;
    const began = Date.now();
    if (!(await allSent())) { asking = false; at("asking").textContent = ""; at("busy").hidden = true; return; }
    at("asking").textContent = words.comparing; // is read once; the seconds are not
    const clock = setInterval(() => { at("clock").textContent = snowmatch.duration((Date.now() - began) / 1000); }, 250);
    const asked = { photos: photos.map((each) => each.id), boxes: photos.map((each) => each.bbox) };
    for (const name of ["body_part", "location", "station", "timestamp", "extractor"]) asked[name] = form.elements[name] ? form.elements[name].value : "";
    try {
      const found = await snowmatch.post("/identify/ask", asked);
      location.href = found.address;
    } catch (error) {
      at("asking").textContent = at("clock").textContent = "";
      at("problems").replaceChildren(); problem(error.message, error.link);
    } finally { clearInterval(clock); asking = false; at("busy").hidden = true; }
  });

  // --- choosing and dropping ------------------------------------------------------------------------------------------

  at("choose").addEventListener("click", () => at("files").click());
  at("choose-folder").addEventListener("click", () => at("folder").click());
  for (const id of ["files", "folder"]) at(id).addEventListener("change", (event) => {
    take(event.target.files);
    event.target.value = ""; // the same photo can be chosen again
  });
  for (const name of ["dragover", "dragenter"]) document.addEventListener(name, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
  document.addEventListener("dragleave", () => at("drop").classList.remove("over"));
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    at("drop").classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
    const loose = [...event.dataTransfer.files];
    try { take(entries.length ? (await Promise.all(entries.map(walk))).flat() : loose); } catch (error) { problem(error.message); }
  });

  async function walk(entry) { // the files of a dropped folder, in their order
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader(), found = [];
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!some.length) break;
      found.push(...some);
    }
    found.sort((a, b) => (a.name < b.name ? -1 : 1));
    return (await Promise.all(found.map(walk))).flat();
  }

  document.addEventListener("keydown", (event) => {
    if (snowmatch.typing(event) || document.querySelector("dialog[open]")) return;
    const key = snowmatch.key(event);
    if (key === "o") at("choose").click();
    else if (event.key === "ArrowRight") show(current + 1);
    else if (event.key === "ArrowLeft") show(current - 1);
    else if (key === "x" && current >= 0) editor.set(null, false);
    else if (event.key === "Enter" && event.target === document.body && photos.length) form.requestSubmit();
    else return;
    event.preventDefault();
  });
})();
