"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const draw = () => {
    for (const [id, figure] of Object.entries(figures[dark.matches ? "dark" : "light"])) {
      Plotly.react(id, figure.data, figure.layout, { responsive: true, displayModeBar: false });
    }
  };
  draw();
  dark.addEventListener("change", draw);

  const text = document.getElementById("markdown");
  const said = document.getElementById("copy-said");
  const select = () => {
    text.focus();
    text.select();
    said.textContent = "Selected; copy it with the keyboard.";
  };
  document.getElementById("copy-button").addEventListener("click", () => {
    if (!navigator.clipboard) {
      select();
      return;
    }
    navigator.clipboard.writeText(text.value).then(() => { said.textContent = "Copied."; }, select);
  });
})();
