// One photo: where the animal was found, and the box that a person corrects.
"use strict";
(function () {
  const at = (id) => document.getElementById(id);
  const photo = document.querySelector(".stacked"), map = at("map"), found = at("found"), edit = at("edit"), box = at("box");

  snowmatch.explain(at("photo"));
  found.addEventListener("click", () => {
    if (found.hasAttribute("aria-disabled")) { snowmatch.say(found.dataset.none); return; }
    const on = found.getAttribute("aria-pressed") !== "true";
    found.setAttribute("aria-pressed", String(on));
    if (on && !map.getAttribute("src")) map.src = map.dataset.src;
    map.hidden = !on;
  });
  map.addEventListener("error", () => {
    map.hidden = true;
    found.setAttribute("aria-pressed", "false");
    found.setAttribute("aria-disabled", "true"); // it keeps the focus
    snowmatch.say(found.dataset.none);
  });

  if (edit) {
    const fields = [...box.querySelectorAll("input[type=number]")];
    const [value, save] = [box.querySelector("[name=value]"), box.querySelector("button.main")];
    const before = box.dataset.box;
    const editor = makeBoxEditor(box.querySelector("canvas"), (now) => {
      fields.forEach((field, n) => { if (document.activeElement !== field) field.value = now ? now[n] : ""; });
      value.value = now ? now.join(",") : "";
      save.disabled = !now || JSON.stringify(now) === JSON.stringify(JSON.parse(before));
    });
    for (const field of fields) field.addEventListener("change", () => {
      if (fields.every((each) => each.value !== "")) editor.set(fields.map((each) => Math.round(Number(each.value))), true);
    });
    let picture = null;
    edit.addEventListener("click", () => {
      const on = edit.getAttribute("aria-pressed") !== "true";
      edit.setAttribute("aria-pressed", String(on));
      box.hidden = !on; photo.hidden = on; found.disabled = on; at("outline").disabled = on;
      if (!on) { edit.focus(); return; }
      if (!picture) {
        picture = new Image();
        picture.src = box.dataset.picture;
        const known = JSON.parse(before);
        editor.show({ size: JSON.parse(box.dataset.size), picture, box: known });
        fields.forEach((field, n) => { field.value = known ? known[n] : ""; });
      }
      box.querySelector("canvas").focus({ preventScroll: true });
    });
  }

  document.addEventListener("keydown", (event) => {
    if (snowmatch.typing(event) || document.querySelector("dialog[open]")) return;
    const button = { f: found, e: edit }[snowmatch.key(event)] || (event.key === "Escape" && edit && edit.getAttribute("aria-pressed") === "true" && edit);
    if (!button || button.disabled) return;
    button.click();
    event.preventDefault();
  });
})();
