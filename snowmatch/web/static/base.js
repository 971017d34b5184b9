// What every page does: keys, the help, parts that are loaded after the page, short messages.
"use strict";
(function () {
  const help = document.getElementById("help");
  const said = document.getElementById("said"), told = document.getElementById("told");
  const CODES = { Comma: ",", Period: ".", BracketLeft: "[", BracketRight: "]", Equal: "+", Minus: "-" };
  let went = 0;
  // A screen reader says a text only if it differs from the one before: a space that nobody sees makes a repeated one differ
  const put = (part, text) => {
    const before = part.firstChild && part.firstChild.data;
    part.textContent = before === text ? text + "\u00a0" : text;
  };

  window.snowmatch = {
    // Shows a short message; screen readers say it. link: the page that helps.
    say(text, link) {
      put(said, text);
      said.append(...this.words("", link));
      said.classList.add("shown");
      clearTimeout(this.timer);
      this.timer = setTimeout(() => said.classList.remove("shown"), link ? 20000 : 4000);
    },
    // The words of an error, and a link to the page that helps, as nodes.
    words(text, link) {
      if (!link) return [text];
      const mend = document.createElement("a");
      mend.href = link;
      mend.textContent = said.dataset.mend;
      return [text, " ", mend];
    },
    // Tells screen readers what others see. Lines are read one after the other.
    tell(...lines) { put(told, lines.filter(Boolean).join(". ")); },
    // Opens a dialog. What stood in the messages would be read once more when it closes.
    open(dialog) { said.textContent = told.textContent = ""; dialog.showModal(); },
    // Fetches an address. An error tells in words that the server does not answer.
    async reach(address, options) {
      try { return await fetch(address, options); } catch { throw new Error(said.dataset.away); }
    },
    // Sends an object, with who decided when the page was made, and returns the answer's object. An error has the text of
    // the server, and as `link` the page that helps, and its `code`.
    async post(address, values) {
      const answer = await this.reach(address, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: JSON.stringify({ ...values, observer: document.body.dataset.observer }),
      });
      return this.read(answer);
    },
    async get(address) {
      return this.read(await this.reach(address, { headers: { Accept: "application/json" } }));
    },
    async read(answer) {
      const text = await answer.text();
      let value;
      try { value = JSON.parse(text); } catch { value = { error: text.trim() }; }
      if (!answer.ok) throw Object.assign(new Error(value.error || answer.statusText), { link: value.link, code: value.code });
      return value;
    },
    // What the page or the text of a refusal tells, as an error.
    refusal(text) {
      const page = new DOMParser().parseFromString(text, "text/html");
      const problem = page.querySelector("main .problem"), mend = page.querySelector("main .mend");
      return Object.assign(new Error(problem ? problem.textContent : text), { link: mend && mend.getAttribute("href") });
    },
    // Fills a part with what an address answers. An error stands in the part, in words.
    async fill(part, address) {
      try {
        const answer = await this.reach(address), text = await answer.text();
        if (!answer.ok) throw this.refusal(text);
        part.innerHTML = text;
      } catch (error) {
        const line = document.createElement("p");
        line.className = "problem";
        line.append(...this.words(error.message, error.link));
        part.replaceChildren(line);
      }
    },
    // Below a picture that cannot be shown stands why, such as that its photo is not what was indexed.
    explain(picture) {
      const why = document.createElement("p");
      why.className = "problem";
      const tell = async () => {
        try { await this.get(picture.src); } catch (error) {
          why.replaceChildren(...this.words(error.message, error.link));
          picture.after(why);
        }
      };
      picture.addEventListener("load", () => why.remove());
      picture.addEventListener("error", tell);
      if (picture.complete && !picture.naturalWidth) tell(); // it failed before this script ran
    },
    // Whether a key was typed into a field, where it is a letter and no command.
    typing(event) {
      const field = event.target;
      return event.ctrlKey || event.metaKey || event.altKey ||
        (field instanceof HTMLElement && (field.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(field.tagName)) &&
          !/^(checkbox|radio|button|submit|range)$/.test(field.type || ""));
    },
    // The key in small letters; of another script's letter, the Latin one in its place.
    key(event) {
      if (event.key.length > 1 || /^[\x20-\x7e]$/.test(event.key)) return event.key.toLowerCase();
      if (event.code.startsWith("Key")) return event.code.slice(3).toLowerCase();
      const key = CODES[event.code] || "";
      return event.shiftKey ? { ",": "<", ".": ">" }[key] || key : key;
    },
    // A duration in words of the page's language.
    duration(seconds) {
      const s = Math.round(seconds), hours = Math.floor(s / 3600), minutes = Math.floor((s % 3600) / 60);
      const parts = s < 60 ? [[s, "second"]] : s < 3600 ? [[minutes, "minute"], [s % 60, "second"]] : [[hours, "hour"], [minutes, "minute"]];
      return parts.map(([n, unit]) => new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit }).format(n)).join(" ");
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
    if (new URL(link.href).pathname !== location.pathname) continue; // the answer to a form has no address
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
    const key = snowmatch.key(event);
    if (key === "g") { went = Date.now(); return; }
    if (Date.now() - went < 1500) {
      went = 0;
      const link = [...document.querySelectorAll("[data-go]")].find((each) => each.dataset.go === key);
      if (link) { event.preventDefault(); event.stopImmediatePropagation(); location.href = link.href; }
    }
  }, true);

  // A form is sent once: the second click of a double click would be answered that the work is done already
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented || event.target.method !== "post") return;
    if ("sent" in event.target.dataset) event.preventDefault();
    event.target.dataset.sent = "";
  });
  window.addEventListener("pageshow", () => { for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent; });

  // Parts that need the catalog come after the page
  for (const part of document.querySelectorAll("[data-load]"))
    snowmatch.fill(part, part.dataset.load).then(() => part.removeAttribute("aria-busy"));
})();
