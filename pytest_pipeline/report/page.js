"use strict";
(() => {
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
