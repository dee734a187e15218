"use strict";
// Sliders: two pictures of one image over each other. What a figure shows is read from its own block of JSON, and only
// once the figure comes near the window, so that a long page opens at once.
const MEASURES = JSON.parse(document.getElementById("measures").textContent);

for (const set of document.querySelectorAll(".set")) {
  const [compression, left, right, zoom] = set.querySelectorAll("select");
  const known = new Map();

  function show(figure) {
    const data = known.get(figure);
    const sides = { left, right };
    for (const [side, select] of Object.entries(sides)) {
      const name = select.selectedOptions[0].text;
      const place = data.shown[compression.selectedIndex][select.selectedIndex];
      const there = place !== null;
      const image = figure.querySelector(`img.${side}`);
      image.hidden = !there;
      if (there) image.src = data.pictures[place];
      image.alt = `${data.image}, ${compression.value}: ${name}`;
      image.classList.toggle("pixels", select.selectedIndex === 0);
      figure.querySelector(`.tag.${side}`).textContent = there ? name : `${name}: not there`;
      figure.querySelector(`thead .${side}`).textContent = name;
    }
    figure.querySelector(".bits").textContent = data.bits[compression.selectedIndex];
    const scores = data.scores[compression.selectedIndex];
    const [before, after] = [scores[left.selectedIndex], scores[right.selectedIndex]];
    figure.querySelectorAll("tbody tr").forEach((row, place) => {
      const [leftCell, rightCell, differenceCell] = row.querySelectorAll("td");
      leftCell.textContent = before ? before[place] : "–";
      rightCell.textContent = after ? after[place] : "–";
      const { decimals, more } = MEASURES[place];
      const difference = before && after ? (after[place] - before[place]).toFixed(decimals) : NaN;
      const gain = more ? difference : -difference;
      differenceCell.textContent = Number.isFinite(+difference) ? (difference > 0 ? "+" : "") + difference : "–";
      differenceCell.className = gain > 0 ? "better" : gain < 0 ? "worse" : "";
    });
  }

  const near = new IntersectionObserver((entries) => {
    for (const { target: figure, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(figure);
      known.set(figure, JSON.parse(figure.querySelector("script").textContent));
      show(figure);
    }
  }, { rootMargin: "100% 0px" });

  for (const figure of set.querySelectorAll(".comparison")) {
    const slider = figure.querySelector("input");
    const move = () => figure.querySelector(".stage").style.setProperty("--at", `${slider.value}%`);
    slider.addEventListener("input", move);
    move(); // a reloaded page keeps where the slider was
    near.observe(figure);
  }

  const magnify = () => {
    set.style.setProperty("--zoom", zoom.value);
    set.classList.toggle("zoomed", zoom.value !== "1");
  };
  zoom.addEventListener("change", magnify);
  magnify();
  for (const select of [compression, left, right]) {
    select.addEventListener("change", () => known.forEach((_, figure) => show(figure)));
  }
}
