// Before anything is drawn: the theme that was chosen, or the system's.
const chosen = (() => {
  try {
    return localStorage.getItem("theme");
  } catch {
    return null;
  }
})();
if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
