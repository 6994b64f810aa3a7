// Relative addresses work behind a proxy, too; text that the agent sends is never HTML.
document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = document.getElementById("key").value;
  const headers = key.startsWith("ck_") ? { "X-API-Key": key } : { Authorization: `Bearer ${key}` };
  const answer = await fetch("cameras", { headers });
  const shown = answer.ok ? Object.entries((await answer.json()).cameras) : [["", (await answer.json()).details]];
  document.getElementById("cameras").replaceChildren(
    ...shown.map(([id, name]) => Object.assign(document.createElement("li"), { textContent: `${id} ${name}` })),
  );
});
