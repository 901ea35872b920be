document.documentElement.classList.add("scripted");
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  Array.from(table.tHead.rows[0].cells).forEach((cell, column) => {
    const button = document.createElement("button");
    button.textContent = cell.textContent;
    cell.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = cell.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      cell.setAttribute("aria-sort", up ? "ascending" : "descending");
      const keyed = rows.map((row) => {
        const text = row.cells[column].textContent;
        const number = Number(text);
        return [text === "" ? null : Number.isNaN(number) ? text : number, row];
      });
      keyed.sort(([a], [b]) => {
        if (a === b) return 0;
        if (a === null) return 1;
        if (b === null) return -1;
        return (a < b ? -1 : 1) * (up ? 1 : -1);
      });
      body.replaceChildren(...keyed.map(([, row]) => row));
    });
  });
}
for (const select of document.querySelectorAll("select[data-table]")) {
  select.addEventListener("change", () => {
    for (const row of document.getElementById(select.dataset.table).tBodies[0].rows)
      row.hidden = select.value !== "" && row.cells[1].textContent !== select.value;
  });
}
