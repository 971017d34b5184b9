// The review of pairs by keys. The next questions and their pictures are fetched ahead.
"use strict";
(function () {
  const root = document.getElementById("review");
  const block = root.querySelector(".question");
  if (!block) return;
  const words = JSON.parse(root.dataset.words), mode = root.dataset.mode, language = root.dataset.language;
  let about = JSON.parse(root.dataset.about);
  const hiddenMode = mode === "blind" || mode === "training";
  const status = root.querySelector(".status"), done = root.querySelector(".done"), leftText = root.querySelector(".left");
  const note = block.querySelector("[name=note]"), noteRow = block.querySelector(".note-row");
  // answered: for a pair that was answered here, the last fetch that may not know of it; it may be asked again later
  const ahead = [], answered = new Map(), past = [], never = Infinity;
  let fetches = 0, fetched = 0; // begun so far; the one that `ahead` is from
  let now = null, frames = [0, 0], opened = "", certainty = null, sending = 0, answers = 0, outlook = "", elsewhere = "", left = null, waits = null;
  const seen = ["", ""]; // the words for both photos
  let said = "", held = null; // the last answer, for screen readers; what had the focus while no question is there
  let ended = false; // that nothing is left was told, and asking again has shown no question
  const viewer = makeViewer(block, (what, address) => {
    if (what === "missing") snowmatch.say(words.missing);
    if (what === "shade") snowmatch.get(address).catch((error) => snowmatch.say(error.message, error.link)); // why
    if (what === "mark-left") snowmatch.say(words.mark_left);
    if (what === "mark-right") snowmatch.say(words.mark_right);
    if (what === "marked") tellMarks();
  });

  // --- words --------------------------------------------------------------------------------------------------------
  function plural(n) {
    if (language !== "ru") return n === 1 ? "one" : "other";
    if (n % 10 === 1 && n % 100 !== 11) return "one";
    return [2, 3, 4].includes(n % 10) && ![12, 13, 14].includes(n % 100) ? "few" : "other";
  }
  function say(key, values = {}) {
    let word = words[key];
    if (typeof word !== "string") word = word[plural(values.n)];
    return word.replace(/\{(\w+)\}/g, (all, name) => (name in values ? values[name] : all));
  }
  function apart(seconds) {
    const units = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
    const [size, unit] = units.find(([size]) => seconds >= size) || units[3];
    return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" }).format(Math.round(seconds / size));
  }
  function distance(metres) {
    const [value, unit] = metres < 1000 ? [metres, "meter"] : [metres / 1000, "kilometer"];
    return new Intl.NumberFormat(language, { style: "unit", unit, maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
  }
  // As on all pages, nothing is 0 % or 100 %
  const figures = (number) => new Intl.NumberFormat(language, { maximumFractionDigits: 1 }).format(number);
  const percent = (share) => (share < 0.001 ? `< ${figures(0.1)}` : share > 0.999 ? `> ${figures(99.9)}` : figures(100 * share));
  const keyOf = (question) => [...question.pair].sort().join(" ");
  const open = (question) => fetched > (answered.get(keyOf(question)) || 0);

  // --- questions ----------------------------------------------------------------------------------------------------
  async function fetchAhead() {
    const address = new URLSearchParams({ mode, count: 5 });
    if (about.length) { address.set("a", about[0]); address.set("b", about[1]); }
    const asked = answers, number = fetches += 1;
    let found;
    try { found = await snowmatch.get(`/review/next?${address}`); } catch (error) { return problem(error); }
    if (found.comparing) {
      const [n, total] = found.comparing;
      if (!now) wait(total ? say("comparing", { n, total }) : words.loading);
      setTimeout(fetchAhead, 1000);
      return;
    }
    if (asked !== answers && now) return; // an answer came meanwhile: the next fetch knows more
    about = [];
    left = found.left;
    elsewhere = found.elsewhere ? " " + words.elsewhere : "";
    fetched = number;
    ahead.splice(0, ahead.length, ...found.questions.filter((q) => open(q) && !(now && keyOf(q) === keyOf(now))));
    if (!now) {
      if (ahead.length) show(ahead.shift());
      else finish(found.skipped, found.held);
    }
    tellLeft();
    await viewer.loaded(); // what is on the screen comes first
    for (const question of ahead) warm(question);
  }
  function warm(question) {
    for (const side of question.sides) {
      const frame = side.frames[side.first];
      for (const address of viewer.pictures(frame)) new Image().src = address;
      if (side.frames.length > 1) for (const each of [frame, ...near(side, side.first)]) new Image().src = `/picture/animal/160/${encodeURIComponent(each.key)}`;
    }
    if (!hiddenMode && viewer.shown.lines) spotsOf(question, [question.sides[0].first, question.sides[1].first]);
  }
  // The photos that a few arrows lead to: an encounter may have hundreds
  const NEAR = 3;
  function near(side, k) {
    const count = side.frames.length, found = new Set();
    for (let by = 1; by <= Math.min(NEAR, count - 1); by += 1) found.add((k + by) % count).add((k - by + count) % count);
    return [...found].map((each) => side.frames[each]);
  }
  function warmNear() {
    now.sides.forEach((side, n) => {
      for (const each of near(side, frames[n])) for (const address of viewer.pictures(each)) new Image().src = address;
    });
  }
  // Others decide, and new photos come, while the page is open
  document.addEventListener("live-waiting", (event) => {
    const found = event.detail.questions;
    if (mode !== "open" || found === null || sending || left === null) return;
    left = found;
    tellLeft();
    if (found && !now && !done.hidden) {
      if (document.activeElement === done) held = done; // there may be nothing to ask all the same
      done.hidden = true;
      fetchAhead();
    }
  });
  function wait(text) {
    status.hidden = false;
    status.textContent = text;
    status.classList.remove("problem");
  }
  function problem(error) {
    status.hidden = false;
    status.replaceChildren(...snowmatch.words(error.message, error.link));
    status.classList.add("problem");
  }
  function finish(skipped, others) {
    const end = skipped ? say("only_skipped", { n: skipped }) : others ? say("only_held", { n: others }) : words.nothing_left;
    if (done.hidden && !ended) snowmatch.tell(said, end);
    block.hidden = true;
    status.hidden = true;
    done.hidden = false;
    done.replaceChildren();
    const text = document.createElement("p");
    text.textContent = end;
    done.append(text);
    if (mode !== "training" && words.onward) { // a reader has no other page
      const onward = document.createElement("a");
      onward.href = "/";
      onward.className = "button";
      onward.textContent = words.onward;
      done.append(onward);
    }
    ended = true;
    if (held) done.focus();
    said = "";
    held = null;
    if (skipped) {
      const again = document.createElement("button");
      again.textContent = words.ask_skipped;
      again.className = "main";
      again.addEventListener("click", async () => {
        try { await snowmatch.post("/review/skip", { mode, again: true }); } catch (error) { return snowmatch.say(error.message, error.link); }
        done.hidden = true;
        fetchAhead();
      });
      done.append(again);
      again.focus();
    }
    if (mode === "training") showResults();
  }
  function showResults() {
    const part = document.createElement("section");
    part.className = "card";
    done.append(part);
    snowmatch.fill(part, "/review/results");
  }

  // --- the question on the screen -----------------------------------------------------------------------------------
  function show(question, again = null) {
    if (block.contains(document.activeElement)) held = document.activeElement;
    now = question;
    ended = false;
    done.hidden = true;
    block.hidden = false;
    status.hidden = true;
    opened = new Date().toISOString();
    const keep = viewer.shown.lines;
    viewer.fresh();
    viewer.shown.lines = keep;
    frames = question.sides.map((side) => side.first);
    certainty = null;
    note.value = "";
    noteRow.hidden = true;
    if (again) {
      certainty = again.certainty;
      note.value = again.note;
      noteRow.hidden = !again.note;
    }
    question.sides.forEach((side, number) => { strip(side, number); frame(number, frames[number]); });
    tell();
    press();
    snowmatch.tell(said, ...seen, ...[".apart", ".why", ".chance"].map((part) => block.querySelector(part).textContent));
    said = "";
    if (held && held !== document.activeElement) (held.checkVisibility() ? held : block.querySelector("[data-do=same]")).focus({ preventScroll: true });
    held = null;
    if (keep) lines();
    setTimeout(() => { if (now === question) warmNear(); }, 400);
    const since = opened; // a question that was taken back is on the screen again: an older reply is not about it
    snowmatch.post("/review/open", { mode, pair: question.pair }).then((answer) => {
      if (answer.free || now !== question || opened !== since) return;
      snowmatch.say(answer.answered ? words.answered : words.held);
      if (mode === "training") answered.set(keyOf(question), never); // elsewhere the server asks it again when it is free
      next();
      fetchAhead();
    }).catch(problem);
  }
  function strip(side, number) {
    const box = block.querySelector(`.side[data-side="${number}"] .strip`);
    box.hidden = side.frames.length < 2;
    box.replaceChildren(...side.frames.map((each, k) => {
      const button = document.createElement("button");
      button.type = "button";
      const image = new Image();
      image.loading = "lazy";
      image.src = `/picture/animal/160/${encodeURIComponent(each.key)}`;
      image.alt = say("photo_of", { n: k + 1, total: side.frames.length });
      button.append(image);
      button.addEventListener("click", () => turn(number, k));
      return button;
    }));
  }
  function turn(number, k) {
    const side = now.sides[number];
    if (side.frames.length < 2) return;
    if (viewer.shown.marks.length || viewer.shown.half) return snowmatch.say(words.mark_frames);
    frame(number, (k + side.frames.length) % side.frames.length);
    warmNear();
    snowmatch.tell(seen[number], say("photo_of", { n: frames[number] + 1, total: side.frames.length }));
    Object.assign(viewer.shown, { spots: [], spot: -1 });
    if (viewer.shown.lines) lines();
  }
  function frame(number, k) {
    const side = now.sides[number], each = side.frames[k];
    frames[number] = k;
    const place = [side.location, side.station, each.camera].filter(Boolean).filter((x, n, all) => all.indexOf(x) === n).join(" ");
    const alt = `${number ? words.right : words.left}: ${words["part." + each.part]}, ${place} ${side.time}`;
    viewer.show(number, each, alt);
    const figure = block.querySelector(`.side[data-side="${number}"]`);
    const caption = figure.querySelector("figcaption");
    caption.replaceChildren();
    const add = (text, kind) => { if (text) { const part = document.createElement("span"); part.textContent = text; part.className = kind; caption.append(part); } };
    add(words["part." + each.part], "part");
    add(place, "place");
    add(side.time, "time");
    if (side.frames.length > 1) add(say("photo_of", { n: k + 1, total: side.frames.length }), "count");
    const name = `${side.name || ""} ${side.sightings > 1 ? "(" + say("sightings_n", { n: side.sightings }) + ")" : ""}`.trim();
    if (side.sightings > 1) { // this question shows one of them: the others are on the page of the individual
      const link = document.createElement("a");
      link.href = `/individuals/~${encodeURIComponent(now.pair[number])}`;
      link.target = "_blank";
      link.className = "name";
      link.textContent = name;
      link.title = words.all_photos;
      caption.append(link);
    } else add(name, "name");
    seen[number] = [alt, name].filter(Boolean).join(", ");
    [...figure.querySelectorAll(".strip button")].forEach((button, n) => {
      button.setAttribute("aria-pressed", String(n === k));
      if (n === k) reveal(button);
    });
    const parts = now.sides.map((each, n) => each.frames[frames[n]].part); // two flanks of one animal never look alike
    const other = parts[0] !== parts[1] && !parts.includes("unknown");
    for (const part of block.querySelectorAll("figcaption .part")) part.classList.toggle("other", other);
  }
  // The strip alone moves, not the page
  function reveal(button) {
    const strip = button.parentElement;
    strip.scrollLeft = button.offsetLeft - strip.offsetLeft - (strip.clientWidth - button.offsetWidth) / 2;
  }
  function tell() {
    const texts = [];
    if (now.seconds !== null) texts.push(say("apart", { time: apart(now.seconds) }));
    if (now.one_station) texts.push(words.same_station);
    if (now.metres !== null) texts.push(say("away", { distance: distance(now.metres) }));
    block.querySelector(".apart").textContent = texts.join(" · ");
    const why = block.querySelector(".why"), chance = block.querySelector(".chance");
    chance.replaceChildren();
    if (now.hidden) { why.textContent = words.why_hidden; return; }
    why.textContent = words["why." + now.why];
    if (now.answers) why.textContent += " — " + now.answers.map((a) => `${a.observer}: ${words["answer." + a.answer]}${a.certainty ? " (" + a.certainty + ")" : ""}${a.note ? ", “" + a.note + "”" : ""}`).join("; ");
    if (now.probability === null) { chance.textContent = words.no_chance; return; }
    const likely = now.probability >= 0.5; // the level tells how sure "one animal" is, and nothing where that is unlikely
    if (now.level && likely) {
      const level = document.createElement("span");
      level.className = "level " + now.level;
      const mark = document.createElement("span"); // the shape of the level, as on all pages
      mark.className = "mark";
      level.append(mark, words["level." + now.level]);
      chance.append(level);
    }
    const sure = now.level && likely ? " " + say("at_least", { percent: figures(Math.floor(now.careful * 1000) / 10) }) : "";
    chance.append(` ${say("chance", { percent: percent(now.probability) })}${sure}${elsewhere}`); // in one piece: alone, the space is not read
  }
  function tellLeft() {
    if (left === null) return;
    const count = Math.max(left - (now && answered.get(keyOf(now)) === never ? 1 : 0), 0);
    leftText.textContent = count && done.hidden ? say("left_n", { n: count }) + (outlook ? " · " + outlook : "") : "";
  }
  async function look() {
    if (hiddenMode) return;
    try {
      const found = await snowmatch.get("/review/outlook");
      if ("change" in found) outlook = found.enough ? words.enough : say("outlook", { n: found.change });
      tellLeft();
      if (!found.fresh) { clearTimeout(waits); waits = setTimeout(look, 15000); }
    } catch { return; } // the questions tell what is wrong
  }

  // --- answers ------------------------------------------------------------------------------------------------------
  function next() {
    const before = new Set(now && now.groups ? now.groups : []);
    now = null;
    const free = ahead.findIndex((q) => open(q) && !q.groups.some((group) => before.has(group)));
    if (free >= 0) show(ahead.splice(free, 1)[0]);
    else { if (!block.hidden) held = block.contains(document.activeElement) ? document.activeElement : null; wait(words.loading); block.hidden = true; }
  }
  async function answer(choice) {
    if (!now) return;
    if (viewer.unseen() && choice !== "cannot_tell") return snowmatch.say(words.unseen); // nobody has looked at it
    said = words["answer." + choice];
    const question = now, mine = { certainty, note: note.value.trim() };
    const values = {
      mode, pair: question.pair, answer: choice, opened_at: opened, certainty, note: mine.note,
      marks: viewer.shown.marks, frames: question.sides.map((side, n) => side.frames[frames[n]].key),
      lines: viewer.shown.lines || viewer.shown.spot >= 0, files: question.sides.flatMap((side) => side.frames.map((each) => each.file)),
    };
    answered.set(keyOf(question), never);
    const kept = { question, ...mine, id: "" };
    past.push(kept);
    answers += 1;
    if (left !== null) left = Math.max(left - 1, 0);
    next();
    tellLeft();
    sending += 1;
    try {
      kept.id = (await snowmatch.post("/review/answer", values)).id;
      answered.set(keyOf(question), fetches);
      fetchAhead();
      if (answers % 10 === 0) look();
    } catch (error) {
      answered.delete(keyOf(question));
      past.splice(past.indexOf(kept), 1);
      if (["photo-changed", "photo-replaced"].includes(error.code)) { // what was seen is not what is there now
        answered.set(keyOf(question), fetches);
        fetchAhead();
      } else show(question, mine);
      snowmatch.say(`${words.not_stored} ${error.message}`, error.link);
    } finally { sending -= 1; }
  }
  async function skip() {
    if (!now) return;
    const question = now;
    answered.set(keyOf(question), never);
    answers += 1;
    next();
    try { await snowmatch.post("/review/skip", { mode, pair: question.pair }); } catch (error) { snowmatch.say(error.message, error.link); }
    answered.set(keyOf(question), fetches); // it may come again, last
    answers += 1;
    fetchAhead();
  }
  async function undo() {
    if (sending) return setTimeout(undo, 50);
    try {
      const found = await snowmatch.post("/review/undo", { mode });
      if (!found.undone) return snowmatch.say(words.nothing_undone);
      snowmatch.say(words.undone); // before the question that comes back
      const at = past.findIndex((each) => each.id === found.undone.id); // -1: it was given on another page
      const last = at < 0 ? null : past.splice(at, 1)[0];
      answers += 1;
      if (last) {
        answered.delete(keyOf(last.question));
        if (now) ahead.unshift(now);
        show(last.question, last);
        if (left !== null) left += 1;
        tellLeft();
      } else { now = null; about = found.undone.pair; }
      fetchAhead();
    } catch (error) { snowmatch.say(error.message, error.link); }
  }

  // --- spots and marks ----------------------------------------------------------------------------------------------
  const known = new Map();
  function spotsOf(question, at) {
    const [a, b] = question.sides.map((side, n) => side.frames[at[n]].key);
    const key = `${a} ${b}`;
    if (!known.has(key)) {
      if (known.size > 200) known.clear();
      known.set(key, snowmatch.get(`/review/spots?${new URLSearchParams({ mode, a, b })}`).then((found) => found.spots));
      known.get(key).catch(() => known.delete(key));
    }
    return known.get(key);
  }
  async function lines() {
    const question = now, at = frames.join();
    const waiting = setTimeout(() => snowmatch.say(words.spots_wait), 400);
    try {
      const found = await spotsOf(question, frames);
      if (now !== question || frames.join() !== at) return;
      viewer.shown.spots = found;
      viewer.draw();
      if (!found.length) snowmatch.say(words.spots_none);
    } catch (error) { snowmatch.say(error.message, error.link); } finally { clearTimeout(waiting); }
  }
  async function toggleLines() {
    if (hiddenMode || !now) return hiddenMode && snowmatch.say(words.lines_hidden);
    viewer.shown.lines = !viewer.shown.lines;
    viewer.shown.spot = -1;
    press();
    if (viewer.shown.lines) await lines();
    viewer.draw();
  }
  async function step(by) {
    if (hiddenMode || !now) return hiddenMode && snowmatch.say(words.lines_hidden);
    if (!viewer.shown.spots.length) await lines();
    const count = viewer.shown.spots.length;
    if (!count) return;
    viewer.shown.spot = viewer.shown.spot < 0 ? (by > 0 ? 0 : count - 1) : (viewer.shown.spot + by + count) % count;
    snowmatch.say(say("spot_of", { n: viewer.shown.spot + 1, total: count }));
    viewer.draw();
  }
  function tellMarks() {
    snowmatch.say(viewer.shown.half ? words.mark_right : say("marks_n", { n: viewer.shown.marks.length }));
  }
  function toggleMarks() {
    if (!now) return;
    viewer.shown.marking = !viewer.shown.marking;
    viewer.shown.half = viewer.shown.cursor = null;
    if (viewer.shown.marking) snowmatch.say(words.mark_left);
    press();
    viewer.draw();
  }
  function openNote() {
    noteRow.hidden = !noteRow.hidden;
    if (!noteRow.hidden) note.focus(); else note.blur();
    press();
  }
  function sure(n) { certainty = certainty === n ? null : n; press(); }
  function press() {
    const on = { lines: viewer.shown.lines, scenery: viewer.look.scenery, equalise: viewer.look.equalise, marks: viewer.shown.marking, note: !noteRow.hidden };
    for (const n of [1, 2, 3, 4]) on["sure" + n] = certainty === n;
    for (const [name, value] of Object.entries(on)) {
      const button = block.querySelector(`[data-do="${name}"]`);
      if (button) button.setAttribute("aria-pressed", String(value));
    }
    block.classList.toggle("marking", viewer.shown.marking);
  }

  // --- keys ---------------------------------------------------------------------------------------------------------
  const acts = {
    same: () => answer("same"), different: () => answer("different"), cannot_tell: () => answer("cannot_tell"),
    skip, undo, lines: toggleLines, "spot-next": () => step(1), "spot-back": () => step(-1),
    scenery: () => { viewer.toggle("scenery"); press(); }, equalise: () => { viewer.toggle("equalise"); press(); },
    darker: () => viewer.adjust("brightness", -0.15), brighter: () => viewer.adjust("brightness", 0.15),
    softer: () => viewer.adjust("contrast", -0.15), harder: () => viewer.adjust("contrast", 0.15),
    "zoom-in": () => viewer.zoom(1.3), "zoom-out": () => viewer.zoom(1 / 1.3), reset: () => { viewer.reset(); press(); },
    marks: toggleMarks, note: openNote,
    sure1: () => sure(1), sure2: () => sure(2), sure3: () => sure(3), sure4: () => sure(4),
  };
  const keys = {
    s: "same", d: "different", c: "cannot_tell", k: "skip", u: "undo", l: "lines", ".": "spot-next", ",": "spot-back",
    x: "scenery", e: "equalise", "[": "darker", "]": "brighter", "<": "softer", ">": "harder",
    "+": "zoom-in", "=": "zoom-in", "-": "zoom-out", _: "zoom-out", 0: "reset", m: "marks", n: "note",
    1: "sure1", 2: "sure2", 3: "sure3", 4: "sure4",
  };
  const once = ["same", "different", "cannot_tell", "skip"]; // a held key or a double click does not answer the next question, too
  const DOUBLE = 500; // ms between the clicks of a double click: screens that are touched do not count clicks
  let clicked = -Infinity;
  function second(event) {
    const found = event.detail > 1 || (event.detail > 0 && event.timeStamp - clicked < DOUBLE);
    if (event.detail) clicked = event.timeStamp;
    return found;
  }
  for (const button of root.querySelectorAll("[data-do]")) {
    button.addEventListener("click", (event) => {
      if (!once.includes(button.dataset.do) || !second(event)) acts[button.dataset.do]();
      // After a click with the mouse, the space bar must not answer again. Whoever goes by Tab keeps the place
      if (event.detail && !button.matches("[data-do=note]")) button.blur();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.target === note) {
      if (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey)) { event.preventDefault(); block.querySelector("[data-do=note]").focus(); }
      return;
    }
    if (snowmatch.typing(event) || document.getElementById("help").open) return;
    if (event.repeat && event.key === "Enter" && event.target.closest(".answers")) { event.preventDefault(); return; }
    const key = snowmatch.key(event);
    if (key === "u" && !event.repeat) { event.preventDefault(); undo(); return; }
    if (!now) return;
    const arrow = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] }[key];
    if (arrow) {
      event.preventDefault();
      if (viewer.shown.marking) viewer.cursor(arrow[0] * (event.shiftKey ? 2 : 12), arrow[1] * (event.shiftKey ? 2 : 12));
      else if (event.shiftKey) viewer.pan(-arrow[0] * 0.1, -arrow[1] * 0.1);
      else if (arrow[0]) turn(0, frames[0] + arrow[0]);
      else turn(1, frames[1] + arrow[1]);
      return;
    }
    if (viewer.shown.marking && (key === "enter" || key === "backspace" || key === "escape")) {
      event.preventDefault();
      if (key === "enter") viewer.markCursor();
      else if (key === "escape") toggleMarks();
      else if (viewer.shown.half) viewer.shown.half = null;
      else viewer.shown.marks.pop();
      viewer.draw();
      return;
    }
    const act = keys[key];
    if (!act || (event.repeat && once.includes(act))) return;
    event.preventDefault();
    acts[act]();
    const button = block.querySelector(`[data-do="${act}"][aria-pressed]`);
    if (button) snowmatch.tell(`${button.lastChild.textContent.trim()}: ${words[button.getAttribute("aria-pressed") === "true" ? "on" : "off"]}`);
  });

  fetchAhead();
  look();
})();
