"""Pictures that virtual cameras show in screenshots, with places whose colours are known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from plugins.web_console.tests.rig import Colour

#: Format of the cameras; fractions of it are the places in the scenes.
WIDTH, HEIGHT = 1280, 720


@dataclass(frozen=True, slots=True)
class Area:
    """Rectangle or ellipse of one colour, in fractions of the picture."""

    shape: str
    colour: Colour
    left: float
    top: float
    right: float
    bottom: float

    def draw(self, canvas: ImageDraw.ImageDraw) -> None:
        box = (self.left * WIDTH, self.top * HEIGHT, self.right * WIDTH, self.bottom * HEIGHT)
        if self.shape == "ellipse":
            canvas.ellipse(box, fill=self.colour)
        else:
            canvas.rectangle(box, fill=self.colour)


@dataclass(frozen=True, slots=True)
class Scene:
    """Scene before a camera: its name, what it consists of, and the place and colour by which it is recognized.

    The upper quarter and the lower eighth are covered by the camera's marks.
    """

    name: str
    areas: tuple[Area, ...]
    place: tuple[float, float]
    colour: Colour

    def settings(self, folder: Path) -> dict[str, Any]:
        """Draw the scene into `folder`; return the settings of a virtual camera that shows it."""
        picture = Image.new("RGB", (WIDTH, HEIGHT))
        canvas = ImageDraw.Draw(picture)
        for each in self.areas:
            each.draw(canvas)
        file = folder / f"{self.name.lower().replace(' ', '-')}.png"
        picture.save(file)
        return {"name": self.name, "file": str(file), "width": WIDTH, "height": HEIGHT, "fps": 10}


YARD = Scene(
    "Front yard",
    (
        Area("rectangle", (150, 196, 232), 0, 0, 1, 0.62),
        Area("ellipse", (250, 214, 90), 0.80, 0.29, 0.88, 0.43),
        Area("ellipse", (104, 150, 96), -0.2, 0.48, 0.45, 0.90),
        Area("ellipse", (120, 164, 104), 0.55, 0.50, 1.3, 0.95),
        Area("rectangle", (92, 140, 78), 0, 0.64, 1, 1),
        Area("rectangle", (188, 176, 156), 0.44, 0.80, 0.56, 1),
        Area("rectangle", (176, 72, 54), 0.34, 0.40, 0.66, 0.80),
        Area("rectangle", (84, 62, 58), 0.31, 0.33, 0.69, 0.42),
        Area("rectangle", (66, 86, 120), 0.455, 0.56, 0.545, 0.80),
        Area("rectangle", (240, 226, 170), 0.37, 0.49, 0.43, 0.60),
        Area("rectangle", (240, 226, 170), 0.57, 0.49, 0.63, 0.60),
        Area("rectangle", (104, 78, 56), 0.145, 0.55, 0.165, 0.76),
        Area("ellipse", (58, 112, 66), 0.09, 0.36, 0.22, 0.64),
    ),
    (0.35, 0.70),
    (176, 72, 54),
)

WORKSHOP = Scene(
    "Workshop",
    (
        Area("rectangle", (222, 214, 200), 0, 0, 1, 0.72),
        Area("rectangle", (150, 146, 140), 0, 0.72, 1, 1),
        Area("rectangle", (120, 92, 66), 0.06, 0.30, 0.34, 0.52),
        Area("rectangle", (214, 196, 160), 0.075, 0.325, 0.325, 0.495),
        Area("rectangle", (190, 60, 52), 0.10, 0.36, 0.12, 0.48),
        Area("rectangle", (60, 96, 140), 0.15, 0.36, 0.17, 0.46),
        Area("rectangle", (70, 70, 74), 0.20, 0.36, 0.215, 0.485),
        Area("rectangle", (70, 70, 74), 0.25, 0.36, 0.30, 0.39),
        Area("rectangle", (156, 110, 70), 0.08, 0.62, 0.92, 0.68),
        Area("rectangle", (128, 88, 54), 0.12, 0.68, 0.16, 0.90),
        Area("rectangle", (128, 88, 54), 0.84, 0.68, 0.88, 0.90),
        Area("rectangle", (44, 104, 150), 0.50, 0.40, 0.78, 0.62),
        Area("rectangle", (30, 46, 60), 0.53, 0.44, 0.67, 0.57),
        Area("ellipse", (236, 158, 52), 0.60, 0.52, 0.62, 0.56),
        Area("ellipse", (120, 200, 130), 0.71, 0.45, 0.74, 0.50),
        Area("ellipse", (226, 92, 76), 0.71, 0.53, 0.74, 0.58),
        Area("rectangle", (196, 58, 50), 0.20, 0.53, 0.36, 0.62),
        Area("rectangle", (60, 60, 64), 0.25, 0.50, 0.31, 0.53),
    ),
    (0.515, 0.60),
    (44, 104, 150),
)
