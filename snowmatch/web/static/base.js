// What every page does: keys, the help, parts that are loaded after the page, short messages.
"use strict";
(function () {
  const help = document.getElementById("help");
  const said = document.getElementById("said"), told = document.getElementById("told");
  let went = 0;
  // A screen reader says a text only if it differs from the one before: a space that nobody sees makes a repeated one differ
  const put = (part, text) => { part.textContent = part.textContent === text ? text + "\u00a0" : text; };

  window.snowmatch = {
    // Shows a short message; screen readers say it.
    say(text) {
      put(said, text);
      said.classList.add("shown");
      clearTimeout(this.timer);
      this.timer = setTimeout(() => said.classList.remove("shown"), 4000);
    },
    // Tells screen readers what others see. Lines are read one after the other.
    tell(...lines) { put(told, lines.filter(Boolean).join(". ")); },
    // Opens a dialog. What stood in the messages would be read once more when it closes.
    open(dialog) { said.textContent = told.textContent = ""; dialog.showModal(); },
    // Sends an object and returns the answer's object. An error has the text of the server.
    async post(address, values) {
      const answer = await fetch(address, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify(values),
      });
      return this.read(answer);
    },
    async get(address) {
      return this.read(await fetch(address, { headers: { Accept: "application/json" } }));
    },
    async read(answer) {
      const text = await answer.text();
      let value;
      try { value = JSON.parse(text); } catch { value = { error: text.trim() }; }
      if (!answer.ok) throw new Error(value.error || answer.statusText);
      return value;
    },
    // Whether a key was typed into a field, where it is a letter and no command.
    typing(event) {
      const field = event.target;
      return event.ctrlKey || event.metaKey || event.altKey ||
        (field instanceof HTMLElement && (field.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(field.tagName)) &&
          !/^(checkbox|radio|button|submit|range)$/.test(field.type || ""));
    },
  };

  function toggleHelp() {
    if (help.open) return help.close();
    snowmatch.open(help);
    help.scrollTop = 0; // the button that has the focus is at its end
  }

  for (const button of document.querySelectorAll("[data-help]")) button.addEventListener("click", toggleHelp);

  // On a phone the pages are folded into one button
  const fold = document.querySelector(".fold");
  fold.addEventListener("click", () => fold.setAttribute("aria-expanded", String(fold.getAttribute("aria-expanded") !== "true")));

  // Another language of the same page, filters included
  for (const link of document.querySelectorAll("a[hreflang]")) {
    const address = new URL(location.href);
    address.searchParams.set("lang", link.hreflang);
    link.href = address.pathname + address.search;
  }

  // Single keys can be turned off: who speaks to the computer, or whose hands tremble, presses them by accident
  const single = document.getElementById("single");
  single.checked = !document.cookie.includes("snowmatch-single=no");
  single.addEventListener("change", () => {
    document.cookie = `snowmatch-single=${single.checked ? "yes" : "no"}; path=/; max-age=100000000; samesite=strict`;
  });

  document.addEventListener("keydown", (event) => {
    if (snowmatch.typing(event)) return;
    if (!single.checked && event.key.length === 1) { event.stopImmediatePropagation(); return; } // no other script sees it
    if (event.key === "?") { toggleHelp(); event.preventDefault(); return; }
    if (help.open) return;
    if (event.key === "Escape" && fold.getAttribute("aria-expanded") === "true") { fold.click(); fold.focus(); return; }
    if (event.key === "g") { went = Date.now(); return; }
    if (Date.now() - went < 1500) {
      went = 0;
      const link = [...document.querySelectorAll("[data-go]")].find((each) => each.dataset.go === event.key);
      if (link) { event.preventDefault(); event.stopImmediatePropagation(); location.href = link.href; }
    }
  }, true);

  // Parts that need the catalog come after the page
  for (const part of document.querySelectorAll("[data-load]")) {
    fetch(part.dataset.load)
      .then(async (answer) => {
        const text = await answer.text();
        if (answer.ok) { part.innerHTML = text; return; }
        const page = new DOMParser().parseFromString(text, "text/html");
        part.replaceChildren(page.querySelector("main .problem") || document.createTextNode(text));
      })
      .catch((error) => { part.textContent = String(error); })
      .finally(() => part.removeAttribute("aria-busy"));
  }
})();
