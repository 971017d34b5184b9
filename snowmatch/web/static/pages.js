// Changes with their preview, chosen photos and individuals, parts that are asked for until they are there, keys.
"use strict";
(function () {
  const dialog = document.getElementById("preview"); // null on pages without changes

  // Enter that is still held from before opens the dialog, and must not agree unseen
  dialog?.addEventListener("keydown", (event) => { if (event.repeat && event.key === "Enter") event.preventDefault(); });
  // Shows what a change would do; resolves to whether the person agreed.
  function agreed(found) {
    dialog.querySelector(".preview-lines").replaceChildren(...found.lines.map((text) => {
      const line = document.createElement("li");
      line.textContent = text;
      return line;
    }));
    const pairs = found.pairs || [];
    dialog.querySelector(".preview-pairs").parentElement.hidden = !pairs.length;
    dialog.querySelector(".preview-pairs").replaceChildren(...pairs.map((pair) => {
      const line = document.createElement("li");
      line.className = "duo";
      pair.photos.forEach((key, n) => {
        const image = document.createElement("img");
        image.src = `/picture/animal/320/${encodeURIComponent(key)}`;
        image.alt = pair.labels[n];
        line.append(image);
      });
      return line;
    }));
    dialog.querySelector(".problem").hidden = !found.changed;
    dialog.querySelector("[value=store]").hidden = found.empty;
    dialog.returnValue = "";
    snowmatch.open(dialog);
    return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "store"), { once: true }));
  }
  const alike = (form) => [...document.querySelectorAll("form[data-change]")].filter((each) => each.dataset.change === form);
  let changing = false; // the second click of a double click changes nothing more
  async function change(values, form) {
    if (changing) return;
    changing = true;
    try {
      let found = await snowmatch.post("/changes", values);
      while (!found.stored.length) {
        if (!(await agreed(found))) return;
        found = await snowmatch.post("/changes", { ...values, store: true, head: found.head });
      }
      const name = form.dataset.change, path = found.goto || location.pathname;
      sessionStorage.setItem("snowmatch-stored", JSON.stringify([path, name, alike(name).indexOf(form)]));
      if (path !== location.pathname) location.href = path;
      else location.reload();
    } catch (error) { snowmatch.say(error.message, error.link); } finally { changing = false; }
  }

  // After a change the page is a new one: it says so, and the focus is where it was
  const stored = JSON.parse(sessionStorage.getItem("snowmatch-stored"));
  sessionStorage.removeItem("snowmatch-stored");
  if (stored && stored[0] === location.pathname) {
    const form = alike(stored[1])[stored[2]], button = form && form.querySelector("button");
    (button && button.checkVisibility() ? button : document.getElementById("main")).focus({ preventScroll: true });
    snowmatch.say(dialog.dataset.stored);
  }

  const chosen = () => [...document.querySelectorAll("[data-photo]:checked")].map((box) => box.dataset.photo);
  const picked = () => [...document.querySelectorAll("[data-pick]:checked")].map((box) => box.dataset.pick);
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-change]");
    if (!form) return;
    event.preventDefault();
    const values = { kind: form.dataset.change };
    for (const field of form.elements) if (field.name && !field.disabled) values[field.name] = field.value;
    if (form.dataset.keyOf) values.key = form.dataset.keyOf;
    if (form.dataset.keys) values.keys = JSON.parse(form.dataset.keys);
    if (form.dataset.ids) values.ids = JSON.parse(form.dataset.ids);
    if ("picks" in form.dataset) values.keys = picked();
    if ("photos" in form.dataset) values.photos = chosen();
    if ("stay" in form.dataset) values.stay = true;
    change(values, form);
  });
  function count() {
    for (const [bar, count, least] of [["form[data-picks]", picked().length, 2], ["[data-photos-bar]", chosen().length, 1]]) {
      const found = document.querySelector(bar);
      if (!found) continue;
      const text = found.querySelector("[data-count]");
      if (!text) continue; // a bar for one photo
      found.hidden = count < least;
      if (!text.dataset.word) text.dataset.word = text.textContent;
      text.textContent = `${text.dataset.word} ${count}`;
      if (!found.hidden) snowmatch.tell(text.textContent);
    }
  }
  document.addEventListener("change", count);
  // Who comes back finds chosen what was chosen before
  window.addEventListener("pageshow", () => { if (chosen().length || picked().length) count(); });

  // Parts that take long: the server answers 202 until they are there
  async function poll(part, before = "") {
    try {
      const answer = await snowmatch.reach(part.dataset.poll);
      const text = await answer.text();
      if (answer.status === 202) {
        if (text !== before) part.innerHTML = text; // what is the same keeps the focus
        setTimeout(() => poll(part, text), 2000);
        return;
      }
      if (answer.ok) {
        part.innerHTML = text;
        const lines = [...part.querySelectorAll("[data-tell]")].map((each) => each.textContent.trim().replace(/\.$/, ""));
        if (lines.length) snowmatch.tell(...lines); // what it found, in short: all of it would be too much at once
      }
      else {
        const told = [...new DOMParser().parseFromString(text, "text/html").querySelectorAll("main > p")];
        part.replaceChildren(...(told.length ? told : [text])); // who is logged out gets a text
      }
    } catch (error) { part.textContent = error.message; }
    part.removeAttribute("aria-busy");
  }
  for (const part of document.querySelectorAll("[data-poll]")) poll(part);

  for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => print());
  document.addEventListener("keydown", (event) => {
    if (snowmatch.typing(event) || document.querySelector("dialog[open]")) return;
    const key = snowmatch.key(event);
    if (key === "p" && document.querySelector("[data-print]")) { event.preventDefault(); print(); return; }
    const targets = document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`);
    const target = [...targets].find((each) => each.checkVisibility());
    if (!target) return;
    event.preventDefault();
    if (target.tagName === "A") target.click(); else { target.focus(); target.scrollIntoView({ block: "center" }); }
  });
})();
