"""JavaScript about the page, and text that does something in a page that takes it for HTML."""

__all__ = ("EVIL", "FITS", "HIDE", "LIVE", "PLACES", "SHOWN", "SMALL", "THUMBNAILS", "content")

#: Name of a camera, a file or a reason.
EVIL = '<img src=x onerror="document.title=1;alert(1)">'
#: Format: number of tiles with pictures.
SHOWN = "document.querySelectorAll('camera-tile img[src^=blob]').length === {}"
#: MJPEG is shown.
LIVE = "document.querySelector('live-view img[src^=blob]') !== null"
#: Format: number of files with pictures.
THUMBNAILS = "[...document.querySelectorAll('.files .picture img')].filter((each) => each.naturalWidth > 0).length === {}"
FITS = "document.documentElement.scrollWidth <= innerWidth"
#: The page's hidden state, which a headless browser has in no tab of its own.
HIDE = """(() => {
  Object.defineProperty(document, "visibilityState", { configurable: true, get: () => "%s" });
  document.dispatchEvent(new Event("visibilitychange"));
})()"""
#: Texts below 12 px, and what is too small to be hit; links in a sentence may be as high as it.
SMALL = """[...document.querySelectorAll("body *")].filter((each) => each.checkVisibility()).flatMap((each) => {
  const { width, height } = each.getBoundingClientRect();
  const has = [...each.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
  const isTarget = each.matches("button, a, input, select, summary") && !each.matches("p a, li a, .skip");
  return [
    has && parseFloat(getComputedStyle(each).fontSize) < 12 ? `text: ${each.outerHTML}` : "",
    isTarget && (width < 24 || height < 24) ? `target of ${width} by ${height}: ${each.outerHTML}` : "",
  ].filter(Boolean);
})"""


#: Where things are with their pictures, before a picture has come, and without the image.
PLACES = """(() => {
  const places = () => JSON.stringify(
    [...document.querySelectorAll("camera-tile, .stage, .files li")].map((each) => each.getBoundingClientRect()));
  const images = [...document.querySelectorAll("main img")];
  const found = [places()];
  for (const each of images) { each.removeAttribute("src"); each.alt = ""; }
  found.push(places());
  for (const each of images) each.remove();
  return [...found, places()];
})()"""

_FILES = """document.querySelector("media-list")?.kind === "{}"
  && /^(\\d|There are no)/.test(document.querySelector("media-list [role=status]").textContent)"""
#: What is true once the last part of a page has come, for each role.
_CONTENT = {
    "cameras": """((tiles) => tiles.length > 0 && tiles.every((each) => each.querySelector("img[src^=blob]") || !/Waiting for/.test(each.textContent)))(
      [...document.querySelectorAll("camera-tile")])""",
    "camera": f"""{LIVE} && document.querySelector("camera-controls input") !== null
      && [...document.querySelectorAll("camera-page summary")].some((each) => each.textContent === "Addresses")""",
    "recordings": _FILES.format("recordings"),
    "snapshots": _FILES.format("snapshots"),
    "health": """document.querySelector("agent-health .facts") !== null
      || /for users with the role admin/.test(document.querySelector("agent-health")?.textContent)""",
    "external": """document.querySelector("external-streams td") !== null
      || /There are no network streams/.test(document.querySelector("external-streams")?.textContent)""",
    "settings": "Boolean(document.querySelector('agent-settings > p.muted')?.textContent)",
    "access": """((text) => /A view link is made at/.test(text)
      || /A view link shows a camera/.test(text) && (/key create/.test(text) || document.querySelector("#key-user") !== null)
    )(document.querySelector("agent-access")?.textContent)""",
}


def content(address: str) -> str:
    """Return what is true once the last part of the page at an address such as camera/camera0 has come."""
    return _CONTENT[address.partition("/")[0]]
