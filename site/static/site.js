// What the pages do: light or dark, search, copying of commands. They can be read without it.
(() => {
  const root = document.documentElement;
  let stored = null;
  try { stored = localStorage.getItem("theme"); } catch { /* a file, or forbidden */ }
  if (stored) root.dataset.theme = stored;

  addEventListener("DOMContentLoaded", () => {
    document.getElementById("theme").addEventListener("click", () => {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("theme", root.dataset.theme); } catch { /* not kept then */ }
    });
    if (matchMedia("(max-width: 52rem)").matches) document.querySelector(".pages details").open = false;
    for (const block of document.querySelectorAll(".highlight")) copies(block);
    search(document.getElementById("search"), document.getElementById("found"));
  });

  function copies(block) {
    if (!navigator.clipboard) return;
    const button = document.createElement("button");
    button.className = "copy";
    button.textContent = "⧉";
    button.ariaLabel = root.lang.startsWith("zh") ? "复制" : "Copy";
    button.onclick = async () => {
      await navigator.clipboard.writeText(block.querySelector("code").innerText);
      button.textContent = "✓";
      setTimeout(() => { button.textContent = "⧉"; }, 1500);
    };
    block.append(button);
  }

  // search looks for all words, anywhere in a word, which serves Chinese too. What has them in its headings comes first.
  function search(field, list) {
    const base = new URL(document.querySelector('script[src$="site.js"]').getAttribute("src"), location.href);
    let at = -1;
    const show = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      list.replaceChildren();
      at = -1;
      if (words.length && typeof pages !== "undefined") {
        const hits = [];
        for (const { url, title, heading, text } of pages) {
          const [t, h, x] = [title, heading, text].map((s) => s.toLowerCase());
          let score = 0;
          for (const w of words) {
            const s = (t.includes(w) ? 8 : 0) + (h.includes(w) ? 12 : 0) + Math.min(5, x.split(w).length - 1);
            if (!s) { score = 0; break; }
            score += s;
          }
          if (score) hits.push({ url, title, heading, text, score });
        }
        hits.sort((a, b) => b.score - a.score);
        for (const hit of hits.slice(0, 20)) list.append(entry(hit, words, base));
        if (!hits.length) list.append(Object.assign(document.createElement("li"), { textContent: field.dataset.nothing }));
      }
      list.hidden = !words.length;
      field.ariaExpanded = String(!list.hidden);
    };
    const choose = (next) => {
      const all = list.querySelectorAll("[role=option]");
      if (!all.length) return;
      all[at]?.removeAttribute("aria-selected");
      at = (next + all.length) % all.length;
      all[at].ariaSelected = "true";
      all[at].scrollIntoView({ block: "nearest" });
      field.setAttribute("aria-activedescendant", all[at].id);
    };
    field.addEventListener("input", show);
    field.addEventListener("focus", show);
    field.addEventListener("keydown", (e) => {
      if (e.key === "ArrowDown") choose(at + 1);
      else if (e.key === "ArrowUp") choose(at - 1);
      else if (e.key === "Enter") (list.querySelector("[aria-selected=true] a") ?? list.querySelector("a"))?.click();
      else if (e.key === "Escape") { field.value = ""; show(); field.blur(); }
      else return;
      e.preventDefault();
    });
    document.addEventListener("click", (e) => {
      if (!e.target.closest(".search") || e.target.closest("#found a")) { list.hidden = true; field.ariaExpanded = "false"; }
    });
    document.addEventListener("keydown", (e) => {
      if (e.key === "/" && !e.target.closest("input, textarea")) { e.preventDefault(); field.focus(); }
    });
  }

  let number = 0;
  function entry({ url, title, heading, text }, words, base) {
    const item = document.createElement("li"), link = document.createElement("a"), name = document.createElement("b"), around = document.createElement("span");
    item.setAttribute("role", "option");
    item.id = `found-${number++}`;
    link.href = new URL(url, base);
    link.tabIndex = -1;
    name.textContent = heading ? `${title}: ${heading}` : title;
    const first = Math.max(0, text.toLowerCase().indexOf(words[0]) - 40);
    const shown = (first ? "…" : "") + text.slice(first, first + 160);
    const escaped = words.map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
    for (const [i, part] of shown.split(new RegExp(`(${escaped})`, "i")).entries()) {
      around.append(i % 2 ? Object.assign(document.createElement("mark"), { textContent: part }) : part);
    }
    link.append(name, around);
    item.append(link);
    return item;
  }
})();
