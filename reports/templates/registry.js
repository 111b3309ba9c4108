"use strict";
const form = document.getElementById("filters");
const cards = Array.from(document.querySelectorAll("article.source"));
const shown = document.getElementById("shown");

function fits(card, wanted) {
  const words = wanted.get("search").toLowerCase().split(/\s+/).filter(Boolean);
  const language = wanted.get("language");
  return words.every((word) => card.dataset.text.includes(word))
    && (!language || card.dataset.languages.split(" ").includes(language))
    && ["kind", "license", "status"].every((name) => !wanted.get(name) || wanted.get(name) === card.dataset[name]);
}

function filter() {
  const wanted = new FormData(form);
  let count = 0;
  for (const card of cards) {
    card.hidden = !fits(card, wanted);
    count += !card.hidden;
  }
  shown.textContent = `${count} of ${cards.length} cards`;
}

form.hidden = false;
form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", (event) => event.preventDefault());
filter();
