// The list of what can be watched, and the player above it. Names come from strangers: they only ever become text.
import { Player } from "/-/player.js";

const UPDATE_MS = 2000;
const DEFAULT_PORTS = { http: 80, https: 443, ws: 80, wss: 443, rtsp: 554, rtsps: 322, rtmp: 1935, rtmps: 443 };
const element = (id) => document.getElementById(id);
const items = { streams: new Map(), files: new Map() };
const player = new Player(element("video"), (text) => { element("state").textContent = text; });

function make(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}

function addressOf({ scheme, port, before, suffix }, path) {
  const place = location.hostname + (port === DEFAULT_PORTS[scheme] ? "" : `:${port}`);
  return `${scheme}://${place}${before}${path.split("/").map(encodeURIComponent).join("/")}${suffix}`;
}

function play(path) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  element("screen").hidden = false;
  element("playing").textContent = path;
  const place = path.split("/").map(encodeURIComponent).join("/");
  player.open(`${scheme}://${location.host}/${place}.mp4${location.search}`);
}

function makeItem(path, offers, canPlay) {
  const item = make("li"), line = make("div");
  line.append(make("span", path, "name"), make("span", "", "about"));
  if (canPlay) {
    const button = make("button", "Play");
    button.addEventListener("click", () => play(path));
    line.append(button);
  }
  const table = make("table"), details = make("details");
  for (const offer of offers) {
    const row = table.insertRow();
    row.insertCell().textContent = offer.label;
    row.insertCell().append(make("code", addressOf(offer, path)));
  }
  details.append(make("summary", "Addresses"), table);
  item.append(line, details);
  return item;
}

// What stays keeps its element, and with it what is open or selected.
function update(id, entries, offers, canPlay) {
  const known = items[id], list = element(id), paths = new Set(entries.map((entry) => entry.path));
  for (const [path, item] of known) {
    if (!paths.has(path)) { item.remove(); known.delete(path); }
  }
  entries.forEach((entry, index) => {
    let item = known.get(entry.path);
    if (!item) { item = makeItem(entry.path, offers, canPlay); known.set(entry.path, item); }
    item.querySelector(".about").textContent = entry.about || "";
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] || null);
  });
}

async function refresh() {
  try {
    // The origin has no login, which the page's own address may have, and fetch would not take.
    const reply = await fetch(`${location.origin}/-/streams.json${location.search}`, { cache: "no-store" });
    if (!reply.ok) throw new Error(await reply.text());
    const found = await reply.json();
    element("version").textContent = found.version;
    update("streams", found.streams, found.offers, found.player);
    update("files", found.files, found.offers.filter((offer) => offer.files), found.player);
    element("more").textContent = found.more ? "and more" : "";
  } catch (error) {
    element("version").textContent = String(error.message || error);
  }
}

async function follow() {
  if (!document.hidden) await refresh();
  setTimeout(follow, UPDATE_MS);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
window.manycast = { play, player };
follow().then(() => {
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (wanted) play(wanted);
});
